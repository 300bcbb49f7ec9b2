"""Whether UEs of made traces move as UEs of real ones do."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from cf_augment.audit.probes import scale_of
from cf_augment.audit.windows import windows
from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import STANDING_MPS, MobilityTrace

FEATURES = (
    "mean speed", "standard deviation of the speed", "highest speed", "share of the time standing",
    "root mean square of the acceleration", "way as the crow flies over way", "mean turn a step while moving",
)  # fmt: skip
"""What is looked at in the way of a UE in a window; places are not, since the context chooses them."""
_MOST, _FOLDS, _RIDGE = 600, 5, 1.0


def ways_of(traces: Sequence[MobilityTrace]) -> tuple[Floats, Ints]:
    """Returns FEATURES of each UE in each window of each trace, (N, F), and the index of that trace, (N,)."""
    rows, owner = [], []
    for index, trace in enumerate(traces):
        for window in windows(trace):
            rows.append(_features(window))
            owner.append(np.full(trace.ues, index))
    return np.concatenate(rows), np.concatenate(owner)


def _features(trace: MobilityTrace) -> Floats:
    position, speed, heading = trace.position_m, trace.speed_mps, np.radians(trace.heading_deg)
    way = np.linalg.norm(np.diff(position, axis=0), axis=-1).sum(axis=0)
    flight = np.linalg.norm(position[-1] - position[0], axis=-1)
    turn = np.abs((np.diff(heading, axis=0) + np.pi) % (2 * np.pi) - np.pi)
    moving = speed[1:] >= STANDING_MPS
    return np.column_stack([
        speed.mean(axis=0), speed.std(axis=0), speed.max(axis=0), (speed < STANDING_MPS).mean(axis=0),
        np.sqrt((np.diff(speed, axis=0) ** 2).mean(axis=0)) / trace.step_s,
        np.where(way > 1, flight / np.maximum(way, 1), 0.0),
        (turn * moving).sum(axis=0) / np.maximum(moving.sum(axis=0), 1),
    ])  # fmt: skip


def speed_distance_mps(one: Sequence[MobilityTrace], other: Sequence[MobilityTrace]) -> float:
    """Returns Wasserstein's distance between the speeds of all UEs at all times."""
    first, second = (np.concatenate([trace.speed_mps.ravel() for trace in traces]) for traces in (one, other))
    return float(stats.wasserstein_distance(first, second))


def mean_discrepancy(one: Floats, other: Floats) -> float:
    """Returns the maximum mean discrepancy of two samples, (N, F) and (M, F) (Gretton et al., JMLR 13, 2012).

    With a Gaussian kernel as wide as the median distance in the second sample, whose means and deviations give the
    scale. It is the biased estimate, which is never below 0; compare it with that of samples of like sizes.
    """
    mean, deviation = scale_of(other)
    first, second = ((sample[_some(len(sample))] - mean) / deviation for sample in (one, other))
    width = _width(second)
    square = _kernel(first, first, width).mean() + _kernel(second, second, width).mean()
    return float(np.sqrt(max(square - 2 * _kernel(first, second, width).mean(), 0.0)))


def discriminator_auc(made: Floats, made_by: Ints, real: Floats, real_by: Ints) -> float:
    """Returns how well a discriminator tells made from real, on traces that it has not seen: the area under its ROC.

    A kernel ridge regression with the kernel of `mean_discrepancy`, five folds, in which traces are left out whole;
    in each fold both sides have equal weight.

    Args:
        made: (N, F) features.
        made_by: (N,) which trace each is of.
        real: (M, F).
        real_by: (M,).

    Returns:
        0.5 if they cannot be told apart, 1 if always; NaN if either side has fewer than two traces.
    """
    folds = min(_FOLDS, len(np.unique(made_by)), len(np.unique(real_by)))
    if folds < 2:
        return math.nan
    some, others = _some(len(made)), _some(len(real))
    made, made_by, real, real_by = made[some], made_by[some], real[others], real_by[others]
    mean, deviation = scale_of(real)
    values = np.concatenate([made, real]) - mean
    values /= deviation
    label = np.concatenate([np.ones(len(made)), -np.ones(len(real))])
    fold = np.concatenate([_fold_of(made_by, folds), _fold_of(real_by, folds)])
    kernel = _kernel(values, values, _width(values[label < 0]))
    areas = []
    for left_out in range(folds):
        seen, judged = fold != left_out, fold == left_out
        weight = np.where(label[seen] > 0, 1 / (label[seen] > 0).sum(), 1 / (label[seen] < 0).sum()) * seen.sum() / 2
        system = kernel[np.ix_(seen, seen)] + _RIDGE * np.diag(1 / weight)
        score = kernel[np.ix_(judged, seen)] @ np.linalg.solve(system, label[seen])
        areas.append(area_under_curve(score[label[judged] > 0], score[label[judged] < 0]))
    return float(np.mean(areas))


def area_under_curve(positive: Floats, negative: Floats) -> float:
    """Returns the probability that a score (N,) of a positive is above one (M,) of a negative; a tie counts a half."""
    statistic = stats.mannwhitneyu(positive, negative).statistic
    return float(statistic) / (len(positive) * len(negative))


def standing_share(traces: Sequence[MobilityTrace]) -> float:
    """Returns the share of the UEs' time in which they stand: slower than STANDING_MPS."""
    return float(np.mean(np.concatenate([trace.speed_mps.ravel() for trace in traces]) < STANDING_MPS))


def spread(ue_shares: Sequence[Floats]) -> float:
    """Returns by how much traces differ in where their UEs are.

    Args:
        ue_shares: For each of at least two traces the mean share of the UEs in each cell, (C,).

    Returns:
        The standard deviation over the traces, mean over the cells; NaN for one trace.
    """
    return float(np.std(ue_shares, axis=0, ddof=1).mean()) if len(ue_shares) > 1 else math.nan


def off_road_share(traces: Sequence[MobilityTrace], street_map: StreetMap) -> float:
    """Returns the mean over traces of the share of positions that are off the road; see `StreetMap.off_road_share`."""
    return float(np.mean([street_map.off_road_share(trace.position_m) for trace in traces]))


def _some(rows: int) -> Ints:
    """Returns the indices of at most _MOST of so many rows, evenly; the same each time."""
    return np.unique(np.linspace(0, rows - 1, min(rows, _MOST)).astype(np.int64))


def _fold_of(owner: Ints, folds: int) -> Ints:
    """Returns the fold of each row (N,): all rows of an owner are in one, and the owners take them in turn."""
    return np.unique(owner, return_inverse=True)[1] % folds


def _width(values: Floats) -> float:
    return float(np.median(pdist(values))) or 1.0


def _kernel(one: Floats, other: Floats, width: float) -> Floats:
    return np.exp(-cdist(one, other, "sqeuclidean") / (2 * width**2))
