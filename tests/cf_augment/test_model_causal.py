"""The causal model on crowds whose contexts are known: identity, interventions, what the latents mean."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import made_streets as made
import numpy as np
import pytest
import torch

from cf_augment.model import CausalMobilityModel
from cf_augment.model.prediction import HIGHEST_MPS2, LOWEST_MPS2
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.trace import MobilityTrace

STREETS = made.street_map()
TRAIN = made.two_contexts(range(3))
HELD_OUT = made.two_contexts(range(10, 15))

pytestmark = pytest.mark.slow  # they share a model that takes seconds to fit


def fit(steps: int, seed: int = 0) -> CausalMobilityModel:
    torch.set_num_threads(1)
    return CausalMobilityModel.fit(list(TRAIN.values()), STREETS, seed=seed, steps=steps)


@pytest.fixture(scope="module")
def model() -> CausalMobilityModel:
    return fit(120)


@pytest.fixture(scope="module")
def held_out(model: CausalMobilityModel) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Context and local latents of traces that were not trained on."""
    abducted = {name: model.abduct(trace) for name, trace in HELD_OUT.items()}
    return {name: (one.context, one.local) for name, one in abducted.items()}


def mean_x(trace: MobilityTrace) -> float:
    return float(trace.position_m[..., 0].mean())


def permuted(trace: MobilityTrace, order: np.ndarray) -> MobilityTrace:
    return dataclasses.replace(
        trace,
        position_m=trace.position_m[:, order],
        speed_mps=trace.speed_mps[:, order],
        heading_deg=trace.heading_deg[:, order],
    )


def test_do_nothing_returns_the_window(model: CausalMobilityModel) -> None:
    for trace in (TRAIN["west-0"], HELD_OUT["east-12"]):
        abduction = model.abduct(trace)
        for same in (
            model.generate(abduction),
            model.generate(abduction, do_context=abduction.context, do_local=abduction.local),
        ):
            np.testing.assert_allclose(same.position_m, trace.position_m, rtol=0, atol=1e-3)
            np.testing.assert_allclose(same.speed_mps, trace.speed_mps, rtol=0, atol=1e-3)
            np.testing.assert_array_equal(same.time_s, trace.time_s)
            assert same.metadata.source == "causal-model"


def test_do_nothing_returns_places_beside_the_road_too(model: CausalMobilityModel) -> None:
    trace = HELD_OUT["west-11"]
    parked = dataclasses.replace(trace, position_m=trace.position_m + np.array([2.0, -1.5]))
    same = model.generate(model.abduct(parked))
    np.testing.assert_allclose(same.position_m, parked.position_m, rtol=0, atol=1e-3)


def test_the_recovered_noise_is_what_makes_it_so(model: CausalMobilityModel) -> None:
    abduction = model.abduct(HELD_OUT["west-10"])
    other = dataclasses.replace(abduction, residual=np.zeros_like(abduction.residual))
    moved = np.abs(model.generate(other).position_m - HELD_OUT["west-10"].position_m)
    assert moved.max() > 1
    assert 0.5 < abduction.residual.std() < 1.5


