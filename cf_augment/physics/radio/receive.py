"""Powers that UEs receive in a control interval, in compiled loops.

As long as a UE goes straight and evenly, path loss and attenuations are smooth in time: their values at a few points
give all others, and the means over the samples of L1 measurements. Where an antenna's limit is reached in between, they
give each sample, which is then limited; and where the UE passes close to a mast, or the path loss has a kink, each
sample is computed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cf_augment.physics.constants import L1_PERIOD_S, PSS_PERIOD_S
from cf_augment.physics.radio.links import Antennas, Links, Masts, Sight, aside_db, receive, see
from cf_augment.physics.radio.shades import Ways, shade
from cf_augment.physics.radio.vector_math import compiled, exp10, part
from ns3_scenarios.kernels import kernel
from sumo_mobility.base.arrays import Floats, Singles

SAMPLES = round(L1_PERIOD_S / PSS_PERIOD_S)
"""RSRP samples in an L1 measurement."""
_SECOND = round(1 / L1_PERIOD_S)
"""L1 measurements in the step of most traces."""
_NODES = 5
_NODE = tuple((1 - math.cos(math.pi * k / (_NODES - 1))) / 2 for k in range(_NODES))
"""Chebyshev's points with the ends, as shares of a straight way."""
_CLOSE = np.float32(3.0**2)
"""Nearer to a mast than 3 times the way, the interpolation may err by more than 2e-4 dB; squared."""
_AROUND = np.float32(0.15)
"""Allowance for values beyond those at the nodes, as a share of their range."""
_ZERO, _TENTH, _BEHIND = np.float32(0), np.float32(0.1), np.float32(math.pi - 0.2)


class Outputs(NamedTuple):
    """Outputs on a straight way: means of its samples over measurements or parts of them, and values at instants."""

    samples: int
    row: int
    """The first of its means."""
    first: int
    """The first point in time."""
    table: Singles
    """(1 + _NODES, samples + points) the shares of the way, and how values at the nodes make those there."""
    weights: Singles
    """(means + points, _NODES) how values at the nodes make what is asked for."""


class Nodes(NamedTuple):
    """The UEs at the nodes of a straight way; the values are those of one mast or of one of its cells in turn."""

    place_km: Singles
    """(2, _NODES, U) from the centre."""
    square: Singles
    """(_NODES, U), like all that follow but for the last two: see Sight."""
    loss_db: Singles
    azimuth: Singles
    down: Singles
    aside_db: Singles
    """Attenuation of the antenna in azimuth, without its limit."""
    below_db: Singles
    """Attenuation of the antenna in elevation, without its limit."""
    total_db: Singles
    """Attenuation of the antenna, without the limit of the sum."""
    rsrp_dbm: Singles
    rough: NDArray[np.int32]
    """(U,) whether a UE's RSRP has to be computed at each sample."""
    limited: NDArray[np.int32]
    """(U,) whether a limit of the antenna may be reached between the nodes."""


