"""Hysteresis in the action on all back ends, time to trigger where there are TTIs; the engine refuses it."""

from __future__ import annotations

import made_network
import numpy as np
import pytest

from cf_augment.dataset.records import Dataset, EpisodeMetadata, Provenance
from cf_augment.exports.table import to_frame
from cf_augment.physics import Engine, WhatIf
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import EventKind, StepKpis
from ns3_scenarios.scenario import Scenario
from py_agent.env import MlbEnv, open_backend
from py_agent.policies.rules import Random
from py_agent.rollout import run_episode
from sumo_mobility.base.errors import ConfigError

BACKENDS = ["engine", "emulator", pytest.param("ns3", marks=pytest.mark.ns3)]
TTI_BACKENDS = ["emulator", pytest.param("ns3", marks=pytest.mark.ns3)]
OPEN_DOOR = [6.0, -6.0]
"""CIO with which the two UEs at the border, which hear cell 1 at about 2 dB less, leave cell 0."""


def steered(*names: str) -> Scenario:
    return made_network.scenario(handover={"steer": list(names), "hysteresis_range_db": [0, 15]})


def hysteresis(*values_db: float) -> dict[str, list[float]]:
    return {"hysteresis_db": list(values_db)}


def time_to_trigger(*values_ms: float) -> dict[str, list[float]]:
    return {"time_to_trigger_ms": list(values_ms)}


def play(scenario: Scenario, name: str, steered: list[dict[str, list[float]]]) -> list[StepKpis]:
    """Steps with OPEN_DOOR and what is steered besides."""
    backend = open_backend(scenario, name)
    try:
        controls = [Control.of(scenario, OPEN_DOOR, **one) for one in steered]
        return [backend.reset(made_network.trace(), 1), *map(backend.step, controls)]
    finally:
        backend.close()


def starts(kpis: list[StepKpis]) -> list[tuple[float, int]]:
    """Time and UE of each handover start."""
    events = np.concatenate([one.events for one in kpis])
    events = events[events["kind"] == EventKind.HANDOVER_START]
    return [(round(float(event["time_s"]), 3), int(event["ue"])) for event in events]


@pytest.mark.parametrize("name", BACKENDS)
def test_the_scenarios_own_hysteresis_changes_nothing(name: str) -> None:
    """The control [CIO, 2 dB, 2 dB] is the CIO alone in a scenario of 2 dB."""
    with_it = play(steered("hysteresis"), name, [hysteresis(2, 2)] * 3)
    assert with_it == play(made_network.scenario(), name, [{}] * 3)
    assert len(starts(with_it)) == 2


@pytest.mark.parametrize("name", BACKENDS)
def test_hysteresis_is_that_of_the_serving_cell_and_changes_at_once(name: str) -> None:
    """10 dB in cell 0 hold its UEs, whatever cell 1 has; when it falls, they go, one time to trigger later."""
    held, let_go = hysteresis(10, 0), hysteresis(2, 10)
    kpis = play(steered("hysteresis"), name, [held, let_go, let_go])
    assert [len(starts([one])) for one in kpis] == [0, 0, 2, 0]
    # The first measurement of the step is at 1.2 s; 256 ms of time to trigger.
    assert all(1.2 < time_s < 1.5 for time_s, _ in starts(kpis))
    assert sorted(ue for _, ue in starts(kpis)) == list(made_network.BORDER_UES)


@pytest.mark.parametrize("name", TTI_BACKENDS)
def test_time_to_trigger_is_that_of_the_serving_cell(name: str) -> None:
    scenario = steered("time-to-trigger")
    first = {ms: min(starts(play(scenario, name, [time_to_trigger(ms, 40)] * 2)))[0] for ms in (40, 256, 1280)}
    assert first[256] - first[40] == pytest.approx(0.216, abs=1e-3)
    assert first[1280] - first[40] == pytest.approx(1.24, abs=1e-3)


@pytest.mark.parametrize("name", TTI_BACKENDS)
def test_who_has_entered_begins_anew_when_the_cell_sends_another_time_to_trigger(name: str) -> None:
    """The entering falls into the first step; its 1280 ms would be over in the second (TS 36.331 5.5.2.7)."""
    scenario = steered("time-to-trigger")
    kept = play(scenario, name, [time_to_trigger(1280, 40)] * 3)
    changed = play(scenario, name, [time_to_trigger(1280, 40), *[time_to_trigger(640, 40)] * 2])
    elsewhere = play(scenario, name, [time_to_trigger(1280, 40), *[time_to_trigger(1280, 80)] * 2])
    assert len(starts(kept)) == 2
    assert starts(elsewhere) == starts(kept)
    assert all(1.84 <= time_s < 1.88 for time_s, _ in starts(changed))
    assert len(starts(changed)) == 2


@pytest.mark.parametrize("name", TTI_BACKENDS)
def test_both_at_once_and_the_refusals_name_the_component(name: str) -> None:
    scenario = steered("hysteresis", "time-to-trigger")
    backend = open_backend(scenario, name)
    try:
        backend.reset(made_network.trace(), 1)
        with pytest.raises(ConfigError, match=r"hysteresis of cell 1 is 16\.00 dB, not within 0 to 15 dB"):
            backend.step(Control.of(scenario, [0, 0], [2, 16], [256, 256]))
        with pytest.raises(ConfigError, match="time to trigger of cell 0 is 20"):
            backend.step(Control.of(scenario, [0, 0], [2, 2], [20, 256]))
        kpis = backend.step(Control.of(scenario, OPEN_DOOR, [0.5, 2], [40, 256]))
        assert len(starts([kpis])) == 2
    finally:
        backend.close()


@pytest.mark.parametrize("name", BACKENDS)
def test_the_environment_steers_and_the_dataset_says_so(name: str) -> None:
    scenario = steered("hysteresis")
    env = MlbEnv(scenario, open_backend(scenario, name), [made_network.trace()])
    assert env.action_space.shape == (4,)
    record = EpisodeMetadata(
        scenario_id=scenario.id, trace_name="t", policy="random", seed=1, backend=name,
        provenance=Provenance(action_source="random"),
    )  # fmt: skip
    try:
        episode = run_episode(env, Random(scenario), record)
    finally:
        env.close()
    frame = to_frame(Dataset(scenario, (episode,)))
    below, above = episode.actions[:, 2] < 0, episode.actions[:, 2] >= 0
    expected = 2 + 2 * episode.actions[:, 2] * below + 13 * episode.actions[:, 2] * above
    assert frame["hysteresis_0_db"].to_numpy() == pytest.approx(expected, abs=1e-5)
    assert frame["cio_0_1_db"].to_numpy() == pytest.approx(6 * episode.actions[:, 0], abs=1e-5)


def test_what_cannot_take_it_refuses_with_a_cure() -> None:
    message = (
        r"handover\.steer: the back end engine has no \[time-to-trigger\], only \[\] and .*\n.*use the back end ns3 or"
    )
    with pytest.raises(ConfigError, match=message):
        open_backend(steered("time-to-trigger"), "engine")
    with pytest.raises(ConfigError, match=r"handover\.steer: the one-step what-if knows CIO alone.*\n.*leave it empty"):
        WhatIf(Engine(steered("hysteresis")))
