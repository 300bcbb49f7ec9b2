"""Radio link failure in profile `3gpp` against the clauses' automaton, and cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from engine_cases import scenario
from reference.radio_link import UeRadioLink

from cf_augment.physics.closed_form.engine import Engine
from cf_augment.physics.closed_form.handover import complete
from cf_augment.physics.closed_form.radio_link import monitor
from cf_augment.physics.closed_form.state import HandoverState, state_of
from ns3_scenarios.grids import TIMES_TO_TRIGGER_MS
from ns3_scenarios.radio import N310, N311, T310_MS
from sumo_mobility.base.arrays import Bools, Floats

BOTH_M = [(0.0, 0.0), (1000.0, 0.0)]


class Watched:
    """UEs of the engine whose SINR and handovers are given, slot by slot."""

    def __init__(self, ues: int, time_to_trigger_ms: int = 0, interval_s: float = 1.0, **radio_link: int) -> None:
        network = scenario(
            BOTH_M, ues=ues, profile="3gpp", radio_link=radio_link,
            handover={"time_to_trigger_ms": time_to_trigger_ms}, episode={"control_interval_s": interval_s},
        )  # fmt: skip
        engine = Engine(network)
        self.rules, self.link = engine._constants.radio_link, network.radio_link
        self.edges_ms = np.rint(1000 * np.append(0, np.cumsum(engine._constants.slot_s))).astype(int)
        self.state = state_of(HandoverState.attached(np.zeros((1, 2, ues), np.float32), network), 0)
        self.failures: list[list[int]] = [[] for _ in range(ues)]
        self.slot = self.frames = 0

    def hear(self, begin_db: Floats, end_db: Floats, wishes: Bools) -> None:
        """Lets a slot pass, at whose end some UEs wish to hand over."""
        link, before = self.state.radio_link, self.has_failed()
        self.state.due[:] = wishes
        monitor(self.rules, self.state, self.slot, begin_db, end_db)
        self.frames += self.rules.frames[self.slot]
        for ue in np.flatnonzero(self.has_failed() & ~before):
            self.failures[ue].append(10 * int(self.frames - (link.t310[ue] - self.rules.t310)))
        self.slot += 1
        if self.slot == len(self.rules.frames):
            self.slot = 0
            return
        moving = self.state.due & ~self.state.lost
        self.state.target[:] = np.where(moving, 1 - self.state.serving, -1)
        complete(self.rules, self.state)

    def has_failed(self) -> Bools:
        return np.asarray(self.state.radio_link.t310 >= self.rules.t310)


def by_the_clauses(watched: Watched, begin_db: Floats, end_db: Floats, wishes: Bools, ue: int) -> list[int]:
    """When the radio links of a UE fail, by the same slots as `Watched.hear`."""
    link, edges_ms = watched.link, watched.edges_ms
    reference = UeRadioLink(link.n310, link.n311, link.t310_ms)
    failures, origin_ms, slots = [], 0, len(edges_ms) - 1
    for index in range(len(begin_db)):
        slot = index % slots
        begin_ms, end_ms = origin_ms + edges_ms[slot], origin_ms + edges_ms[slot + 1]
        while reference.now_ms + 5 < end_ms:
            share = (reference.now_ms + 5 - begin_ms) / (end_ms - begin_ms)
            already = reference.failed_ms
            first_db, last_db = float(begin_db[index, ue]), float(end_db[index, ue])
            reference.frame(first_db + share * (last_db - first_db))
            if already is None and reference.failed_ms is not None:
                failures.append(reference.failed_ms)
        measured_ms = origin_ms + 200 * slot if slot else end_ms // 200 * 200
        if slot == slots - 1:
            origin_ms = end_ms
        elif reference.failed_ms is None:
            if wishes[index, ue]:
                reference.connect()
        elif reference.failed_ms < measured_ms:
            # It has found a cell at the first measurement after the failure.
            reference.connect()
    return failures


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_500_random_sequences_fail_as_the_clauses_say(seed: int) -> None:
    random = np.random.default_rng(seed)
    ues, interval_s = 500, float(random.choice([0.2, 0.6, 1.0]))
    time_to_trigger_ms = TIMES_TO_TRIGGER_MS[seed % len(TIMES_TO_TRIGGER_MS)]
    parts = {"n310": random.choice(N310), "n311": random.choice(N311), "t310_ms": random.choice(T310_MS[:-1])}
    watched = Watched(ues, time_to_trigger_ms, interval_s, **{name: int(value) for name, value in parts.items()})
    count = round(3 / interval_s) * (len(watched.edges_ms) - 1)
    begin_db, end_db = np.empty((count, ues), np.float32), np.empty((count, ues), np.float32)
    mean_db, now_db = random.normal(-5, 2, ues), random.normal(-3, 4, ues)
    wishes = random.random((count, ues)) < 0.03
    for index in range(count):
        begin_db[index] = now_db
        now_db = np.float32(mean_db + 0.8 * (now_db - mean_db) + random.normal(0, 2, ues))
        end_db[index] = now_db
        now_db = np.where(wishes[index], random.normal(-3, 4, ues), now_db)
    for index in range(count):
        watched.hear(begin_db[index], end_db[index], wishes[index])
    expected = [by_the_clauses(watched, begin_db, end_db, wishes, ue) for ue in range(ues)]
    assert watched.failures == expected
    assert sum(map(len, expected)) > 50


@pytest.mark.parametrize("time_to_trigger_ms", [0, 64, 100, 160])
@pytest.mark.parametrize("interval_s", [0.2, 0.6])
def test_the_slots_before_hold_all_frames_of_the_evaluation_period(time_to_trigger_ms: int, interval_s: float) -> None:
    frames = Watched(1, time_to_trigger_ms, interval_s).rules.frames
    assert frames.sum() == round(interval_s / 0.01)
    assert min(frames[slot - 2] + frames[slot - 1] for slot in range(len(frames))) >= 19


@pytest.mark.parametrize(
    ("heard", "radio_link", "failures"),
    [
        # 20 frames until layer 1 says anything, 5 more until N310. At 1400 ms the UE finds a cell that is no better.
        ([(-10, 3000)], {}, [1250, 1400 + 1250]),
        # 0 and -30 dB are 1 and .001, Qout is 6.32 in 20 frames: worse from the 14th frame at -30 dB on.
        ([(0, 1000), (-30, 1400)], {}, [1000 + 140 + 50 + 1000]),
        ([(0, 1000), (-30, 1400)], {"n310": 20, "t310_ms": 50}, [1000 + 140 + 190 + 50, 1400 + 200 + 190 + 50]),
        # T310 expires as it starts. What fails at a measurement is known at the next one.
        ([(0, 1000), (-30, 1400)], {"n310": 1, "t310_ms": 0}, [1140, 1200 + 200, 1600 + 200, 2000 + 200]),
        # Qin is 4.07 in 10 frames: in sync from the fifth frame at 0 dB on, so T310 stops at 2060 ms.
        ([(0, 1000), (-30, 1000), (0, 1000)], {}, []),
        ([(0, 1000), (-30, 1000), (0, 1000)], {"t310_ms": 500}, [1190 + 500]),
        # The tenth stops it at 2140 ms. It would expire 10 ms later, or now.
        ([(0, 1000), (-30, 1000), (0, 1000)], {"n310": 2, "n311": 10}, []),
        ([(0, 1000), (-30, 1000), (0, 1000)], {"n310": 1, "n311": 10}, []),
        # Between Qout and Qin nothing is said: T310 runs on.
        ([(0, 1000), (-30, 400), (-4.5, 1600)], {}, [2190]),
        # 200 ms at -30 dB are out of sync 11 times, until the fifth frame at 0 dB breaks the row.
        ([(0, 1000), (-30, 200), (0, 200), (-30, 200), (0, 1400)], {"n310": 20, "t310_ms": 0}, []),
        ([(0, 1000), (-30, 200), (0, 1800)], {"n310": 10, "t310_ms": 0}, [1000 + 140 + 90]),
    ],
)
def test_failures_worked_by_hand(
    heard: list[tuple[float, int]], radio_link: dict[str, int], failures: list[int]
) -> None:
    # An interval is an empty slot, for the time to trigger is 0, and one of 200 ms.
    watched = Watched(1, interval_s=0.2, **radio_link)
    slots = [2 * length_ms // 200 for _, length_ms in heard]
    slots_db = np.repeat(np.array([db for db, _ in heard], np.float32), slots)[:, None]
    no = np.zeros(slots_db.shape, bool)
    for values in slots_db:
        watched.hear(values, values, no[0])
    assert watched.failures == [failures]
    assert by_the_clauses(watched, slots_db, slots_db, no, 0) == failures


def test_a_handover_stops_t310_and_the_new_cell_is_heard_for_200_ms_before_it_counts() -> None:
    watched = Watched(1, interval_s=0.2)
    slots_db, wishes = np.full((24, 1), -10.0, np.float32), np.zeros((24, 1), bool)
    # At 1000 ms T310 has run for 750 ms.
    wishes[10] = True
    for values, wish in zip(slots_db, wishes, strict=True):
        watched.hear(values, values, wish)
    assert watched.failures == [[1000 + 1250]] == [by_the_clauses(watched, slots_db, slots_db, wishes, 0)]
