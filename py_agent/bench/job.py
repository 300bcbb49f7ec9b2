"""Measures the main job: same seed, same bytes; the engine against ns-3; the bridge; the tests; the time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from cf_augment.agreement import agreement
from cf_augment.dataset import write_dataset
from ns3_scenarios.build import program
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.bench.bridge import bridge_overhead
from py_agent.collect import collect
from py_agent.jobs import LocalExecutor
from py_agent.measurement import Measurement
from py_agent.policies.rules import Random
from sumo_mobility.base.children import bound_to_us
from sumo_mobility.base.errors import DataError, SimulatorError
from sumo_mobility.base.scratch import ScratchDirectory
from sumo_mobility.pipeline import load_map, make_trace

_REPOSITORY = Path(__file__).parents[2]
_TEST_RESULTS = _REPOSITORY / "build" / "tests.xml"
_TEST_LIMIT_S = 1800


def measure(preset: str, seed: int) -> Iterator[Measurement]:
    """Yields the figures of the main job, each as soon as it is known.

    Args:
        preset: Id of the preset of the episodes.
        seed: Of the trace and the network.
    """
    program()  # what is missing is said at once, not after minutes
    tests_s, when = _all_tests_s()
    loaded = Preset.load(preset)
    scenario = Scenario.place(loaded, loaded.sites.place(load_map(loaded.mobility.map)))
    yield from _same_bytes_and_agreement(scenario, seed)
    spent_ms = bridge_overhead(scenario)
    yield Measurement("bridge, a step besides the simulation (median)", float(np.median(spent_ms)), "ms", 1.0)
    yield Measurement("bridge (95th percentile)", float(np.percentile(spent_ms, 95)), "ms", 1.0)
    yield Measurement("fast tests (without SUMO and ns-3)", _fast_tests_s(), "s", 60)
    yield Measurement(f"all tests, as run by ./scripts/test at {when}", tests_s / 60, "min", 15)


def _same_bytes_and_agreement(scenario: Scenario, seed: int) -> Iterator[Measurement]:
    mobility = scenario.mobility
    with ScratchDirectory() as scratch:
        files: dict[str, list[bytes]] = {"trace": [], "ns-3 episode": [], "dataset": []}
        for attempt in range(2):
            folder = scratch.path / str(attempt)
            trace = make_trace(mobility, mobility.train_contexts[-1], seed)
            trace.write(folder / "trace.parquet")
            traces, policies, executor = {"trace": trace}, {"random": Random}, LocalExecutor(workers=1)
            episodes = collect(scenario, traces, policies, [seed], folder / "episodes", executor)
            write_dataset(folder / "dataset.h5", scenario, episodes)
            [episode] = episodes
            files["trace"].append((folder / "trace.parquet").read_bytes() + (folder / "trace.json").read_bytes())
            files["ns-3 episode"].append(next((folder / "episodes").glob("*.h5")).read_bytes())
            files["dataset"].append((folder / "dataset.h5").read_bytes())
    for what, (first, second) in files.items():
        yield Measurement(f"same seed twice: {what}", _differing(first, second), "bytes that differ", 0)
    figures = agreement(scenario, episode)
    yield Measurement("T0 against ns-3: RSRP RMSE", figures["rsrp_rmse_db"], "dB", 0.01)
    differs = 100 * (1 - figures["serving_agreement"])
    yield Measurement("T0 against ns-3: serving cell differs", differs, "% of samples", 1.0)


def _differing(first: bytes, second: bytes) -> int:
    paired = zip(first, second, strict=False)
    return sum(a != b for a, b in paired) + abs(len(first) - len(second))


def _fast_tests_s() -> float:
    """Wall-clock time of the tests of the fast tier; they must pass."""
    parallel = ["-n2", "--dist=loadfile", "--no-loadscope-reorder"]  # as scripts/test has it
    command = [sys.executable, "-m", "pytest", "-q", *parallel, "--tier=fast"]
    started = time.monotonic()
    done = subprocess.run(
        bound_to_us(command), cwd=_REPOSITORY, capture_output=True, text=True, timeout=_TEST_LIMIT_S, check=False
    )
    if done.returncode:
        raise SimulatorError(f"the tests failed:\n{done.stdout[-2000:]}", "run ./scripts/test")
    return time.monotonic() - started


def _all_tests_s() -> tuple[float, str]:
    """Wall-clock time of the last run of ./scripts/test, and when that was."""
    if not _TEST_RESULTS.is_file():
        raise DataError(
            f"{_TEST_RESULTS}: does not exist, so nobody knows how long the tests take", "run ./scripts/test first"
        )
    suite = ElementTree.parse(_TEST_RESULTS).getroot()[0]
    if suite.get("failures") != "0" or suite.get("errors") != "0":
        raise DataError(f"{_TEST_RESULTS}: the tests failed", "run ./scripts/test again")
    return float(suite.get("time", "nan")), str(suite.get("timestamp"))[:19]
