"""All links of a control interval in compiled loops: what `Radio` computes in torch, exact where it is not smooth.

Cells that share a mast share distances and angles. The mean over the samples of an L1 measurement comes from two
points, except where the path loss or an antenna has a kink between the samples, or where the UE passes close to the
mast: there every sample counts.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from cf_augment.physics.constants import L1_PERIOD_S, PSS_PERIOD_S
from cf_augment.physics.radio import Radio
from cf_augment.physics.shades import Shadows, shade, shadows_of
from cf_augment.physics.vector_math import atan2, compiled, exp10, log10
from ns3_scenarios.kpis import Floats
from ns3_scenarios.scenario import Scenario

Singles = NDArray[np.float32]

SAMPLES = round(L1_PERIOD_S / PSS_PERIOD_S)
"""RSRP samples in an L1 measurement."""
_CLOSE = np.float32(5.0**2)
"""A UE nearer to a mast than 5 times the way between two means counts as close, squared."""
_AROUND = np.float32(0.4)
"""How far the samples reach beyond the two points, as a share of the distance between these; 0.366 and a margin."""
_HALF, _ONE, _ZERO, _TENTH = np.float32(0.5), np.float32(1), np.float32(0), np.float32(0.1)
_PI, _TWO_PI, _BEHIND = np.float32(math.pi), np.float32(2 * math.pi), np.float32(math.pi - 0.2)
_NEVER = np.float32(3e38)
_TOGETHER = 16
"""Ways that are sampled at a time."""


class Masts(NamedTuple):
    """Where signals come from and how they fade; M masts, each with the cells cells[first[m] : first[m + 1]].

    Distances are in km from the centre, squares in km^2. The loss in dB at the square q of the distance is near[0] +
    near[1] log10(q), beyond the flat square `break_square` far[0] + far[1] log10(q), and at least as obstructed.
    """

    centre_m: Floats
    east: Singles
    north: Singles
    rise: Singles
    near: Singles
    far: Singles
    obstructed: Singles
    break_square: Singles
    nearest_square: np.float32
    kinks: Singles
    """(M, 3) flat squares at which the lines meet."""
    first: NDArray[np.int64]
    cells: NDArray[np.int64]


class Antennas(NamedTuple):
    """TR 36.814 table A.2.1.1-2; C cells. Without sectors, `used` is false and power_dbm all there is."""

    used: bool
    power_dbm: Singles
    """Per resource element, with the antenna's gain."""
    azimuth: Singles
    """From -pi to pi, counter-clockwise from east."""
    tilt: Singles
    horizontal: np.float32
    """dB per squared radian."""
    vertical: np.float32
    most_db: np.float32
    side_db: np.float32


class Links(NamedTuple):
    """Everything that is constant about the links of a scenario."""

    masts: Masts
    antennas: Antennas
    shadows: Shadows


def links_of(scenario: Scenario, radio: Radio) -> Links:
    """Returns the constants of a scenario, those of its `Radio`."""
    loss, cells = radio.path_loss, scenario.cells
    known: dict[tuple[float, float, float], int] = {}
    mast = [known.setdefault((cell.x_m, cell.y_m, cell.height_m), len(known)) for cell in cells]
    order = np.argsort(mast, kind="stable")
    first = np.searchsorted(np.array(mast)[order], np.arange(len(known) + 1))
    lead = order[first[:-1]]
    nowhere = np.tile(np.array([-_NEVER, 0], np.float32), (len(known), 1))
    near = loss.near.pair()[lead]
    far = near if loss.far is None else loss.far.pair()[lead]
    obstructed = nowhere if loss.obstructed is None else loss.obstructed.pair()[lead]
    break_square = np.full(len(known), _NEVER) if loss.far is None else loss.break_square.numpy()[lead, 0]
    rise = np.array([(cells[c].height_m - scenario.radio.ue_height_m) / 1000 for c in lead])
    meeting = [break_square]
    for line in (near, far):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            where = (obstructed[:, 0] - line[:, 0]) / (line[:, 1] - obstructed[:, 1])
            meeting.append(10.0 ** np.where(obstructed[:, 1] > 0, where, np.inf) - rise**2)
    masts = Masts(
        centre_m=radio.centre_m.numpy(),
        east=radio.east_km.numpy()[lead, 0],
        north=radio.north_km.numpy()[lead, 0],
        rise=rise.astype(np.float32),
        near=near,
        far=far,
        obstructed=obstructed,
        break_square=break_square,
        nearest_square=np.float32(loss.nearest_square),
        kinks=np.minimum(np.stack(meeting, axis=1), _NEVER).astype(np.float32),
        first=first.astype(np.int64),
        cells=order.astype(np.int64),
    )
    return Links(masts, _antennas(radio), shadows_of(radio.shadowing))


