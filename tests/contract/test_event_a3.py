"""Every back end's first measurement report, time and neighbour, is that of TS 36.331 (tests/reference/event_a3.py)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_cases import GivenRadio, scenario, trace
from reference.event_a3 import PERIOD_MS, Case, first_report

from cf_augment.physics.closed_form.engine import Engine
from cf_augment.physics.emulator import EmulatorBackend
from ns3_scenarios import build
from ns3_scenarios.grids import TIMES_TO_TRIGGER_MS
from ns3_scenarios.kpis import EVENT_DTYPE, EventKind
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.trace import MobilityTrace

HAND_MADE = Path(__file__).parents[1] / "reference" / "event_a3.json"
SITES_M = [(0.0, 0.0), (700.0, 0.0), (0.0, 700.0), (700.0, 700.0)]
Reports = list[tuple[int, int] | None]


def hand_made() -> list[Any]:
    made = []
    for case in json.loads(HAND_MADE.read_text(encoding="utf-8")):
        name, report = case.pop("name"), case.pop("report")
        made.append(pytest.param(Case(**case), report and tuple(report), id=name))
    return made


def random_cases(seed: int, ues: int, measurements: int = 30) -> list[Case]:
    """UEs under one configuration: whole dB that wander, so that sums are exact in binary and ties happen."""
    random = np.random.default_rng(seed)
    wandering = random.integers(-3, 4, (measurements, len(SITES_M), ues)).cumsum(axis=0)
    wandering = np.concatenate([np.zeros_like(wandering[:1]), wandering])
    wandering[0, 0] = 1
    changes = random.random(measurements) < random.choice([0.05, 0.2, 1.0])
    changes[0] = True
    drawn = random.integers(-6, 7, (measurements, len(SITES_M) - 1))
    kept = np.maximum.accumulate(np.where(changes, np.arange(measurements), 0))
    time_to_trigger_ms = int(random.choice(TIMES_TO_TRIGGER_MS[:13]))
    hysteresis_db, a3_offset_db = float(random.choice([0, 0.5, 2])), float(random.integers(0, 2))
    rsrp_dbm, ocn_db = wandering - 100.0, drawn[kept].astype(float).tolist()
    return [
        Case(time_to_trigger_ms, hysteresis_db, a3_offset_db, rsrp_dbm[:, :, ue].tolist(), ocn_db) for ue in range(ues)
    ]


def network_of(case: Case, ues: int) -> Scenario:
    """One whose control interval is a measurement period."""
    return scenario(
        SITES_M[: len(case.rsrp_dbm[0])],
        ues=ues,
        handover={
            "time_to_trigger_ms": case.time_to_trigger_ms,
            "hysteresis_db": case.hysteresis_db,
            "a3_offset_db": case.a3_offset_db,
            "neighbors": {"by": "distance", "within_m": 5000.0},
        },
        episode={"control_interval_s": PERIOD_MS / 1000, "steps": len(case.ocn_db), "warmup_s": 2.0},
        traffic={"offered_bps": 1e3, "packet_bytes": 1000},
    )


def controls(network: Scenario, case: Case) -> list[Floats]:
    return [
        np.array([ocn_db[neighbor - 1] if serving == 0 else 0.0 for serving, neighbor in network.neighbor_pairs])
        for ocn_db in case.ocn_db
    ]


def l1_of(cases: list[Case]) -> Floats:
    """(instants, C, U)."""
    return np.stack([np.array(case.rsrp_dbm, dtype=np.float64) for case in cases], axis=-1)


def engine_reports(cases: list[Case]) -> Reports:
    network, ues = network_of(cases[0], len(cases)), len(cases)
    engine = Engine(network)
    engine.radio, engine.compiled_links = GivenRadio(network, l1_of(cases)), False
    engine.reset(np.zeros((1, ues, 2)))
    reports: Reports = [None] * ues
    for control in controls(network, cases[0]):
        engine.step(np.zeros((1, engine.grid_steps + 1, ues, 2)), control[None])
        for time_s, changes in engine.cell_changes:
            for ue in np.flatnonzero(changes.target[0] >= 0).tolist():
                reports[ue] = reports[ue] or (round(time_s * 1000), int(changes.target[0, ue]))
    return reports


class GivenEmulator(EmulatorBackend):
    """An emulator whose L1 measurements are given, (instants, C, U); all cells are received alike."""

    def __init__(self, network: Scenario, l1_dbm: Floats) -> None:
        super().__init__(network)
        self._l1_dbm = l1_dbm.swapaxes(1, 2)

    def _receive(self, ttis: Ints) -> tuple[Floats, Floats]:
        begin = int(ttis[0]) // PERIOD_MS
        periods = max(1, -(-int(ttis.max()) // PERIOD_MS) - begin)
        instants = begin + 1 + np.arange(periods) - self._warmup // PERIOD_MS
        power_mw = np.full((len(ttis), *self._l1_dbm.shape[1:]), 1e-9)
        return power_mw, np.ascontiguousarray(self._l1_dbm[np.maximum(instants, 0)])


def emulator_reports(cases: list[Case]) -> Reports:
    network = network_of(cases[0], len(cases))
    emulator = GivenEmulator(network, l1_of(cases))
    emulator.reset(standing(network), 1)
    events = [emulator.step(control).events for control in controls(network, cases[0])]
    starts = np.concatenate(events).astype(EVENT_DTYPE)
    starts = starts[starts["kind"] == EventKind.HANDOVER_START]
    reports: Reports = [None] * len(cases)
    for start in starts:
        reports[start["ue"]] = reports[start["ue"]] or (round(start["time_s"] * 1000), int(start["target_cell"]))
    return reports


def standing(network: Scenario) -> MobilityTrace:
    points = round(network.mobility.duration_s / 0.5) + 1
    return trace(np.zeros((points, network.mobility.ues, 2)), 0.5)


BACKENDS = {"engine": engine_reports, "emulator": emulator_reports}


def before_the_end(report: tuple[int, int] | None, case: Case) -> tuple[int, int] | None:
    """A report at the last measurement starts a handover in the next interval, which is not simulated."""
    return report if report and report[0] < PERIOD_MS * len(case.ocn_db) else None


@pytest.mark.parametrize(("case", "report"), hand_made())
def test_the_reference_automaton_is_right_where_it_was_worked_out_by_hand(case: Case, report: Any) -> None:
    assert first_report(case) == report


@pytest.mark.parametrize("reports", BACKENDS.values(), ids=BACKENDS)
@pytest.mark.parametrize(("case", "report"), hand_made())
def test_hand_made_sequences(reports: Callable[[list[Case]], Reports], case: Case, report: Any) -> None:
    assert reports([case]) == [report]


@pytest.mark.slow
def test_10000_random_sequences() -> None:
    expected: Reports = []
    found: dict[str, Reports] = {name: [] for name in BACKENDS}
    for seed in range(40):
        cases = random_cases(seed, ues=250)
        expected += [before_the_end(first_report(case), case) for case in cases]
        for name, reports in BACKENDS.items():
            found[name] += [before_the_end(report, case) for report, case in zip(reports(cases), cases, strict=True)]
    assert sum(report is not None for report in expected) > 4000
    assert found == dict.fromkeys(BACKENDS, expected)


@pytest.mark.ns3
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_200_random_sequences_in_ns3(tmp_path: Path) -> None:
    """The C++ class in UEs of ns-3 that are connected to an eNB of ns-3; ctest has the hand-made ones."""
    cases = [random_cases(seed, ues=1, measurements=20)[0] for seed in range(1000, 1200)]
    file = tmp_path / "event_a3.json"
    file.write_text(
        json.dumps([{"name": f"random {i}", **c._asdict(), "report": first_report(c)} for i, c in enumerate(cases)])
    )
    done = subprocess.run(
        [str(build.build_tests() / "mlb-lte-test"), "--suite=mlb-a3-event", "--verbose"],
        env=os.environ | {"MLB_EVENT_A3_CASES": str(file)},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "random 199" in done.stdout
