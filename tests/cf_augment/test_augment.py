"""Counterfactual episodes: replay is exact, provenance is complete, gates refuse what no street allows."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import made_streets as made
import numpy as np
import pytest
import torch

from cf_augment.augment import Job, NoisyRule, Random, Searched, augment, play, roll_out
from cf_augment.dataset import Dataset, Episode, EpisodeMetadata, Provenance, read_dataset, write_dataset
from cf_augment.interventions import generate_traces, mix_traces, refusal
from cf_augment.model import CausalMobilityModel
from cf_augment.physics import EngineBackend
from ns3_scenarios.kpis import KPI_AXES
from ns3_scenarios.mdp import cio_from_action, observe, reward
from ns3_scenarios.rule import Rule
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.policies.rules import IntegralRule
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.seeds import stream
from sumo_mobility.pipeline import load_map, make_trace
from sumo_mobility.trace import MobilityTrace

STREETS = made.street_map()
STEPS = 8
REPLAYS, MIXED, GENERATED = 4, 3, 4


def scenario() -> Scenario:
    preset = Preset.parse(
        {
            "id": "grid-v0", "description": "three cells over a grid",
            "mobility": {
                "ues": 24, "duration_s": 25,
                "train_contexts": [{"name": "uniform"}], "test_contexts": [{"name": "uniform"}],
            },
            "sites": {}, "traffic": {"offered_bps": 400000}, "episode": {"steps": STEPS},
        },
        "test",
    )  # fmt: skip
    return Scenario.place(preset, [(150.0, 450.0), (750.0, 450.0), (450.0, 800.0)])


def logged_episode(place: Scenario, name: str, trace: MobilityTrace, seed: int) -> Episode:
    """Random CIO in the engine's own back end."""
    actions = stream(seed, "test").uniform(-1, 1, (STEPS, len(place.neighbor_pairs))).astype(np.float32)
    backend = EngineBackend(place)
    kpis = [backend.reset(trace, 0), *(backend.step(cio_from_action(place, action)) for action in actions)]
    metadata = EpisodeMetadata(
        scenario_id=place.id, trace_name=name, policy="random", seed=seed, backend="engine",
        provenance=Provenance(action_source="random"),
    )  # fmt: skip
    return Episode.from_kpis(place, trace, kpis, actions, metadata)


@pytest.fixture(scope="module")
def logged() -> Dataset:
    torch.set_num_threads(1)
    place = scenario()
    traces = made.two_contexts(range(2))
    return Dataset(
        place, tuple(logged_episode(place, name, trace, k) for k, (name, trace) in enumerate(traces.items()))
    )


@pytest.fixture(scope="module")
def made_up(logged: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Episode], Path]:
    path = tmp_path_factory.mktemp("model") / "model.json"
    return list(augment(logged, STREETS, 0, REPLAYS, MIXED, GENERATED, path)), path


def test_replay_of_the_logged_actions_is_the_logged_episode(logged: Dataset) -> None:
    some = logged.episodes[:3]
    sources = [lambda step, _kpis, actions=episode.actions: actions[step] for episode in some]
    for episode, (kpis, actions) in zip(
        some, roll_out(logged.scenario, [episode.trace for episode in some], sources, [0] * len(some)), strict=True
    ):
        again = Episode.from_kpis(logged.scenario, episode.trace, kpis, actions, episode.metadata)
        np.testing.assert_array_equal(again.actions, episode.actions)
        for name in KPI_AXES:
            # A batch is summed in another order than a single environment.
            got, wanted = getattr(again.kpis, name), getattr(episode.kpis, name)
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4, err_msg=name)
        np.testing.assert_allclose(again.rewards, episode.rewards, atol=1e-5)
        np.testing.assert_allclose(again.observations, episode.observations, atol=1e-4)


@pytest.mark.slow
def test_counts_and_provenance(logged: Dataset, made_up: tuple[list[Episode], Path]) -> None:
    episodes, path = made_up
    report = json.loads(path.with_name("generated.json").read_text())
    assert report["wanted"] == GENERATED
    traces = {episode.metadata.trace_name for episode in logged.episodes}
    replayed = [e for e in episodes if e.metadata.provenance.kind == "replay"]
    generated = [e for e in episodes if e.metadata.provenance.kind == "generated"]
    assert len(replayed) == REPLAYS * len(traces)
    mixed = [e for e in episodes if e.metadata.provenance.kind == "mixed"]
    assert len(generated) == REPLAYS * report["generated"] > 0
    assert len(mixed) == REPLAYS * MIXED
    assert len(episodes) == len(replayed) + len(mixed) + len(generated)
    for episode in episodes:
        meta, origin = episode.metadata, episode.metadata.provenance
        assert meta.synthetic
        assert meta.backend == "engine"
        assert meta.versions["mlb-testbed"]
        assert set(origin.source) <= traces
        assert origin.source
        assert origin.action_source == meta.policy
        assert (origin.intervention == "") == (origin.kind == "replay")
    for episode in replayed:
        source = next(e for e in logged.episodes if e.metadata.trace_name == episode.metadata.trace_name)
        np.testing.assert_array_equal(episode.trace.position_m, source.trace.position_m)
    said = {e.metadata.provenance.intervention for e in generated}
    assert any("of the way to" in text for text in said)
    assert any("gather at" in text for text in said)
    assert {e.metadata.policy for e in replayed} == {"random", "rule+0.3", "searched-4", "rule+0.1"}
    assert len({e.metadata.seed for e in episodes}) == len(episodes)


