"""The commands that a report shows can be copied: each is parsed as what was asked for, and together they repeat it."""

from __future__ import annotations

import html
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from py_agent.algorithms.config import AlgorithmConfig, TrainConfig
from py_agent.algorithms.sac import SacConfig
from py_agent.backends import BACKENDS
from py_agent.cli.command import StageCommand
from py_agent.cli.commands import parse
from py_agent.cli.mobility import Mobility
from py_agent.cli.report import Report, command_line
from py_agent.cli.stages import Augment, Collect, Evaluate, Train
from py_agent.rundir import StageRecord

PRESET = {
    "id": "tiny-v0",
    "description": "Ten cars in Helsinki, five seconds.",
    "mobility": {
        "ues": 10,
        "duration_s": 5,
        "settle_s": 60,
        "train_contexts": [{"name": "uniform"}],
        "test_contexts": [{"name": "event"}],
    },
    "sites": {"inter_site_distance_m": 700},
    "episode": {"steps": 5, "warmup_s": 2},
}
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
WORD = TEXT.filter(lambda word: word and not word.startswith("-"))


def commands() -> st.SearchStrategy[StageCommand]:
    """Any stage with any options that its record keeps."""

    def of(stage: type[StageCommand]) -> st.SearchStrategy[StageCommand]:
        default: dict[str, Any] = {name: getattr(stage(), name) for name in stage().options()}
        kinds: dict[type, st.SearchStrategy[Any]] = {
            str: TEXT, tuple: st.lists(WORD, min_size=1, max_size=3).map(tuple), int: st.integers(0, 10**6),
            float: st.floats(0, 1),
        }  # fmt: skip
        values = {name: kinds[type(value)] for name, value in default.items() if type(value) in kinds}
        for name, hint in get_type_hints(stage).items():
            if name in values and get_origin(hint) is Literal:
                values[name] = st.sampled_from(get_args(hint))
        if "backend" in values:
            values["backend"] = st.sampled_from(tuple(BACKENDS))
        return st.fixed_dictionaries({}, optional=values).map(lambda options: stage(**options))

    sac = st.builds(SacConfig, gamma=st.floats(0, 0.99), gradient_steps=st.integers(1, 10**6))
    bc, seed = st.builds(AlgorithmConfig, hidden=st.integers(1, 4096)), st.integers(0, 10**6)
    training = st.one_of(
        st.builds(TrainConfig.of("sac"), sac=sac, seed=seed, counterfactual_share=st.floats(0, 1)),
        st.builds(TrainConfig.of("bc"), bc=bc, seed=seed),
    )
    names, data = st.sampled_from(["", "sac", "sac-cf", "mine"]), st.sampled_from(["logged", "both", "counterfactual"])
    train = st.builds(Train, name=names, data=data, training=training, config=st.none(), run=st.just(Path("run")))
    return st.one_of(*map(of, (Mobility, Collect, Augment, Evaluate)), train)


@pytest.mark.slow
@given(commands(), WORD)
def test_a_shown_command_is_parsed_as_what_was_asked_for(command: StageCommand, run: str) -> None:
    stage = type(command).__name__.lower()
    line = command_line(StageRecord(stage=stage, config=command.options(), versions={}), Path(run))
    again = parse(shlex.split(line)[1:])
    assert isinstance(again, type(command))
    assert again.options() == command.options()
    assert again.run == Path(run)


def test_defaults_are_left_out() -> None:
    record = StageRecord(stage="mobility", config=Mobility(test_traces=4).options(), versions={})
    assert command_line(record, Path("my run")) == "mlb mobility make --run 'my run' --test-traces 4"


@pytest.mark.sumo
@pytest.mark.slow
def test_copied_commands_repeat_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No training, a preset and a run with blanks in their names; the copy is run by a shell in another folder."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "my preset.yaml").write_text(yaml.safe_dump(PRESET))
    monkeypatch.chdir(first)
    run = Path("a run")
    Mobility(run=run, preset="my preset.yaml", train_traces=1, test_traces=1, seed=3).execute()
    Evaluate(run=run, policies=("integral", "static"), backend="engine", seeds=2, workers=1).execute()
    Report(run=run, replay=("integral", "static")).execute()
    page = (run / "report.html").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
    script = f'set -e\nmlb() {{ {shlex.quote(sys.executable)} -m py_agent.cli "$@"; }}\n{html.unescape(shown)}\n'
    subprocess.run(["bash", "-c", script], cwd=second, check=True, timeout=300, stdout=subprocess.DEVNULL)
    pd.testing.assert_frame_equal(*(pd.read_parquet(folder / run / "evaluation.parquet") for folder in (first, second)))
    assert (second / run / "report.html").read_text(encoding="utf-8") == page
