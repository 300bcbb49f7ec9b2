"""The command line itself: help, errors and exit codes; the stages are tried in tests/e2e."""

from __future__ import annotations

import inspect
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from PIL import Image

from cf_augment.exports import EXPORTS
from ns3_scenarios.scenario import Preset
from py_agent.algorithms import ALGORITHMS
from py_agent.backends import BACKENDS
from py_agent.cli import doctor
from py_agent.cli.bench import Bench
from py_agent.cli.commands import parse
from py_agent.cli.quickstart import _with_physics
from py_agent.fidelity.cases import NETWORKS
from py_agent.policies import POLICIES
from py_agent.rundir import RunDirectory, StageRecord
from sumo_mobility.base.documents import yaml_text
from sumo_mobility.base.errors import ConfigError, DataError, StorageError
from sumo_mobility.base.files import write_text
from sumo_mobility.base.registry import Lazy, Registry


def mlb(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "py_agent.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "command",
    [
        "doctor",
        "build",
        "quickstart",
        "tune",
        "policy show",
        "policy export",
        "mobility make",
        "mobility intervene",
        "mobility plot",
        "mobility export",
        "mobility import",
        "scenario list",
        "scenario show",
        "scenario new",
        "scenario validate",
        "scenario sites",
        "scenario schema",
        "dataset info",
        "dataset head",
        "dataset validate",
        "dataset merge",
        "dataset split",
        "dataset card",
        "dataset export",
        "collect",
        "augment",
        "train",
        "evaluate",
        "report",
        "fidelity",
        "bench job",
        "bench ns3",
        "bench soak",
        "bench engine",
        "bench mobility",
        "bench kills",
    ],
)
def test_every_command_has_a_help_that_describes_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        parse([*command.split(), "--help"])
    assert done.value.code == 0
    assert "--json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "registry"),
    [
        ("collect", BACKENDS), ("collect", POLICIES), ("evaluate", BACKENDS), ("evaluate", POLICIES),
        ("train", ALGORITHMS), ("dataset export", EXPORTS),
    ],
)  # fmt: skip
def test_help_shows_every_name_of_a_registry_with_its_title(
    command: str, registry: Registry[Lazy[object]], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = help_of(command, capsys)
    assert all(f"{entry.name} ({entry.title})" in shown for entry in registry.values())


def test_help_of_fidelity_names_its_networks(capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of("fidelity", capsys)
    assert all(network in shown for network in NETWORKS)


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Returns the help of a command in one line, without its frame."""
    with pytest.raises(SystemExit):
        parse([*command.split(), "--help"])
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


@pytest.mark.parametrize("suite", ["job", "ns3", "soak", "engine", "mobility", "kills"])
def test_the_options_of_a_bench_are_the_arguments_of_its_suite(suite: str) -> None:
    """A generator binds its arguments when it is made, and measures nothing before it is asked."""
    bench = parse(["bench", suite])
    assert isinstance(bench, Bench)
    figures = bench._measure()
    assert inspect.isgenerator(figures)
    assert inspect.getmodule(figures.gi_frame) is sys.modules[f"py_agent.bench.{suite}"]


def test_unknown_command_exits_with_2_and_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        parse(["colect"])
    assert done.value.code == 2
    assert "collect" in capsys.readouterr().err


@pytest.mark.slow
def test_presets_are_listed_as_json() -> None:
    done = mlb("scenario", "list", "--json")
    assert done.returncode == 0
    assert "helsinki-event-v0" in [preset["id"] for preset in json.loads(done.stdout)]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["scenario", "show", "helsinki-event-v0"]])
def test_a_reader_that_has_seen_enough_is_no_error(arguments: list[str]) -> None:
    """As in `mlb --help | head`."""
    command = [sys.executable, "-m", "py_agent.cli", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as shown:
        assert shown.stdout is not None
        assert shown.stderr is not None
        shown.stdout.close()
        assert shown.stderr.read() == ""
    assert shown.returncode == 128 + signal.SIGPIPE


@pytest.mark.slow
def test_unknown_preset_exits_with_2_without_a_traceback() -> None:
    done = mlb("scenario", "show", "helsinki-evnt-v0")
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown preset 'helsinki-evnt-v0' (did you mean 'helsinki-event-v0'?)")
    assert "Traceback" not in done.stderr


def test_a_stage_without_its_predecessor_names_the_command_to_run(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(DataError, match=r"is not a run directory\n.*'mlb mobility make --run .*run' first"):
        run.scenario()
    with pytest.raises(DataError, match=r"has no train traces\n.*'mlb mobility make"):
        run.traces("train")
    with pytest.raises(DataError, match=r"logged\.h5: does not exist\n.*'mlb collect --run"):
        run.require(run.logged, "collect")


def collects(
    run: RunDirectory,
    seed: int,
    resume: bool = False,
    file: str = "",
    error: BaseException | None = None,
    seeds: int = 1,
) -> None:
    """A stage that writes a file and fails, or does not."""
    with run.stage("collect", {"seed": seed, "seeds": seeds}, resume, ("made/*.h5",), free=("seeds",)):
        if file:
            write_text(run.path / "made" / file, "")
        if error is not None:
            raise error


def test_a_stage_is_begun_once_and_resumed_with_equal_options_only(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    collects(run, 1, file="a.h5")
    record = (tmp_path / "collect.json").read_bytes()
    with pytest.raises(StorageError, match=r"stage 'collect' of this run exists"):
        collects(run, 1)
    collects(run, 1, resume=True)
    with pytest.raises(StorageError, match=r"began with seed = 1, not 2"):
        collects(run, 2, resume=True)
    assert (tmp_path / "collect.json").read_bytes() == record
    collects(run, 1, resume=True, seeds=5)
    assert run.records()[0].config == {"seed": 1, "seeds": 5}


@pytest.mark.parametrize("error", [ConfigError("no"), KeyboardInterrupt()])
def test_a_stage_that_has_made_nothing_can_be_run_again_in_another_way(tmp_path: Path, error: BaseException) -> None:
    run = RunDirectory(tmp_path)
    with pytest.raises(type(error)):
        collects(run, 1, file=".half.h5", error=error)
    assert run.records() == []
    StageRecord(stage="collect", config={"seed": 1}, versions={}).write_json(tmp_path / "collect.json")  # killed
    with pytest.raises(type(error)):
        collects(run, 2, file="a.h5", error=error)
    assert run.records()[0].config["seed"] == 2


def test_an_unwritable_run_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot write .*file/run/collect\.json"):
        collects(RunDirectory(tmp_path / "file" / "run"), 1)


@pytest.mark.slow
def test_unknown_policy_names_the_nearest(tmp_path: Path) -> None:
    from ns3_scenarios.scenario import Preset, Scenario

    scenario = Scenario.place(Preset.load("helsinki-event-v0"), [(0, 0), (700, 0)])
    scenario.write_json(tmp_path / "scenario.json")
    done = mlb("collect", "--run", str(tmp_path), "--policies", "integrl")
    assert done.returncode == 2
    assert "unknown policy 'integrl' (did you mean 'integral'?)" in done.stderr
    assert not (tmp_path / "collect.json").exists()


@pytest.mark.slow
def test_the_doctor_refuses_a_version_that_the_project_does_not_declare(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"numpy", "torch", "pyzmq"} <= doctor._needed_versions().keys()
    assert doctor._package("numpy").ok
    monkeypatch.setattr(doctor, "_needed_versions", lambda: {"numpy": SpecifierSet(">=99")})
    check = doctor._package("numpy")
    assert not check.ok
    assert "pip install 'numpy>=99'" in check.cure


@pytest.mark.sumo
def test_the_sites_of_a_preset_are_drawn(tmp_path: Path) -> None:
    out = tmp_path / "sites.png"
    done = mlb("scenario", "sites", "helsinki-sector-v0", "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    cells = json.loads(done.stdout)["cells"]
    assert [cell["azimuth_deg"] for cell in cells[:3]] == [0, 120, 240]
    assert all(index in cells[other]["neighbors"] for index, cell in enumerate(cells) for other in cell["neighbors"])
    with Image.open(out) as image:
        colors = {color for _, color in image.convert("RGB").getcolors(2**24) or []}
    assert (0xC3, 0xC8, 0xD1) in colors  # the streets


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"observation": "rsrp-matrix"}, "residual: only policies by cell and pair"),
        ({"radio": {"cqi": "pdsch"}}, "radio.cqi: the one-step what-if knows CQI from the control region only"),
        ({"handover": {"steer": ["hysteresis"]}}, "handover.steer: the one-step what-if knows CIO alone"),
        ({"traffic": {"arrivals": {"model": "poisson"}}}, "traffic.arrivals.model: the engine has no 'poisson'"),
    ],
)
def test_the_quickstart_follows_the_physics_where_there_is_one(
    changes: dict[str, object], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And trains plain SAC with any other preset, as it says before it begins."""
    preset = Preset.load("helsinki-event-v0").model_dump(mode="json", exclude_unset=True) | changes
    (tmp_path / "mine.yaml").write_text(yaml_text(preset))
    training = _with_physics(str(tmp_path / "mine.yaml"))
    assert ("physics_weight" in training["sac"]) is not bool(reason)
    assert reason in capsys.readouterr().err