def _antennas(radio: Radio) -> Antennas:
    sectors, power_dbm = radio.antennas, radio.per_re_dbm.numpy()[:, 0]
    if sectors is None:
        none, zero = np.zeros_like(power_dbm), np.float32(0)
        return Antennas(False, power_dbm, none, none, zero, zero, zero, zero)
    pattern = sectors.pattern
    azimuth = np.remainder(sectors.azimuth_rad.numpy()[:, 0] + math.pi, 2 * math.pi) - math.pi
    return Antennas(
        used=True,
        power_dbm=power_dbm + np.float32(pattern.gain_dbi),
        azimuth=azimuth.astype(np.float32),
        tilt=sectors.tilt_rad.numpy()[:, 0],
        horizontal=np.float32(12 / math.radians(pattern.horizontal_beamwidth_deg) ** 2),
        vertical=np.float32(12 / math.radians(pattern.vertical_beamwidth_deg) ** 2),
        most_db=np.float32(pattern.max_attenuation_db),
        side_db=np.float32(pattern.side_lobe_limit_db),
    )


@compiled
def receive_interval(links: Any, position_m: Any, times: Any, periods: int, l1_dbm: Any, received_mw: Any) -> None:
    """Computes what one environment's UEs receive in an interval.

    Args:
        links: The Links.
        position_m: (n + 1, U, 2) float64 positions in equal steps from its start to its end; n is a multiple of K.
        times: (P,) float64 points in time, in steps, from 0 to n.
        periods: K, how many L1 measurements the interval has.
        l1_dbm: (C, K, U) float32, filled with the means in dB of the samples of 5 ms in each measurement of RSRP,
            TS 36.214 5.1.1.
        received_mw: (C, P, U) float32, filled with the power of a resource element at the points in time.
    """
    masts, antennas, shadows = links
    steps, ues = position_m.shape[0] - 1, position_m.shape[1]
    place = np.empty((2, steps + 1, ues), np.float32)
    for t in range(steps + 1):
        for axis in range(2):
            for u in range(ues):
                place[axis, t, u] = (position_m[t, u, axis] - masts.centre_m[axis]) / 1000
    per_period = steps // periods
    stride = per_period if _straight(position_m, per_period) else 1
    per_period //= stride
    segments, samples = steps // stride, SAMPLES // per_period

    # First both points of all segments, then the points in time; in one row each, for long loops.
    points = 2 * segments + len(times)
    where = np.empty((2, points, ues), np.float32)
    middle, apart = (samples - 1) / 2, math.sqrt((samples * samples - 1) / 12)
    for axis in range(2):
        for half in range(2):
            # The two points whose mean is that of all samples, to the third moment.
            share = np.float32((middle + (2 * half - 1) * apart) / samples)
            for s in range(segments):
                _between(
                    place[axis, s * stride], place[axis, (s + 1) * stride], share, where[axis, half * segments + s]
                )
        for p in range(len(times)):
            row = min(int(times[p] + 1e-9), steps - 1)
            share = np.float32(times[p] - row)
            _between(place[axis, row], place[axis, row + 1], share, where[axis, 2 * segments + p])

    size, split = points * ues, segments * ues
    x, y = where[0].reshape(size), where[1].reshape(size)
    flat, loss, azimuth, down = (
        np.empty(size, np.float32),
        np.empty(size, np.float32),
        np.empty(size, np.float32),
        np.empty(size, np.float32),
    )
    most = 0
    for m in range(len(masts.east)):
        most = max(most, masts.first[m + 1] - masts.first[m])
    mean = np.empty((most, split), np.float32)
    rough = np.empty(split, np.int32)
    shares = (np.arange(samples) / samples).astype(np.float32)
    sampled, chosen = np.empty((6, _TOGETHER * len(shares)), np.float32), np.empty(_TOGETHER, np.int64)
    weight = _ONE / np.float32(per_period)
    l1_dbm[:] = _ZERO
    for m in range(len(masts.east)):
        cells = masts.cells[masts.first[m] : masts.first[m + 1]]
        _see(masts, antennas.used, m, x, y, flat, loss, azimuth, down)
        for c in cells:
            power = received_mw[c].reshape(size - 2 * split)
            _receive(antennas, c, loss[2 * split :], azimuth[2 * split :], down[2 * split :], power)
        for s in range(segments):
            one = s * ues
            _find_rough(
                masts, m, place[0, s * stride], place[1, s * stride], place[0, (s + 1) * stride],
                place[1, (s + 1) * stride], flat[one : one + ues], flat[split + one : split + one + ues],
                rough[one : one + ues],
            )  # fmt: skip
        for j in range(len(cells)):
            _mean_of_two(antennas, cells[j], split, loss, azimuth, down, mean[j], rough)
        count = 0
        for i in range(split):
            if rough[i] != 0:
                chosen[count], count = i, count + 1
            if count == _TOGETHER or (i == split - 1 and count > 0):
                _sample(masts, antennas, m, cells, place, stride, chosen[:count], shares, sampled, mean)
                count = 0
        for j in range(len(cells)):
            for s in range(segments):
                l1, part = l1_dbm[cells[j], s // per_period], mean[j, s * ues : (s + 1) * ues]
                for u in range(ues):
                    l1[u] += weight * part[u]
    if shadows.loss_db.shape[0] > 0:
        shade(shadows, place, where[:, 2 * segments :], stride, per_period, samples, l1_dbm, received_mw)
    for c in range(len(received_mw)):
        power = received_mw[c].reshape(size - 2 * split)
        for i in range(len(power)):
            power[i] = exp10(power[i] * _TENTH)


@compiled
def _between(begin: Any, end: Any, share: Any, out: Any) -> None:
    for u in range(len(out)):
        out[u] = begin[u] + (end[u] - begin[u]) * share


@compiled
def _straight(position_m: Any, steps: int) -> bool:
    """Whether the UEs move straight and evenly through each `steps` steps; to 1 um, so that RSRP is the same."""
    for begin in range(0, position_m.shape[0] - 1, steps):
        for t in range(1, steps):
            share = t / steps
            for u in range(position_m.shape[1]):
                for axis in range(2):
                    from_m, to_m = position_m[begin, u, axis], position_m[begin + steps, u, axis]
                    if abs(position_m[begin + t, u, axis] - from_m - (to_m - from_m) * share) > 1e-6:
                        return False
    return True


@compiled
def _see(masts: Any, angles: bool, m: int, x: Any, y: Any, flat: Any, loss: Any, azimuth: Any, down: Any) -> None:
    """Fills in flat squares, path loss and angles from mast `m` to points."""
    near_0, near_1 = masts.near[m, 0], masts.near[m, 1]
    far_0, far_1 = masts.far[m, 0], masts.far[m, 1]
    obstructed_0, obstructed_1 = masts.obstructed[m, 0], masts.obstructed[m, 1]
    east, north, rise, break_square = masts.east[m], masts.north[m], masts.rise[m], masts.break_square[m]
    nearest = masts.nearest_square
    height = rise * rise
    for u in range(len(x)):
        e, n = x[u] - east, y[u] - north
        f = e * e + n * n
        flat[u] = f
        square = f + height
        lg = log10(square if square > nearest else nearest)
        line = near_0 + near_1 * lg if f <= break_square else far_0 + far_1 * lg
        other = obstructed_0 + obstructed_1 * lg
        loss[u] = line if line > other else other
    if angles:
        for u in range(len(x)):
            azimuth[u] = atan2(y[u] - north, x[u] - east)
            down[u] = atan2(rise, np.sqrt(flat[u]))


@compiled
def _aside_db(antennas: Any, c: int, azimuth: Any) -> Any:
    """Attenuation in azimuth, unlimited."""
    angle = abs(azimuth - antennas.azimuth[c])
    other = _TWO_PI - angle
    angle = angle if angle < other else other
    return antennas.horizontal * angle * angle


@compiled
def _together_db(antennas: Any, aside_db: Any, below_db: Any) -> Any:
    """Both attenuations, limited."""
    aside_db = aside_db if aside_db < antennas.most_db else antennas.most_db
    below_db = below_db if below_db < antennas.side_db else antennas.side_db
    total = aside_db + below_db
    return total if total < antennas.most_db else antennas.most_db


@compiled
def _receive(antennas: Any, c: int, loss: Any, azimuth: Any, down: Any, rsrp_dbm: Any) -> None:
    """Fills in the RSRP of cell `c` at points."""
    power_dbm, tilt, vertical = antennas.power_dbm[c], antennas.tilt[c], antennas.vertical
    if not antennas.used:
        for u in range(len(loss)):
            rsrp_dbm[u] = power_dbm - loss[u]
        return
    for u in range(len(loss)):
        below = down[u] - tilt
        lost_db = _together_db(antennas, _aside_db(antennas, c, azimuth[u]), vertical * below * below)
        rsrp_dbm[u] = power_dbm - loss[u] - lost_db


@compiled
def _find_rough(
    masts: Any, m: int, from_x: Any, from_y: Any, to_x: Any, to_y: Any, flat_1: Any, flat_2: Any, rough: Any
) -> None:
    """Marks the UEs that are close to mast `m`, or beyond a kink of its path loss for a part of the way."""
    kink_0, kink_1, kink_2 = masts.kinks[m, 0], masts.kinks[m, 1], masts.kinks[m, 2]
    for u in range(len(rough)):
        east, north = to_x[u] - from_x[u], to_y[u] - from_y[u]
        low = flat_1[u] if flat_1[u] < flat_2[u] else flat_2[u]
        high = flat_1[u] if flat_1[u] > flat_2[u] else flat_2[u]
        around = _AROUND * (high - low)
        low, high = low - around, high + around
        rough[u] = (
            (low < _CLOSE * (east * east + north * north))
            | ((low < kink_0) & (kink_0 < high))
            | ((low < kink_1) & (kink_1 < high))
            | ((low < kink_2) & (kink_2 < high))
        )


@compiled
def _passes(one: Any, two: Any, limit: Any) -> bool:
    """Whether a value may pass a limit between the samples, of which two points are known."""
    around = _AROUND * (two - one)
    return (one - around < limit) != (two + around < limit)


@compiled
def _mean_of_two(antennas: Any, c: int, split: int, loss: Any, azimuth: Any, down: Any, mean: Any, rough: Any) -> None:
    """Fills in the mean RSRP of cell `c` over points i and split + i, and marks where the gain has a kink between."""
    power_dbm = antennas.power_dbm[c]
    if not antennas.used:
        for i in range(split):
            mean[i] = power_dbm - _HALF * (loss[i] + loss[split + i])
        return
    tilt, vertical, most_db, side_db = antennas.tilt[c], antennas.vertical, antennas.most_db, antennas.side_db
    behind_db = antennas.horizontal * _BEHIND * _BEHIND
    # A beam so wide that its limit lies behind the antenna has its kink there.
    behind_db = behind_db if behind_db < most_db else _NEVER
    for i in range(split):
        aside_1, aside_2 = _aside_db(antennas, c, azimuth[i]), _aside_db(antennas, c, azimuth[split + i])
        below_1, below_2 = down[i] - tilt, down[split + i] - tilt
        below_1, below_2 = vertical * below_1 * below_1, vertical * below_2 * below_2
        both_1, both_2 = _together_db(antennas, aside_1, below_1), _together_db(antennas, aside_2, below_2)
        mean[i] = power_dbm - _HALF * (loss[i] + loss[split + i] + both_1 + both_2)
        rough[i] |= np.int32(
            _passes(aside_1, aside_2, most_db)
            | _passes(below_1, below_2, side_db)
            | _passes(both_1, both_2, most_db)
            | (aside_1 > behind_db)
        )


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _sum(values: Any) -> Any:
    """The sum in any order, for vectors."""
    total = _ZERO
    for value in values:
        total += value
    return total


@compiled
def _sample(
    masts: Any, antennas: Any, m: int, cells: Any, place: Any, stride: int, chosen: Any, shares: Any, work: Any,
    mean: Any,
) -> None:  # fmt: skip
    """Fills in the mean RSRP of some UEs, on some straight ways, in all cells of a mast over all samples."""
    ues, points, size = place.shape[2], len(shares), len(chosen) * len(shares)
    for n in range(len(chosen)):
        begin, u = chosen[n] // ues * stride, chosen[n] % ues
        for axis in range(2):
            row, start = work[axis, n * points : (n + 1) * points], place[axis, begin, u]
            move = place[axis, begin + stride, u] - start
            for k in range(points):
                row[k] = start + shares[k] * move
    x, y, flat, loss, azimuth, down = (
        work[0, :size], work[1, :size], work[2, :size], work[3, :size], work[4, :size], work[5, :size],
    )  # fmt: skip
    _see(masts, antennas.used, m, x, y, flat, loss, azimuth, down)
    for j in range(len(cells)):
        _receive(antennas, cells[j], loss, azimuth, down, flat)
        for n in range(len(chosen)):
            mean[j, chosen[n]] = _sum(flat[n * points : (n + 1) * points]) / np.float32(points)
