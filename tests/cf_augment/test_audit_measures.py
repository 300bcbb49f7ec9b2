"""Measures of latents and of realism, against other implementations, hand calculation and what they must satisfy."""

from __future__ import annotations

from dataclasses import replace

import made_crowds as made
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.linear_model import Ridge
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from cf_augment.audit.disentanglement import (
    dci,
    importance_of,
    informativeness,
    leak,
    mutual_information,
    mutual_information_gap,
    swap_accuracy,
)
from cf_augment.audit.factors import factors_of
from cf_augment.audit.probes import coefficients, explained_share
from cf_augment.audit.realism import (
    FEATURES,
    area_under_curve,
    discriminator_auc,
    mean_discrepancy,
    off_road_share,
    speed_distance_mps,
    spread,
    standing_share,
    ways_of,
)
from sumo_mobility.base.seeds import stream

IMPORTANCE = arrays(np.float64, st.tuples(st.integers(2, 5), st.integers(2, 5)), elements=st.floats(0.01, 10))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return stream(seed, "normal", *shape).normal(size=shape)


class TestDci:
    def test_by_hand(self) -> None:
        # rows: 1 - H(3/4, 1/4) = 0.18872 with weight 4/6, and 0; the matrix is symmetric
        assert dci(np.array([[3.0, 1], [1, 1]])) == pytest.approx((0.125815, 0.125815), abs=1e-6)

    def test_one_thing_each_and_all_alike(self) -> None:
        assert dci(np.eye(3)[[2, 0, 1]]) == pytest.approx((1, 1))
        assert dci(np.ones((3, 4))) == pytest.approx((0, 0), abs=1e-12)

    def test_two_components_for_one_factor_are_not_complete(self) -> None:
        found = dci(np.array([[1.0, 0], [1, 0], [0, 1]]))
        assert found.disentanglement == pytest.approx(1)
        assert found.completeness == pytest.approx(2 / 3 * (1 - np.log(2) / np.log(3)) + 1 / 3)

    def test_a_component_that_matters_for_nothing_does_not_count(self) -> None:
        assert dci(np.array([[1.0, 0], [0, 1], [0, 0]])).disentanglement == pytest.approx(1)

    def test_without_a_choice_there_is_no_score(self) -> None:
        assert np.isnan(dci(np.array([[1.0], [2.0]])).disentanglement)
        assert np.isnan(dci(np.zeros((2, 2)))).all()

    @given(IMPORTANCE, st.floats(0.01, 100))
    def test_scale_and_order_do_not_matter(self, importance: np.ndarray, scale: float) -> None:
        found = dci(importance)
        assert all(-1e-9 <= score <= 1 + 1e-9 for score in found)
        assert dci(scale * importance) == pytest.approx(found, abs=1e-9)
        assert dci(importance[::-1, ::-1]) == pytest.approx(found, abs=1e-9)
        assert dci(importance.T) == pytest.approx(found[::-1], abs=1e-9)

    def test_rotated_factors_are_entangled(self) -> None:
        factors = normal(200, 2)
        apart = dci(importance_of(factors * [1, -5] + 2, factors)).disentanglement
        mixed = dci(importance_of(factors @ np.array([[1, 1], [-1, 1]]), factors)).disentanglement
        assert apart > 0.9
        assert mixed < 0.1

    def test_factors_that_some_samples_lack_are_probed_on_the_others(self) -> None:
        code = normal(60, 3)
        factors = np.column_stack([code[:, 0], np.where(np.arange(60) < 30, code[:, 1], np.nan)])
        found = importance_of(code, factors)
        np.testing.assert_allclose(found[:, 1], importance_of(code[:30], code[:30, 1:2])[:, 0])
        assert found.argmax(axis=0).tolist() == [0, 1]


class TestProbes:
    inputs, groups = normal(40, 3), np.repeat(np.arange(10), 4)
    target = inputs @ [1.0, -2.0, 0.0] + 0.5 * normal(40, seed=3)

    def test_coefficients_are_those_of_scikit_learn(self) -> None:
        scaled = [StandardScaler().fit_transform(values) for values in (self.inputs, self.target[:, None])]
        expected = Ridge(alpha=1.0, fit_intercept=False).fit(scaled[0], scaled[1][:, 0]).coef_
        np.testing.assert_allclose(coefficients(self.inputs, self.target), expected)

    def test_predictions_are_those_of_scikit_learn(self) -> None:
        guess = cross_val_predict(
            make_pipeline(StandardScaler(), Ridge(alpha=1.0)), self.inputs, self.target, groups=self.groups,
            cv=LeaveOneGroupOut(),
        )  # fmt: skip
        error = ((self.target - guess) ** 2).sum()
        means = np.array([self.target[self.groups != group].mean() for group in self.groups])
        assert explained_share(self.inputs, self.target, self.groups) == pytest.approx(
            1 - error / ((self.target - means) ** 2).sum()
        )

    def test_noise_explains_nothing_and_the_target_all(self) -> None:
        noise = [explained_share(normal(40, 3, seed=seed), self.target, self.groups) for seed in range(5, 15)]
        assert np.mean(noise) < 0
        assert explained_share(self.target[:, None], self.target, self.groups) > 0.99

    def test_what_a_group_alone_shows_does_not_count(self) -> None:
        """A probe that could see windows of the same trace would know the trace, and its factor with it."""
        left_out, seen = [], []
        for seed in range(10):
            of_trace, target = normal(10, 6, seed=seed)[self.groups], normal(10, seed=seed)[self.groups]
            left_out.append(explained_share(of_trace, target, self.groups))
            seen.append(explained_share(of_trace, target, np.arange(40)))
        assert np.median(left_out) < 0 < 0.4 < np.median(seen)

    def test_too_few_groups_or_a_constant_are_not_a_number(self) -> None:
        assert np.isnan(explained_share(self.inputs, self.target, self.groups % 2))
        assert np.isnan(explained_share(self.inputs, np.ones(40), self.groups))

    def test_a_leak_is_never_negative(self) -> None:
        factors = np.column_stack([self.target, normal(40, seed=9)])
        shares = informativeness(self.inputs, factors, self.groups)
        assert shares[1] < 0 < shares[0]
        assert leak(self.inputs, factors, self.groups) == pytest.approx(shares[0] / 2)


