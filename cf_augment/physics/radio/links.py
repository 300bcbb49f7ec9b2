"""Path loss and antennas in compiled loops: what `Radio` computes in torch.

Cells that share a mast share distances and angles.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cf_augment.physics.radio.rsrp import Radio
from cf_augment.physics.radio.shades import Shadows, shadows_of
from cf_augment.physics.radio.vector_math import atan2, compiled, log10
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints, Singles

_TWO_PI = np.float32(2 * math.pi)
NEVER = np.float32(3e38)


class Masts(NamedTuple):
    """Positions and path losses of M masts, each with the cells cells[first[m] : first[m + 1]].

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
    first: Ints
    cells: Ints


class Antennas(NamedTuple):
    """TR 36.814 table A.2.1.1-2; C cells. Without sectors, `used` is false and power_dbm all there is."""

    used: bool
    power_dbm: Singles
    """Per resource element, with the antenna's gain."""
    azimuth: Singles
    """Azimuth of each cell from -pi to pi, counter-clockwise from east."""
    tilt: Singles
    horizontal: np.float32
    """dB per squared radian."""
    vertical: np.float32
    most_db: np.float32
    side_db: np.float32


class Sight(NamedTuple):
    """What a mast's path to each of n points is like; float32 (n,)."""

    square: Singles
    """Flat square of the distance in km^2."""
    loss_db: Singles
    """Path loss."""
    azimuth: Singles
    """Of the point, from -pi to pi, counter-clockwise from east; not set without sectors."""
    down: Singles
    """How far below the antennas' horizon the point is seen, in radian; not set without sectors."""


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
    nowhere = np.tile(np.array([-NEVER, 0], np.float32), (len(known), 1))
    near = loss.near.pair()[lead]
    far = near if loss.far is None else loss.far.pair()[lead]
    obstructed = nowhere if loss.obstructed is None else loss.obstructed.pair()[lead]
    break_square = np.full(len(known), NEVER) if loss.far is None else loss.break_square.numpy()[lead, 0]
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
        kinks=np.minimum(np.stack(meeting, axis=1), NEVER).astype(np.float32),
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
def see(links: Links, m: int, east: Singles, north: Singles, sight: Sight) -> None:
    """Fills in how mast `m` sees points (n,), which are in km from the centre."""
    masts = links.masts
    near_0, near_1 = masts.near[m, 0], masts.near[m, 1]
    far_0, far_1 = masts.far[m, 0], masts.far[m, 1]
    obstructed_0, obstructed_1 = masts.obstructed[m, 0], masts.obstructed[m, 1]
    mast_east, mast_north, rise, break_square = masts.east[m], masts.north[m], masts.rise[m], masts.break_square[m]
    nearest = masts.nearest_square
    height = rise * rise
    for u in range(len(east)):
        e, n = east[u] - mast_east, north[u] - mast_north
        f = e * e + n * n
        sight.square[u] = f
        square = f + height
        lg = log10(square if square > nearest else nearest)
        line = near_0 + near_1 * lg if f <= break_square else far_0 + far_1 * lg
        obstructed = obstructed_0 + obstructed_1 * lg
        sight.loss_db[u] = line if line > obstructed else obstructed
    if links.antennas.used:
        for u in range(len(east)):
            sight.azimuth[u] = atan2(north[u] - mast_north, east[u] - mast_east)
            sight.down[u] = atan2(rise, np.sqrt(sight.square[u]))


@compiled
def aside_db(antennas: Antennas, c: int, azimuth: np.float32) -> np.float32:
    """Returns the attenuation of cell `c` in an azimuth, without its limit."""
    angle = abs(azimuth - antennas.azimuth[c])
    other_way = _TWO_PI - angle
    angle = angle if angle < other_way else other_way
    return antennas.horizontal * angle * angle


@compiled
def receive(antennas: Antennas, c: int, sight: Sight, rsrp_dbm: Singles) -> None:
    """Fills in the RSRP of cell `c` at points (n,) that its mast sees."""
    power_dbm, tilt, vertical = antennas.power_dbm[c], antennas.tilt[c], antennas.vertical
    most_db, side_db = antennas.most_db, antennas.side_db
    if not antennas.used:
        for u in range(len(rsrp_dbm)):
            rsrp_dbm[u] = power_dbm - sight.loss_db[u]
        return
    for u in range(len(rsrp_dbm)):
        below = sight.down[u] - tilt
        below = vertical * below * below
        # That the attenuation in azimuth is limited too makes no difference: what is limited is the sum.
        total = aside_db(antennas, c, sight.azimuth[u]) + (below if below < side_db else side_db)
        rsrp_dbm[u] = power_dbm - sight.loss_db[u] - (total if total < most_db else most_db)