def test_context_tells_held_out_crowds_apart(held_out: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    contexts = {name: context for name, (context, _) in held_out.items()}
    west = np.stack([context for name, context in contexts.items() if name.startswith("west")])
    east = np.stack([context for name, context in contexts.items() if name.startswith("east")])
    axis = east.mean(axis=0) - west.mean(axis=0)
    assert (west @ axis).max() < (east @ axis).min()
    within = np.concatenate([west - west.mean(axis=0), east - east.mean(axis=0)]) @ axis
    assert np.linalg.norm(axis) ** 2 > 3 * within.std()


def test_local_latents_hold_little_of_the_context(held_out: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    local = np.concatenate([local for _, local in held_out.values()])
    is_east = np.repeat([1.0 if name.startswith("east") else -1.0 for name in held_out], len(local) // len(held_out))
    design = np.column_stack([local, np.ones(len(local))])
    fitted = design @ np.linalg.lstsq(design, is_east, rcond=None)[0]
    assert 1 - ((is_east - fitted) ** 2).mean() / is_east.var() < 0.3


def test_order_of_the_ues_does_not_matter(model: CausalMobilityModel) -> None:
    trace = HELD_OUT["east-11"]
    order = np.random.default_rng(0).permutation(trace.ues)
    one, other = model.abduct(trace), model.abduct(permuted(trace, order))
    np.testing.assert_allclose(one.context, other.context, atol=1e-9)
    np.testing.assert_allclose(one.local[order], other.local, atol=1e-9)


@pytest.mark.parametrize(("source", "target", "sign"), [("west", "east", 1), ("east", "west", -1)])
def test_swapping_the_context_moves_the_crowd(model: CausalMobilityModel, source: str, target: str, sign: int) -> None:
    shares = []
    for seed in (10, 11, 12):
        abduction = model.abduct(HELD_OUT[f"{source}-{seed}"])
        wanted = model.context_of(HELD_OUT[f"{target}-{seed}"])
        places = [
            mean_x(model.generate(abduction, do_context=abduction.context + weight * (wanted - abduction.context)))
            for weight in (0.0, 0.5, 1.0, 1.5)
        ]
        assert (sign * np.diff(places) > 0).all()
        truth = mean_x(HELD_OUT[f"{target}-{seed}"]) - places[0]
        shares.append((places[2] - places[0]) / truth)
    assert 0.5 < np.mean(shares) < 1.5


def test_a_small_intervention_leaves_most_ues_where_they_began(model: CausalMobilityModel) -> None:
    """A UE whose place stays as likely stays: the counterfactual is about causes, not a new draw."""
    abduction = model.abduct(HELD_OUT["west-10"])
    wanted = model.context_of(HELD_OUT["east-10"])
    near = model.generate(abduction, do_context=abduction.context + 0.05 * (wanted - abduction.context))
    begins_alike = np.abs(near.position_m[0] - HELD_OUT["west-10"].position_m[0]).max(axis=-1) < 1e-6
    assert begins_alike.mean() > 0.8


def test_generated_ues_obey_streets_and_limits(model: CausalMobilityModel) -> None:
    abduction = model.abduct(HELD_OUT["west-13"])
    # Drivers ten times as wild as the logged ones, so that the limits are met.
    wild = dataclasses.replace(abduction, residual=10 * abduction.residual)
    trace = model.generate(wild, do_context=model.context_of(HELD_OUT["east-13"]))
    assert STREETS.distance_m(trace.position_m).max() < 0.01
    step_m = np.hypot(*np.moveaxis(np.diff(trace.position_m, axis=0), -1, 0))
    assert step_m.max() <= model.config.fastest_mps + 1e-6
    moved = np.abs(trace.position_m[0] - HELD_OUT["west-13"].position_m[0]).max(axis=-1) > 1
    assert moved.sum() > 5
    acceleration = np.diff(trace.speed_mps[:, moved], axis=0)
    assert acceleration.max() == pytest.approx(HIGHEST_MPS2)
    assert acceleration.min() == pytest.approx(LOWEST_MPS2)


def test_do_local_changes_only_those_ues(model: CausalMobilityModel) -> None:
    abduction = model.abduct(HELD_OUT["east-14"])
    local = abduction.local.copy()
    local[:4] += 6.0
    trace = model.generate(abduction, do_local=local)
    off = np.abs(trace.position_m - HELD_OUT["east-14"].position_m).max(axis=(0, 2))
    assert off[4:].max() < 1e-3
    assert off[:4].max() > 1


def test_same_seed_same_model_and_trace(model: CausalMobilityModel, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        fit(4, seed).save(tmp_path / f"{name}.pt")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert (tmp_path / "a.pt").read_bytes() != (tmp_path / "c.pt").read_bytes()
    wanted = model.context_of(HELD_OUT["east-10"])
    one, other = (
        model.generate(model.abduct(HELD_OUT["west-10"], seed=5), do_context=wanted).position_m for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


def test_a_saved_model_is_the_same_model(model: CausalMobilityModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model.pt")
    loaded = CausalMobilityModel.load(tmp_path / "model.pt", STREETS)
    assert loaded.config == model.config
    wanted = model.context_of(HELD_OUT["east-10"])
    one, other = (m.generate(m.abduct(HELD_OUT["west-10"]), do_context=wanted) for m in (model, loaded))
    np.testing.assert_array_equal(one.position_m, other.position_m)


def test_foreign_models_are_refused(model: CausalMobilityModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model.pt")
    with pytest.raises(DataError, match=f"made for map grid with {len(model.graph)} roads, not for grid with"):
        CausalMobilityModel.load(
            tmp_path / "model.pt", dataclasses.replace(STREETS, streets=STREETS.streets[: len(STREETS.streets) // 2])
        )
    (tmp_path / "cut.pt").write_bytes((tmp_path / "model.pt").read_bytes()[:2000])
    torch.save({"config": "{}", "networks": {}}, tmp_path / "other.pt")
    for name in ("cut.pt", "other.pt"):
        with pytest.raises(DataError, match=f"{name}: not a causal mobility model"):
            CausalMobilityModel.load(tmp_path / name, STREETS)
    with pytest.raises(DataError, match="no such file"):
        CausalMobilityModel.load(tmp_path / "absent.pt", STREETS)
    good = torch.load(tmp_path / "model.pt", weights_only=True)
    hostile = {
        "[" * 100_000: "nested too deeply", "9" * 5000: "an integer of 5000 digits", "[3]": "must be a mapping",
        '{"hidden": 1e999}': "is not finite", '{"seed": 1, "seed": 1}': "'seed' is given twice", 3: "must be str",
    }  # fmt: skip
    for config, message in hostile.items():
        torch.save(good | {"config": config}, tmp_path / "hostile.pt")
        with pytest.raises(DataError, match=f"hostile.pt: not a causal mobility model .*{message}") as refused:
            CausalMobilityModel.load(tmp_path / "hostile.pt", STREETS)
        assert len(refused.value.message) < 400
        assert refused.value.message.isprintable()


def test_bad_input_is_refused(model: CausalMobilityModel) -> None:
    abduction = model.abduct(HELD_OUT["west-10"])
    with pytest.raises(ConfigError, match="do_context: shape"):
        model.generate(abduction, do_context=np.zeros(3))
    with pytest.raises(ConfigError, match="do_local: shape"):
        model.generate(abduction, do_local=np.full_like(abduction.local, np.nan))
    half = dataclasses.replace(HELD_OUT["west-10"], time_s=HELD_OUT["west-10"].time_s / 2)
    with pytest.raises(DataError, match=r"made for steps of 1.0 s, the trace has 0.5 s"):
        model.abduct(half)
    with pytest.raises(DataError, match="no traces"):
        CausalMobilityModel.fit([], STREETS, seed=0)
    with pytest.raises(DataError, match="time steps"):
        CausalMobilityModel.fit([half, HELD_OUT["west-10"]], STREETS, seed=0)
