"""Event A3 and radio link failure in the engine against a plain automaton with clocks, and cases worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from engine_cases import GivenRadio, scenario
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_augment.physics.closed_form.engine import Engine
from ns3_scenarios.grids import TIMES_TO_TRIGGER_MS
from ns3_scenarios.radio import N310, N311, T310_MS, RadioLink
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats

SITES_M = [(0.0, 0.0), (1000.0, 0.0), (2000.0, 0.0), (1000.0, 900.0)]  # cells 0 and 2 are no neighbours


class Ue:
    """One UE as the clause words it: timers that start when the entering condition is met, stop when it is not, and
    fire a time to trigger later; a changed offset of the serving cell stops them all."""

    def __init__(self, network: Scenario, l1_dbm: list[float]) -> None:
        self.handover, self.pairs = network.handover, network.neighbor_pairs
        self.filtered = list(l1_dbm)
        self.serving = max(range(len(l1_dbm)), key=l1_dbm.__getitem__)
        self.started_ms: dict[int, int] = {}
        self.moving_to: tuple[int, int] | None = None
        self.sinr_db = [_sinr_db(l1_dbm, cell) for cell in range(len(l1_dbm))]
        self.link, self.bad, self.good = network.radio_link, 0, 0
        self.t310_started_ms: int | None = None
        self.found_ms: int | None = None

    def measure(self, now_ms: int, l1_dbm: list[float], cio: dict[tuple[int, int], float]) -> None:
        self.watch_link(now_ms)
        self.filtered = [(old + new) / 2 for old, new in zip(self.filtered, l1_dbm, strict=True)]
        for neighbor in (n for s, n in self.pairs if s == self.serving):
            mn, ms = self.filtered[neighbor] + cio[self.serving, neighbor], self.filtered[self.serving]
            if mn - self.handover.hysteresis_db > ms + self.handover.a3_offset_db:
                self.started_ms.setdefault(neighbor, now_ms)
            else:
                self.started_ms.pop(neighbor, None)

    def configure(self, before: dict[tuple[int, int], float], cio: dict[tuple[int, int], float]) -> None:
        if any(before[pair] != cio[pair] for pair in self.pairs if pair[0] == self.serving):
            self.started_ms = {}

    def watch_link(self, now_ms: int) -> None:
        """Of ns-3: periods of 200 ms out of sync start T310, those of 100 ms in sync stop it."""
        sinr_db = self.sinr_db[self.serving]
        if self.t310_started_ms is None:
            self.bad = self.bad + 1 if sinr_db < -5.0 else 0
            if self.bad == self.link.n310:
                self.t310_started_ms, self.good = now_ms, 0
            return
        self.good = self.good + 2 if sinr_db >= -3.9 else 0
        if self.good >= self.link.n311:
            self.forget()
        elif now_ms > self.t310_started_ms + self.link.t310_ms:
            self.found_ms = now_ms + (self.handover.time_to_trigger_ms % 200 or 1)

    def forget(self) -> None:
        self.t310_started_ms, self.bad = None, 0

    def clock(self, now_ms: int, cio: dict[tuple[int, int], float]) -> tuple[int, int] | None:
        """Lets one millisecond pass; returns (source, target) if a handover starts."""
        if self.found_ms is not None:
            if now_ms >= self.found_ms:
                self.serving, self.started_ms = self.filtered.index(max(self.filtered)), {}
                self.found_ms = None
                self.forget()
            return None
        if self.moving_to is not None:
            if now_ms == self.moving_to[0]:
                self.serving, self.moving_to = self.moving_to[1], None
                if self.t310_started_ms is not None:  # else ns-3 counts on
                    self.forget()
            return None
        due = [n for n, start in self.started_ms.items() if now_ms >= start + self.handover.time_to_trigger_ms]
        if not due:
            return None
        target = max(sorted(due), key=lambda n: self.filtered[n] + cio[self.serving, n])
        self.started_ms, self.moving_to = {}, (now_ms + 4, target)
        return self.serving, target


def _sinr_db(rsrp_dbm: list[float], serving: int) -> float:
    noise_mw = 10 ** ((-174 + 9 + 10 * math.log10(15e3)) / 10)
    received = [10 ** (value / 10) for value in rsrp_dbm]
    return 10 * math.log10(received[serving] / (sum(received) - received[serving] + noise_mw))


def run_reference(
    network: Scenario, l1_dbm: Floats, cio_db: Floats
) -> tuple[list[list[int]], list[tuple[int, int, int, int]]]:
    """Serving cells at the end of each interval, and handovers (ms, UE, source, target)."""
    interval_ms = round(network.episode.control_interval_s * 1000)
    phase_ms = network.handover.time_to_trigger_ms % 200
    busy_ms = {0, 1, 4, phase_ms, phase_ms + 4}  # nothing happens at other times of a measurement period
    ues = [Ue(network, l1_dbm[0, :, u].tolist()) for u in range(l1_dbm.shape[2])]
    serving, starts = [], []
    cio = dict.fromkeys(network.neighbor_pairs, 0.0)
    for step, values in enumerate(cio_db):
        before, cio = cio, dict(zip(network.neighbor_pairs, values.tolist(), strict=True))
        for ue in ues:
            ue.configure(before, cio)
        for now_ms in range(step * interval_ms + 1, (step + 1) * interval_ms + 1):
            if now_ms % 200 not in busy_ms:
                continue
            for u, ue in enumerate(ues):
                if now_ms % 200 == 0:
                    ue.measure(now_ms, l1_dbm[now_ms // 200, :, u].tolist(), cio)
                move = ue.clock(now_ms, cio)
                # A handover that starts as an interval ends is the next one's.
                if move and now_ms < len(cio_db) * interval_ms:
                    starts.append((now_ms, u, *move))
        serving.append([-1 if ue.found_ms is not None else ue.serving for ue in ues])
    return serving, starts


def run_engine(
    network: Scenario, l1_dbm: Floats, cio_db: Floats
) -> tuple[list[list[int]], list[tuple[int, int, int, int]]]:
    engine = Engine(network)
    engine.radio, engine.compiled_links = GivenRadio(network, l1_dbm), False
    ues = l1_dbm.shape[2]
    engine.reset(np.zeros((1, ues, 2)))
    serving, starts = [], []
    for values in cio_db:
        kpis = engine.step(np.zeros((1, engine.grid_steps + 1, ues, 2)), values[None])
        serving.append(kpis.ue_serving_cell[0].tolist())
        for time_s, changes in engine.cell_changes:
            now_ms, source, target = round(time_s * 1000), changes.source[0].tolist(), changes.target[0].tolist()
            starts += [(now_ms, u, source[u], target[u]) for u in range(ues) if target[u] >= 0]
    return serving, starts


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    time_to_trigger_ms=st.sampled_from(TIMES_TO_TRIGGER_MS[:13]),
    hysteresis_db=st.sampled_from([0.0, 0.5, 2.0]),
    a3_offset_db=st.sampled_from([0.0, -1.0, 1.0]),
    interval_s=st.sampled_from([0.2, 0.6, 1.0]),
    radio_link=st.builds(
        RadioLink, n310=st.sampled_from(N310), n311=st.sampled_from(N311), t310_ms=st.sampled_from(T310_MS)
    ),
)
def test_event_a3_is_the_automaton_of_ts_36331(
    seed: int,
    time_to_trigger_ms: int,
    hysteresis_db: float,
    a3_offset_db: float,
    interval_s: float,
    radio_link: RadioLink,
) -> None:
    ues, steps = 4, round(6 / interval_s)
    network = scenario(
        SITES_M,
        ues=ues,
        handover={
            "time_to_trigger_ms": time_to_trigger_ms,
            "hysteresis_db": hysteresis_db,
            "a3_offset_db": a3_offset_db,
            "neighbors": {"by": "distance", "within_m": 1400.0},
        },
        episode={"control_interval_s": interval_s, "steps": steps},
        radio_link=radio_link.model_dump(),
    )
    random = np.random.default_rng(seed)
    # Whole dB that wander: sums are exact in binary, and ties with the hysteresis happen.
    steps_dbm = random.integers(-3, 4, (round(steps * interval_s * 5) + 1, len(SITES_M), ues)).cumsum(axis=0)
    cio_db = random.integers(-6, 7, (steps, len(network.neighbor_pairs))).astype(float)
    l1_dbm = -100.0 + steps_dbm
    serving, starts = run_engine(network, l1_dbm, cio_db)
    assert (serving, starts) == run_reference(network, l1_dbm, cio_db)


def one_ue(l1_dbm: list[tuple[float, float]], **handover: float) -> list[tuple[int, int, int, int]]:
    """Handovers of a UE between two cells with L1 measurements each 200 ms, all CIO at 0 dB."""
    network = scenario([(0, 0), (1000, 0)], ues=1, handover=handover, episode={"steps": 2})
    values = np.array(l1_dbm + l1_dbm[-1:] * (11 - len(l1_dbm)))[..., None]
    return run_engine(network, values, np.zeros((2, 2)))[1]


def test_handover_starts_a_time_to_trigger_after_the_filtered_rsrp_enters() -> None:
    # Filtered difference after the jump to +8 dB: -4 -> 2 (not above the hysteresis) -> 5: entered at 400 ms.
    jump = [(-100.0, -104.0), (-100.0, -92.0)]
    assert one_ue(jump, hysteresis_db=2, time_to_trigger_ms=256) == [(656, 0, 0, 1)]
    assert one_ue(jump, hysteresis_db=2, time_to_trigger_ms=0) == [(400, 0, 0, 1)]


def test_leaving_before_the_time_to_trigger_cancels_the_handover() -> None:
    # Difference -4 -> 3 (entered) -> -8.5 (left).
    spike = [(-100.0, -104.0), (-100.0, -90.0), (-100.0, -120.0)]
    assert one_ue(spike, hysteresis_db=2, time_to_trigger_ms=256) == []
    assert one_ue(spike, hysteresis_db=2, time_to_trigger_ms=160)[0] == (360, 0, 0, 1)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        # Below Qout at 800, ..., 3000 ms: lost then.
        ("ns3", [[1], [1], [-1], [0], [0]]),
        # Out of sync at 860, ..., 910 ms, T310 expires at 1910 ms: lost at 2000 ms.
        ("3gpp", [[1], [-1], [0], [0], [0]]),
    ],
)
def test_a_link_that_stays_bad_fails_and_is_taken_up_by_the_strongest_cell(
    profile: str, expected: list[list[int]]
) -> None:
    # Dragged to cell 1 by +6 dB while both are alike, and held there by -6 dB at 7 dB less than cell 0: SINR -7 dB.
    network = scenario([(0, 0), (1000, 0)], ues=1, handover={"hysteresis_db": 2}, episode={"steps": 5}, profile=profile)
    l1_dbm = np.full((26, 2, 1), -80.0)
    l1_dbm[[0, *range(4, 26)], 1] = -87.0
    l1_dbm[1, 1] = -82.0
    cio_db = np.array([[6.0, -6.0]] + [[-6.0, -6.0]] * 4)
    serving, starts = run_engine(network, l1_dbm, cio_db)
    # Filtered: -4.5, then -2.25 dB > -6 + 2: entered at 400 ms.
    assert starts == [(656, 0, 0, 1)]
    assert serving == expected