class TestMutualInformation:
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
    def test_it_is_that_of_scikit_learn(self, pairs: list[tuple[int, int]]) -> None:
        one, other = np.array(pairs).T
        assert mutual_information(one, other) == pytest.approx(mutual_info_score(one, other), abs=1e-12)

    def test_gap(self) -> None:
        factor = np.repeat(np.arange(4.0), 50)
        other = np.tile(np.arange(4.0), 50)  # all but independent of it
        one_knows = mutual_information_gap(np.column_stack([factor, other]), factor[:, None])
        assert one_knows == pytest.approx(1, abs=0.01)
        assert mutual_information_gap(np.column_stack([factor, -factor]), factor[:, None]) == pytest.approx(0)
        assert np.isnan(mutual_information_gap(factor[:, None], factor[:, None]))


def test_swap_accuracy_counts_who_is_nearer() -> None:
    old, wanted = np.zeros((4, 2)), np.tile([2.0, 0.0], (4, 1))
    again = np.array([[1.9, 0], [0.1, 5], [1.0, 7], [9.0, 0]])
    assert swap_accuracy(again, wanted, old) == pytest.approx(2.5 / 4)


class TestFactors:
    CONTEXTS = [
        {"name": "tide", "heading_deg": 90.0, "strength": 0.5, "stay_s": [1, 2]},
        {"name": "tide", "heading_deg": 0.0, "strength": 0.5, "stay_s": [1, 3]},
        {"name": "tide", "heading_deg": 180.0, "strength": 0.7, "stay_s": [1, 4]},
        {"name": "tide", "heading_deg": 270.0, "strength": 0.9, "stay_s": [1, 6]},
        {"name": "event", "x_share": 0.2, "direction": "in", "at_s": None},
        {"name": "uniform", "late": True},
    ]

    def test_names_and_values(self) -> None:
        found = factors_of(self.CONTEXTS, range(6))
        assert found.names == (
            "name = tide", "name = event", "name = uniform", "heading_deg to the east", "heading_deg to the north",
            "strength", "stay_s.1",
        )  # fmt: skip
        assert found.values[:, 0].tolist() == [1, 1, 1, 1, 0, 0]
        np.testing.assert_allclose(found.values[:4, 3], [1, 0, 0, -1], atol=1e-12)
        np.testing.assert_allclose(found.values[:4, 4], [0, 1, -1, 0], atol=1e-12)
        assert np.isnan(found.values[4:, 3:]).all()

    def test_what_follows_from_another_factor_is_none(self) -> None:
        twice = [{"name": "event", "x_share": x, "y_share": 1 - 2 * x, "radius_m": 5.0} for x in (0.1, 0.2, 0.3, 0.4)]
        assert factors_of(twice, range(4)).names == ("x_share",)

    def test_windows_of_too_few_traces_are_too_few(self) -> None:
        contexts = [{"name": "event", "x_share": x} for x in (0.1, 0.1, 0.5, 0.5, 0.9, 0.9)]
        assert factors_of(contexts, [0, 0, 1, 1, 2, 2]).names == ()
        assert factors_of(contexts, range(6)).names == ("x_share",)
        assert factors_of([], []).values.shape == (0, 0)