@pytest.mark.slow
def test_rows_are_what_the_mdp_says_of_the_engine(logged: Dataset, made_up: tuple[list[Episode], Path]) -> None:
    place = logged.scenario
    for episode in (made_up[0][1], made_up[0][-1]):
        for step in (0, STEPS - 1):
            kpis, cio_db = episode.kpis_at(step + 1), cio_from_action(place, episode.actions[step])
            np.testing.assert_array_equal(episode.observations[step + 1], observe(place, kpis, cio_db))
            assert episode.rewards[step] == np.float32(reward(place, kpis))
        np.testing.assert_allclose(episode.kpis.ue_position_m, episode.trace.position_m[: STEPS + 1], atol=1e-2)


def test_search_earns_more_than_chance_and_more_with_more_draws(logged: Dataset) -> None:
    source = Provenance(kind="replay", source=("-",), action_source="-")
    jobs = [
        Job(episode.metadata.trace_name, episode.trace, source, chosen_by, seed)
        for chosen_by in (Random(), Searched(64))
        for episode in logged.episodes
        for seed in (1, 2)
    ]
    mean = np.array([episode.rewards[2:].mean() for episode in play(logged, jobs, 0)])
    assert (mean[len(jobs) // 2 :] > mean[: len(jobs) // 2]).all()


def test_mixed_crowds_are_of_logged_ues_and_gather_where_none_did() -> None:
    """Each UE moves as one that was logged; around the drawn place there are more of them than in the logged traces."""
    logged = made.two_contexts(range(2))
    ways = np.concatenate([trace.position_m for trace in logged.values()], axis=1).transpose(1, 0, 2)
    mixed = mix_traces(logged, 12, seed=0)
    assert list(mixed.traces) == list(mixed.provenance) == [f"mixed-{index:03d}" for index in range(12)]
    closer = []
    for name, trace in mixed.traces.items():
        of_ues = trace.position_m.transpose(1, 0, 2)
        distance = np.abs(of_ues[:, None] - ways[None]).max(axis=(2, 3))
        assert (distance.min(axis=1) == 0).all()
        assert len(set(distance.argmin(axis=1))) == trace.ues
        origin = mixed.provenance[name]
        assert set(origin.source) <= set(logged)
        place = np.array(re.search(r"near \((-?\d+), (-?\d+)\) m", origin.intervention).groups(), dtype=float)
        away = [np.linalg.norm(part.mean(axis=1) - place, axis=-1).mean() for part in (of_ues, ways)]
        closer.append(away[0] < away[1])
        assert (trace.metadata.context, trace.metadata.provenance["intervention"]) == ("mixed", origin.intervention)
    assert np.mean(closer) > 0.9
    same, other = (mix_traces(logged, 1, seed).traces["mixed-000"].position_m for seed in (0, 1))
    assert np.array_equal(same, mixed.traces["mixed-000"].position_m)
    assert not np.array_equal(same, other)
    (alone,) = mix_traces({"west-0": logged["west-0"]}, 1, seed=0).traces.values()
    assert alone.ues == mixed.traces["mixed-000"].ues


def test_traces_that_do_not_fit_each_other_are_not_mixed() -> None:
    first, second, *_ = made.two_contexts(range(2)).values()
    fewer = dataclasses.replace(
        second, position_m=second.position_m[:, 1:], speed_mps=second.speed_mps[:, 1:],
        heading_deg=second.heading_deg[:, 1:],
    )  # fmt: skip
    with pytest.raises(DataError, match="traces a and b: differ in UEs or times, so they cannot be mixed"):
        mix_traces({"a": first, "b": fewer}, 1, 0)


def test_without_noise_it_is_the_rule_and_noise_is_what_is_added(logged: Dataset) -> None:
    """From the end of the lead-in; the rule's own policy, begun with the CIO that were in force then."""
    place = logged.scenario.model_copy(update={"rule": Rule(gain_db=6, leak=0.9, proportional_db=3)})
    data = Dataset(place, logged.episodes)
    source, trace = Provenance(kind="replay", source=("-",), action_source="-"), logged.episodes[0].trace
    noises = (0.0, 0.2)
    clean, noisy = (next(iter(play(data, [Job("t", trace, source, NoisyRule(noise), 3)], 0))) for noise in noises)
    lead = int((clean.actions == noisy.actions).all(axis=1).sum())
    assert lead < STEPS - 3
    rule = IntegralRule(place)
    cio_db = cio_from_action(place, clean.actions[lead - 1]) if lead else np.zeros(len(place.neighbor_pairs))
    rule._integral_db = cio_db
    for step in range(lead, STEPS):
        wanted = rule.act(clean.observations[step], clean.kpis_at(step), cio_db)
        np.testing.assert_allclose(clean.actions[step], wanted, atol=1e-6)
    assert np.abs(noisy.actions[lead] - clean.actions[lead]).max() > 0.01


def test_episodes_begin_with_logged_cio(logged: Dataset) -> None:
    source = Provenance(kind="replay", source=("-",), action_source="-")
    trace = logged.episodes[0].trace
    jobs = [Job("west-0", trace, source, Random(), seed) for seed in range(24)]
    begins = [e.actions[0] for e in play(logged, jobs, 0)]
    known = np.concatenate([episode.actions for episode in logged.episodes])
    taken = [bool((np.abs(known - action).max(axis=1) == 0).any()) for action in begins]
    assert 0 < sum(taken) < len(taken)


@pytest.mark.slow
def test_same_seed_same_bytes(logged: Dataset, made_up: tuple[list[Episode], Path], tmp_path: Path) -> None:
    episodes, model_path = made_up
    again = augment(logged, STREETS, 0, REPLAYS, MIXED, GENERATED, tmp_path / "model.json")
    assert (tmp_path / "model.json").read_bytes() == model_path.read_bytes()
    write_dataset(tmp_path / "a.h5", logged.scenario, episodes)
    write_dataset(tmp_path / "b.h5", logged.scenario, again)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    stored = read_dataset(tmp_path / "a.h5")
    assert [e.metadata for e in stored.episodes] == [e.metadata for e in episodes]
    assert stored.episodes[-1].trace.metadata.context == "generated"
    other = next(augment(logged, STREETS, 1, 1, 0, 0, tmp_path / "none.json"))
    assert not (tmp_path / "none.json").exists()
    assert not np.array_equal(other.actions, episodes[0].actions)


@pytest.mark.slow
def test_gates_refuse(made_up: tuple[list[Episode], Path], logged: Dataset) -> None:
    model = CausalMobilityModel.load(made_up[1], STREETS)
    trace = logged.episodes[0].trace
    contexts = np.stack([model.context_of(episode.trace) for episode in logged.episodes])
    assert refusal(model, trace, STREETS, contexts) == ""
    off = dataclasses.replace(trace, position_m=trace.position_m + 30.0)
    assert refusal(model, off, STREETS, contexts) == "off-road"
    fast = dataclasses.replace(trace, speed_mps=np.full_like(trace.speed_mps, 2 * model.habits.fastest_mps))
    assert refusal(model, fast, STREETS, contexts) == "unphysical"
    jerky = dataclasses.replace(trace, speed_mps=trace.speed_mps * (np.arange(len(trace.time_s)) % 2)[:, None])
    assert refusal(model, jerky, STREETS, contexts) == "unphysical"
    assert refusal(model, jerky, STREETS, contexts, usual=1.0) == ""
    far = np.array([1.0, -1.0, -1.0, 0.01, 0.0, 0.01])
    assert refusal(model, trace, STREETS, far[None]) == "novel"


def test_on_open_ground_traces_pass_whose_ues_turn_as_abruptly_as_logged_ones() -> None:
    config = Preset.load("line3-slow-v0").mobility
    logged = {f"train-{index}": make_trace(config, config.train_contexts[index], index) for index in range(2)}
    ground = load_map(config.map)
    drawn = generate_traces(CausalMobilityModel.fit(list(logged.values()), ground), logged, ground, 3, seed=0)
    assert len(drawn.traces) == 3


def test_negative_counts_are_refused(logged: Dataset, tmp_path: Path) -> None:
    for counts, message in (((-1, 0, 0), "replays_per_trace: -1"), ((0, -2, 0), "mixed_traces: -2")):
        with pytest.raises(ConfigError, match=f"^{message}, must not be negative"):
            augment(logged, STREETS, 0, *counts, tmp_path / "model.json")