@compiled
def receive_interval(
    links: Links, position_m: Floats, times: Floats, periods: int, l1_dbm: Singles, received_mw: Singles
) -> None:
    """Computes what one environment's UEs receive in an interval.

    Args:
        links: The constants of the links.
        position_m: (n + 1, U, 2) float64 positions in equal steps from its start to its end; n is a multiple of K.
        times: (P,) float64 points in time, in steps, rising from about 0 to n.
        periods: K, how many L1 measurements the interval has.
        l1_dbm: (C, K, U) float32, filled with the means in dB of the samples of 5 ms in each measurement of RSRP,
            TS 36.214 5.1.1.
        received_mw: (C, P, U) float32, filled with the power of a resource element at the points in time.
    """
    steps, ues = position_m.shape[0] - 1, position_m.shape[1]
    stride, shaded = _straight_steps(position_m, periods), links.shadows.loss_db.shape[0] > 0
    place_km = _local_km(links.masts, position_m, 1 if shaded else stride)
    samples, ways = SAMPLES * periods * stride // steps, steps // stride
    nodes, first = _new_nodes(ues), 0
    means_dbm = l1_dbm if ways <= periods else np.empty((len(l1_dbm), ways, ues), np.float32)
    for way in range(ways):
        begin, end, last = way * stride, (way + 1) * stride, first
        while last < len(times) and (times[last] < end or way == ways - 1):
            last += 1
        for axis in range(2):
            for k in range(_NODES):
                _between(place_km[axis, begin], place_km[axis, end], np.float32(_NODE[k]), nodes.place_km[axis, k])
        table = _table(samples, (times[first:last] - begin) / stride)
        outputs = Outputs(samples, way * means_dbm.shape[1] // ways, first, table, _weights(samples, table))
        for m in range(len(links.masts.east)):
            _receive_way(links, m, nodes, outputs, means_dbm, received_mw)
        first = last
    if ways > periods:
        _mean_of_ways(means_dbm, l1_dbm)
    if shaded:
        per_period = max(1, ways // periods)
        # Shadowing asks for ways within a measurement.
        within = Ways(place_km, min(stride, steps // periods), per_period, SAMPLES // per_period)
        shade(links.shadows, within, _points(place_km, times), l1_dbm, received_mw)
    for c in range(len(received_mw)):
        power = received_mw[c].reshape(len(times) * ues)
        for i in range(len(power)):
            power[i] = exp10(power[i] * _TENTH)


@compiled
def _new_nodes(ues: int) -> Nodes:
    """Returns arrays to be filled in."""
    values = np.empty((8, _NODES, ues), np.float32)
    return Nodes(
        np.empty((2, _NODES, ues), np.float32), values[0], values[1], values[2], values[3], values[4], values[5],
        values[6], values[7], np.empty(ues, np.int32), np.empty(ues, np.int32),
    )  # fmt: skip


@compiled
def _local_km(masts: Masts, position_m: Floats, stride: int) -> Singles:
    """Returns positions (2, n + 1, U) in km from the centre, of which each `stride`-th is filled in."""
    place_km = np.empty((2, position_m.shape[0], position_m.shape[1]), np.float32)
    for t in range(0, position_m.shape[0], stride):
        for axis in range(2):
            for u in range(position_m.shape[1]):
                place_km[axis, t, u] = (position_m[t, u, axis] - masts.centre_m[axis]) / 1000
    return place_km


@compiled
def _mean_of_ways(means_dbm: Singles, l1_dbm: Singles) -> None:
    """Fills in measurements (C, K, U) with means over their ways, from those of all ways (C, ways, U)."""
    periods, ways = l1_dbm.shape[1], means_dbm.shape[1]
    for c in range(len(l1_dbm)):
        for k in range(periods):
            for u in range(l1_dbm.shape[2]):
                l1_dbm[c, k, u] = means_dbm[c, k * ways // periods : (k + 1) * ways // periods, u].mean()


@compiled
def _straight_steps(position_m: Floats, periods: int) -> int:
    """Returns how many steps the UEs move straight and evenly: all, those of a second or of a measurement, or 1."""
    steps = position_m.shape[0] - 1
    if _straight(position_m, steps):
        return steps
    if periods % _SECOND == 0 and _straight(position_m, steps // periods * _SECOND):
        return steps // periods * _SECOND
    return steps // periods if _straight(position_m, steps // periods) else 1


@compiled
def _straight(position_m: Floats, steps: int) -> bool:
    """Returns whether the UEs move straight and evenly, within 1 um, through each `steps` steps."""
    for begin in range(0, position_m.shape[0] - 1, steps):
        for t in range(1, steps):
            if _strays(position_m[begin], position_m[begin + steps], t / steps, position_m[begin + t]):
                return False
    return True


@part
def _strays(begin_m: Floats, end_m: Floats, share: float, place_m: Floats) -> bool:
    """Returns whether a UE, after a share of its way from one place (U, 2) to another, is elsewhere than between."""
    for u in range(len(place_m)):
        for axis in range(2):
            from_m, to_m = begin_m[u, axis], end_m[u, axis]
            if abs(place_m[u, axis] - from_m - (to_m - from_m) * share) > 1e-6:
                return True
    return False


@compiled
def _between(begin: Singles, end: Singles, share: np.float32, out: Singles) -> None:
    """Fills in what lies at a share of the way from one to the other, (n,)."""
    for u in range(len(out)):
        out[u] = begin[u] + (end[u] - begin[u]) * share


@compiled
def _points(place_km: Singles, times: Floats) -> Singles:
    """Returns places (2, P, U) at times in steps of `place_km` (2, n + 1, U)."""
    points = np.empty((2, len(times), place_km.shape[2]), np.float32)
    for axis in range(2):
        for p in range(len(times)):
            row = min(int(times[p] + 1e-9), place_km.shape[1] - 2)
            _between(place_km[axis, row], place_km[axis, row + 1], np.float32(times[p] - row), points[axis, p])
    return points


@compiled
def _table(samples: int, shares: Floats) -> Singles:
    """Returns Outputs.table for samples and points at shares of the way; Lagrange's polynomials."""
    table = np.ones((1 + _NODES, samples + len(shares)))
    share = table[0]
    for i in range(samples):
        share[i] = i / samples
    share[samples:] = shares
    for k in range(_NODES):
        row = table[1 + k]
        for j in range(_NODES):
            if j == k:
                continue
            scale = 1 / (_NODE[k] - _NODE[j])
            for i in range(len(row)):
                row[i] *= (share[i] - _NODE[j]) * scale
    return table.astype(np.float32)


@compiled
def _weights(samples: int, table: Singles) -> Singles:
    """Returns Outputs.weights."""
    rows, together = max(1, samples // SAMPLES), min(samples, SAMPLES)
    weights = np.empty((rows + table.shape[1] - samples, _NODES), np.float32)
    for k in range(_NODES):
        values = table[1 + k]
        for row in range(rows):
            weights[row, k] = values[row * together : (row + 1) * together].mean()
        weights[rows:, k] = values[samples:]
    return weights


@compiled
def _combine(weights: Singles, rows: Singles, out: Singles) -> None:
    """Fills in the weighted sum (n,) of rows (_NODES, n)."""
    w0, w1, w2, w3, w4 = weights[0], weights[1], weights[2], weights[3], weights[4]
    r0, r1, r2, r3, r4 = rows[0], rows[1], rows[2], rows[3], rows[4]
    for i in range(len(out)):
        out[i] = w0 * r0[i] + w1 * r1[i] + w2 * r2[i] + w3 * r3[i] + w4 * r4[i]


@compiled
def _receive_way(
    links: Links, m: int, nodes: Nodes, outputs: Outputs, mean_dbm: Singles, rsrp_dbm: Singles
) -> None:  # fmt: skip
    """Fills in what the UEs receive from mast `m` on a straight way.

    Args:
        links: The constants of the links.
        m: The mast.
        nodes: Of which the places are given.
        outputs: What is asked for.
        mean_dbm: (C, means, U), filled in for this way.
        rsrp_dbm: (C, P, U), filled in for this way.
    """
    masts, antennas = links.masts, links.antennas
    size, means = nodes.place_km[0].size, max(1, outputs.samples // SAMPLES)
    sight = Sight(
        nodes.square.reshape(size), nodes.loss_db.reshape(size), nodes.azimuth.reshape(size), nodes.down.reshape(size)
    )
    see(links, m, nodes.place_km[0].reshape(size), nodes.place_km[1].reshape(size), sight)
    cells = masts.cells[masts.first[m] : masts.first[m + 1]]
    values = np.empty((7, outputs.table.shape[1]), np.float32)
    _find_rough(masts, m, nodes)
    for c in cells:
        _receive_at_nodes(antennas, c, nodes)
        if antennas.used:
            _find_limited(antennas, nodes)
        for row in range(means):
            _combine(outputs.weights[row], nodes.rsrp_dbm, mean_dbm[c, outputs.row + row])
        for row in range(means, len(outputs.weights)):
            _combine(outputs.weights[row], nodes.rsrp_dbm, rsrp_dbm[c, outputs.first + row - means])
        if antennas.used:
            _receive_limited(antennas, c, nodes, outputs, values[6], mean_dbm, rsrp_dbm)
    for u in range(len(nodes.rough)):
        if nodes.rough[u] > 0:
            _receive_rough(links, m, u, nodes, outputs, values, mean_dbm, rsrp_dbm)


@part
def _receive_limited(
    antennas: Antennas, c: int, nodes: Nodes, outputs: Outputs, values: Singles, mean_dbm: Singles, rsrp_dbm: Singles
) -> None:
    """Fills in what UEs receive of cell `c` for which the antenna's gain may reach a limit, from each sample.

    Args:
        antennas: The constants of the antennas.
        c: The cell.
        nodes: The UEs.
        outputs: What is asked for.
        values: (samples + points,) scratch.
        mean_dbm: As in `_receive_way`.
        rsrp_dbm: As in `_receive_way`.
    """
    for u in range(len(nodes.limited)):
        if nodes.limited[u] > nodes.rough[u]:
            _limit(antennas, c, u, nodes, outputs.table, values)
            _put(outputs, values, c, u, mean_dbm, rsrp_dbm)


@part
def _receive_rough(
    links: Links, m: int, u: int, nodes: Nodes, outputs: Outputs, values: Singles, mean_dbm: Singles, rsrp_dbm: Singles
) -> None:
    """Fills in what a UE receives of all cells of mast `m`, computed at each sample.

    Args:
        links: The constants of the links.
        m: The mast.
        u: The UE.
        nodes: The UEs.
        outputs: What is asked for.
        values: (7, samples + points) scratch.
        mean_dbm: As in `_receive_way`.
        rsrp_dbm: As in `_receive_way`.
    """
    masts = links.masts
    for axis in range(2):
        begin = nodes.place_km[axis, 0, u]
        move, to = nodes.place_km[axis, _NODES - 1, u] - begin, values[axis]
        for i in range(len(to)):
            to[i] = begin + outputs.table[0, i] * move
    sight = Sight(values[2], values[3], values[4], values[5])
    see(links, m, values[0], values[1], sight)
    for c in masts.cells[masts.first[m] : masts.first[m + 1]]:
        receive(links.antennas, c, sight, values[6])
        _put(outputs, values[6], c, u, mean_dbm, rsrp_dbm)


@kernel(nogil=True, fastmath={"reassoc", "nsz"})
def _put(outputs: Outputs, values: Singles, c: int, u: int, mean_dbm: Singles, rsrp_dbm: Singles) -> None:
    """Fills in what comes from a UE's RSRP at the samples and points of a way; sums in any order, for vectors."""
    means, together = max(1, outputs.samples // SAMPLES), min(outputs.samples, SAMPLES)
    samples = values[: outputs.samples].reshape(means, together)
    for row in range(means):
        total = _ZERO
        for i in range(together):
            total += samples[row, i]
        mean_dbm[c, outputs.row + row, u] = total / np.float32(together)
    for p in range(len(values) - outputs.samples):
        rsrp_dbm[c, outputs.first + p, u] = values[outputs.samples + p]


@compiled
def _range(rows: Singles, low: Singles, high: Singles) -> None:
    """Fills in between which limits values (_NODES, n) at the nodes stay all the way, (n,)."""
    r0, r1, r2, r3, r4 = rows[0], rows[1], rows[2], rows[3], rows[4]
    for i in range(len(low)):
        least = r0[i] if r0[i] < r1[i] else r1[i]
        most = r0[i] if r0[i] > r1[i] else r1[i]
        least = r2[i] if r2[i] < least else least
        most = r2[i] if r2[i] > most else most
        least = r3[i] if r3[i] < least else least
        most = r3[i] if r3[i] > most else most
        least = r4[i] if r4[i] < least else least
        most = r4[i] if r4[i] > most else most
        around = _AROUND * (most - least)
        low[i], high[i] = least - around, most + around


@compiled
def _find_rough(masts: Masts, m: int, nodes: Nodes) -> None:
    """Marks the UEs that are close to mast `m`, or may be beyond a kink of its path loss for a part of the way."""
    kink_0, kink_1, kink_2 = masts.kinks[m, 0], masts.kinks[m, 1], masts.kinks[m, 2]
    place_km, rough = nodes.place_km, nodes.rough
    low, high = np.empty(len(rough), np.float32), np.empty(len(rough), np.float32)
    _range(nodes.square, low, high)
    under = masts.nearest_square - masts.rise[m] * masts.rise[m]
    for u in range(len(rough)):
        east = place_km[0, _NODES - 1, u] - place_km[0, 0, u]
        north = place_km[1, _NODES - 1, u] - place_km[1, 0, u]
        rough[u] = (
            (low[u] < _CLOSE * (east * east + north * north))
            | (low[u] < under)
            | ((low[u] < kink_0) & (kink_0 < high[u]))
            | ((low[u] < kink_1) & (kink_1 < high[u]))
            | ((low[u] < kink_2) & (kink_2 < high[u]))
        )


@part
def _receive_at_nodes(antennas: Antennas, c: int, nodes: Nodes) -> None:
    """Fills in attenuations and RSRP of cell `c` at the nodes."""
    power_dbm, tilt, vertical = antennas.power_dbm[c], antennas.tilt[c], antennas.vertical
    most_db, side_db = antennas.most_db, antennas.side_db
    loss_db, azimuth, down, rsrp_dbm = nodes.loss_db, nodes.azimuth, nodes.down, nodes.rsrp_dbm
    aside, below, total = nodes.aside_db, nodes.below_db, nodes.total_db
    for k in range(_NODES):
        for u in range(loss_db.shape[1]):
            if antennas.used:
                angle = down[k, u] - tilt
                aside[k, u], below[k, u] = aside_db(antennas, c, azimuth[k, u]), vertical * angle * angle
                total[k, u] = aside[k, u] + (below[k, u] if below[k, u] < side_db else side_db)
                rsrp_dbm[k, u] = power_dbm - loss_db[k, u] - (total[k, u] if total[k, u] < most_db else most_db)
            else:
                rsrp_dbm[k, u] = power_dbm - loss_db[k, u]


@compiled
def _find_limited(antennas: Antennas, nodes: Nodes) -> None:
    """Marks UEs for which the antenna's gain may reach a limit between the nodes.

    Those that may pass behind an antenna whose limit is not reached there are marked as rough.
    """
    rough, limited = nodes.rough, nodes.limited
    most_db, side_db, ues = antennas.most_db, antennas.side_db, len(rough)
    low, high = np.empty(ues, np.float32), np.empty(ues, np.float32)
    side_low, side_high = np.empty(ues, np.float32), np.empty(ues, np.float32)
    _range(nodes.total_db, low, high)
    _range(nodes.below_db, side_low, side_high)
    for u in range(ues):
        limited[u] = (low[u] < most_db) & ((most_db < high[u]) | ((side_low[u] < side_db) & (side_db < side_high[u])))
    behind_db = antennas.horizontal * _BEHIND * _BEHIND
    if behind_db < most_db:
        _range(nodes.aside_db, side_low, side_high)
        for u in range(ues):
            rough[u] |= side_high[u] > behind_db


@compiled
def _limit(antennas: Antennas, c: int, u: int, nodes: Nodes, table: Singles, rsrp_dbm: Singles) -> None:
    """Fills in a UE's RSRP at all samples and points of a way, from what has no limit at the nodes, and limits it."""
    loss, aside, below = nodes.loss_db, nodes.aside_db, nodes.below_db
    l0, l1, l2, l3, l4 = loss[0, u], loss[1, u], loss[2, u], loss[3, u], loss[4, u]
    a0, a1, a2, a3, a4 = aside[0, u], aside[1, u], aside[2, u], aside[3, u], aside[4, u]
    b0, b1, b2, b3, b4 = below[0, u], below[1, u], below[2, u], below[3, u], below[4, u]
    power_dbm, most_db, side_db = antennas.power_dbm[c], antennas.most_db, antennas.side_db
    for i in range(len(rsrp_dbm)):
        t0, t1, t2, t3, t4 = table[1, i], table[2, i], table[3, i], table[4, i], table[5, i]
        deep = b0 * t0 + b1 * t1 + b2 * t2 + b3 * t3 + b4 * t4
        total = a0 * t0 + a1 * t1 + a2 * t2 + a3 * t3 + a4 * t4 + (deep if deep < side_db else side_db)
        lost = l0 * t0 + l1 * t1 + l2 * t2 + l3 * t3 + l4 * t4
        rsrp_dbm[i] = power_dbm - lost - (total if total < most_db else most_db)
