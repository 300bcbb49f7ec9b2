"""Whether a model's context says what the true context is, each of its components one thing, and the locals nothing."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

from cf_augment.audit.probes import coefficients, explained_share
from sumo_mobility.base.arrays import Floats, Ints

_MOST_BINS = 20
"""Of a latent's histogram, as in Locatello et al. (ICML 2019)."""


class Dci(NamedTuple):
    """Disentanglement, completeness and informativeness of a code (Eastwood and Williams, ICLR 2018).

    Attributes:
        disentanglement: 1 if each component of the code matters for one factor only, 0 if for all alike.
        completeness: 1 if each factor depends on one component only, 0 if on all alike.
    """

    disentanglement: float
    completeness: float


def importance_of(code: Floats, factors: Floats) -> Floats:
    """Returns how much each component of a code matters for each factor, (D, K): the sizes of a probe's coefficients.

    Args:
        code: (N, D).
        factors: (N, K), NaN where a sample has no such factor.
    """
    columns = []
    for factor in factors.T:
        known = np.isfinite(factor)
        columns.append(np.abs(coefficients(code[known], factor[known])))
    return np.stack(columns, axis=1) if columns else np.empty((code.shape[1], 0))


def dci(importance: Floats) -> Dci:
    """Returns Eastwood and Williams' scores of an importance matrix (D, K), components and factors being weighted by
    their share of all importance; NaN for what has no alternative: one factor, one component, or no importance.
    """
    total = importance.sum()
    if not total > 0:
        return Dci(math.nan, math.nan)
    return Dci(_concentration(importance), _concentration(importance.T))


def _concentration(importance: Floats) -> float:
    """Mean over the rows, weighted by their sums, of 1 less the entropy of a row in units of its greatest value."""
    weight = importance.sum(axis=1)
    choices = importance.shape[1]
    if choices < 2:
        return math.nan
    share = importance[weight > 0] / weight[weight > 0, None]
    entropy = -xlogy(share, share).sum(axis=1) / math.log(choices)
    return float((1 - entropy) @ (weight[weight > 0] / weight.sum()))


def informativeness(code: Floats, factors: Floats, groups: Ints) -> Floats:
    """Returns the share of each factor's variance that a probe of the code explains on groups it has not seen, (K,).

    Args:
        code: (N, D).
        factors: (N, K), NaN where a sample has no such factor.
        groups: (N,) samples of one group are left out together.
    """
    shares = []
    for factor in factors.T:
        known = np.isfinite(factor)
        shares.append(explained_share(code[known], factor[known], groups[known]))
    return np.array(shares)


def leak(local: Floats, factors: Floats, groups: Ints) -> float:
    """Returns how much of the context's factors can be read from the local latents: the mean of `informativeness`.

    A factor of which a probe of the locals knows less than nothing counts 0.

    Args:
        local: (N, L) mean over the UEs of the local latents of N samples.
        factors: As there.
        groups: As there.
    """
    return float(np.mean(np.clip(informativeness(local, factors, groups), 0, 1))) if factors.shape[1] else math.nan


def mutual_information_gap(code: Floats, factors: Floats) -> float:
    """Returns the mean over the factors of how much more the best component of a code knows than the second best one.

    Chen et al. (NeurIPS 2018), in units of the factor's entropy; mutual information from histograms with bins of equal
    width, as many as the square root of the number of samples, 20 at most. Few samples make it too great.

    Args:
        code: (N, D) with D >= 2; NaN for fewer.
        factors: (N, K), NaN where a sample has no such factor.
    """
    gaps = []
    for factor in factors.T:
        known = np.isfinite(factor)
        of_factor = _binned(factor[known])
        entropy = mutual_information(of_factor, of_factor)
        known_by = sorted(mutual_information(_binned(component[known]), of_factor) for component in code.T)
        if len(known_by) > 1 and entropy > 0:
            gaps.append((known_by[-1] - known_by[-2]) / entropy)
    return float(np.mean(gaps)) if gaps else math.nan


def mutual_information(one: Ints, other: Ints) -> float:
    """Returns the mutual information in nats of two paired samples of labels, (N,) each, by their frequencies."""
    _, one = np.unique(one, return_inverse=True)
    _, other = np.unique(other, return_inverse=True)
    joint = np.zeros((one.max() + 1, other.max() + 1))
    np.add.at(joint, (one, other), 1 / len(one))
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    return float((xlogy(joint, joint) - xlogy(joint, apart)).sum())


def _binned(values: Floats) -> Ints:
    bins = max(2, min(_MOST_BINS, round(math.sqrt(len(values)))))
    if len(np.unique(values)) <= bins:
        return np.unique(values, return_inverse=True)[1]
    edges = np.linspace(values.min(), values.max(), bins + 1)
    return np.digitize(values, edges[1:-1])


def swap_accuracy(made: Floats, wanted: Floats, factual: Floats) -> float:
    """Returns the share of counterfactuals whose context, encoded again, is nearer to the wanted one than to the old.

    Args:
        made: (P, C) contexts that are encoded from the counterfactual traces.
        wanted: (P, C) contexts that were asked for.
        factual: (P, C) contexts of the traces that they were made from.

    Returns:
        1 if all have moved, 0 if none; one that is as near to both counts a half.
    """
    to_wanted, to_old = (np.linalg.norm(made - other, axis=1) for other in (wanted, factual))
    return float(np.mean((to_wanted < to_old) + 0.5 * (to_wanted == to_old)))