class TestRealism:
    one = [made.crowd((0.5, 0.5), seed) for seed in range(4)]

    def test_a_shift_of_all_speeds_is_the_distance(self) -> None:
        faster = [replace(trace, speed_mps=trace.speed_mps + 2.5) for trace in self.one]
        assert speed_distance_mps(faster, self.one) == pytest.approx(2.5)
        assert speed_distance_mps(self.one, self.one) == 0

    def test_features_by_hand(self) -> None:
        trace = made.crowd((0.5, 0.5), 0, steps=4, ues=1)
        trace = replace(
            trace,
            position_m=np.array([[0, 0], [3, 0], [6, 0], [6, 4], [6, 4]], dtype=float)[:, None],
            speed_mps=np.array([[3.0], [3.0], [3.0], [4.0], [0.0]]),
            heading_deg=np.array([[90.0], [90.0], [90.0], [350.0], [10.0]]),
        )
        (features,), owner = ways_of([trace])
        by_name = dict(zip(FEATURES, features, strict=True))
        assert owner.tolist() == [0]
        assert by_name == pytest.approx({
            "mean speed": 2.6,
            "standard deviation of the speed": np.std([3, 3, 3, 4, 0]),
            "highest speed": 4,
            "share of the time standing": 0.2,
            "root mean square of the acceleration": np.sqrt((0 + 0 + 1 + 16) / 4),
            "way as the crow flies over way": np.sqrt(52) / 10,
            "mean turn a step while moving": np.radians(100) / 3,  # the UE turns by 20 degrees where it stands
        })  # fmt: skip

    def test_where_a_crowd_is_makes_no_difference(self) -> None:
        away = [replace(trace, position_m=trace.position_m + 500.0) for trace in self.one]
        np.testing.assert_allclose(ways_of(away)[0], ways_of(self.one)[0])

    def test_the_discrepancy_is_its_formula(self) -> None:
        first, second = normal(12, 2), normal(9, 2, seed=1) * 2 + 1
        scaled = [(values - second.mean(axis=0)) / second.std(axis=0) for values in (first, second)]
        apart = [np.linalg.norm(a - b) for i, a in enumerate(scaled[1]) for b in scaled[1][:i]]
        width = np.median(apart)

        def mean_kernel(a: np.ndarray, b: np.ndarray) -> float:
            return np.mean([np.exp(-((x - y) ** 2).sum() / (2 * width**2)) for x in a for y in b])

        square = mean_kernel(scaled[0], scaled[0]) + mean_kernel(scaled[1], scaled[1]) - 2 * mean_kernel(*scaled)
        assert mean_discrepancy(first, second) == pytest.approx(np.sqrt(square))

    def test_the_discrepancy_grows_with_the_difference(self) -> None:
        base = normal(300, 3)
        found = [mean_discrepancy(normal(300, 3, seed=1) + shift, base) for shift in (0.0, 0.5, 1.0, 2.0)]
        assert found == sorted(found)
        assert mean_discrepancy(base, base) == pytest.approx(0, abs=1e-6)

    @given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20))
    def test_the_area_is_that_of_scikit_learn(self, positive: list[int], negative: list[int]) -> None:
        label = [1] * len(positive) + [0] * len(negative)
        expected = roc_auc_score(label, positive + negative)
        assert area_under_curve(np.array(positive, float), np.array(negative, float)) == pytest.approx(expected)

    def test_a_discriminator_tells_what_can_be_told(self) -> None:
        by = np.repeat(np.arange(10), 30)
        like, unlike = normal(300, 3, seed=1), normal(300, 3, seed=2) * [1, 1, 3]
        assert discriminator_auc(like, by, normal(300, 3), by) == pytest.approx(0.5, abs=0.08)
        assert discriminator_auc(unlike, by, normal(300, 3), by) > 0.7  # no line parts them
        assert discriminator_auc(like + 10, by, normal(300, 3), by) == pytest.approx(1)

    def test_a_trace_that_is_unlike_others_is_not_learned_by_heart(self) -> None:
        """Each trace has a mark of its own, which says nothing about other traces."""
        by = np.repeat(np.arange(20), 15)
        marks = [normal(20, 3, seed=seed)[by] * 3 + 0.1 * normal(300, 3, seed=seed + 9) for seed in (1, 2)]
        assert discriminator_auc(marks[0], by, marks[1], by) < 0.75
        one_trace_each = np.arange(300)
        assert discriminator_auc(marks[0], one_trace_each, marks[1], one_trace_each) > 0.9

    def test_one_trace_cannot_be_left_out(self) -> None:
        by = np.zeros(30, dtype=int)
        assert np.isnan(discriminator_auc(normal(30, 3), by, normal(30, 3), np.arange(30)))

    def test_shares(self) -> None:
        trace = self.one[0]
        speeds = np.full(trace.speed_mps.shape, 0.49)
        speeds[:, ::2] = 0.5
        assert standing_share([replace(trace, speed_mps=speeds)]) == 0.5
        street = replace(made.GROUND, streets=(np.array([[0.0, 0], [100, 0]]),))
        position = np.zeros(trace.position_m.shape)
        position[..., 0], position[:, :3, 1] = 50, 5.1
        position[:, 3:, 1] = 4.9
        assert off_road_share([replace(trace, position_m=position)], street) == 3 / 12

    def test_spread_is_the_deviation_over_traces(self) -> None:
        assert spread([np.array([0.2, 0.8]), np.array([0.4, 0.6])]) == pytest.approx(0.2 / np.sqrt(2))
        assert np.isnan(spread([np.array([0.2, 0.8])]))
