"""A policy as one file: it acts the same without this project, and says what it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_world import small_dataset, small_scenario

from ns3_scenarios.mdp import cio_from_action, observation_size
from py_agent.algorithms.base import trained_policy
from py_agent.algorithms.deploy import CARD, export_policy
from py_agent.algorithms.sac import Sac, SacConfig
from py_agent.cli.commands import parse
from py_agent.rundir import RunDirectory, last_checkpoint
from py_agent.train import shaped
from sumo_mobility.base.errors import DataError, StorageError

SCENARIO = small_scenario()
LOADED = """
import sys, numpy as np, torch
files = {"card.json": ""}
policy = torch.jit.load(sys.argv[1], _extra_files=files)
np.savez(sys.argv[3], actions=policy(torch.from_numpy(np.load(sys.argv[2]))).numpy())
print(files["card.json"].decode())
assert not any(name.startswith(("py_agent", "cf_augment")) for name in sys.modules)
"""


@pytest.mark.slow
@pytest.mark.parametrize("residual", [False, True])
def test_it_acts_the_same_in_a_process_that_has_pytorch_alone(residual: bool, tmp_path: Path) -> None:
    data = shaped(small_dataset(SCENARIO, [0, 1]), 0.0)
    sac = Sac(SacConfig(hidden=8, batch_size=16, residual=residual), [data], [1.0], [0], SCENARIO)
    for _ in range(5):
        sac.train_step()
    sac.save(tmp_path / "last.pt")
    card = export_policy(SCENARIO, tmp_path / "last.pt", tmp_path / "policy.ts")
    observations = data.columns().observations.numpy()
    np.save(tmp_path / "seen.npy", observations)
    command = [sys.executable, "-c", LOADED, *(str(tmp_path / name) for name in ("policy.ts", "seen.npy", "done.npz"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(json.dumps(card))
    policy = trained_policy(SCENARIO, tmp_path / "last.pt")
    kpis, cio_db = small_dataset(SCENARIO, [0]).episodes[0].kpis_at(0), np.zeros(6)
    expected = np.stack([policy.act(row, kpis, cio_db) for row in observations])
    actions = np.load(tmp_path / "done.npz")["actions"]
    assert actions == pytest.approx(expected, abs=1e-5)
    assert card["observation"]["size"] == observation_size(SCENARIO)
    assert actions @ np.array(card["action"]["cio_per_action_db"]) == pytest.approx(
        cio_from_action(SCENARIO, actions), abs=1e-5
    )
    assert CARD == "card.json"


def test_what_is_no_checkpoint_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"no weights")
    with pytest.raises(DataError, match=r"last\.pt: no checkpoint of an algorithm"):
        export_policy(SCENARIO, tmp_path / "last.pt", tmp_path / "policy.ts")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.pt"]


def test_the_commands_print_the_card_and_write_the_file_once(tmp_path: Path) -> None:
    data = shaped(small_dataset(SCENARIO, [0]), 0.0)
    sac = Sac(SacConfig(hidden=8, batch_size=6), [data], [1.0], [0], SCENARIO)
    run = RunDirectory(tmp_path / "run")
    last_checkpoint(run.training / "mine").parent.mkdir(parents=True)
    sac.save(last_checkpoint(run.training / "mine"))
    SCENARIO.write_json(run.scenario_path)
    shown = parse(["policy", "show", "mine", "--run", str(run.path)]).execute()
    assert yaml.safe_load(str(shown.view)) == json.loads(json.dumps(shown.data))
    assert shown.data["observation"]["name"] == "cell-kpi"
    export = ["policy", "export", "mine", "--run", str(run.path), "--out", str(tmp_path / "policy.ts")]
    assert parse(export).execute().data["weights_sha256"] == shown.data["weights_sha256"]
    assert (tmp_path / "policy.ts").stat().st_size > 1000
    with pytest.raises(StorageError, match=r"policy\.ts: exists"):
        parse(export).execute()
    with pytest.raises(DataError, match=r"run 'mlb train --run"):
        parse(["policy", "show", "yours", "--run", str(run.path)]).execute()
