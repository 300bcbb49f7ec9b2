"""Actions: numbers from -1 to 1, and the offsets in dB that they stand for. Leading batch dimensions (...) are kept."""

from __future__ import annotations

import numpy as np
from gymnasium.spaces import Box
from scipy import sparse

from ns3_scenarios.control import Control
from ns3_scenarios.grids import CIO_GRID, HYSTERESIS_GRID, TIMES_TO_TRIGGER_MS
from ns3_scenarios.network import Network
from sumo_mobility.base.arrays import AnyFloats, Floats


def action_size(network: Network) -> int:
    """Length A of the action: a value a neighbour pair, cell or edge, as handover.action says, and what is steered."""
    return _offsets(network) + len(network.handover.steer) * len(network.cells)


def action_box(network: Network) -> Box:
    """The space of an action."""
    return Box(-1.0, 1.0, (action_size(network),), np.float32)


def control_from_action(network: Network, action: AnyFloats) -> Control:
    """Returns the control that an action stands for, with the action's batch dimensions.

    Args:
        network: The scenario.
        action: (..., A) in [-1, 1], values beyond are clipped. First what `cio_from_action` reads; then, where steered,
            the hysteresis of each serving cell and then the time to trigger of each: 0 is the scenario's own value,
            -1 and 1 are the ends of its range. The hysteresis is linear in between, and snaps where handover.grid is
            standard; the time to trigger goes through the values of TIMES_TO_TRIGGER_MS.
    """
    handover, cells = network.handover, len(network.cells)
    hysteresis_db = time_to_trigger_ms = None
    steered: Floats = np.clip(np.asarray(action, dtype=np.float64)[..., _offsets(network) :], -1.0, 1.0)
    if "hysteresis" in handover.steer:
        low, high = handover.hysteresis_range_db
        interpolated_db = np.interp(steered[..., :cells], (-1, 0, 1), (low, handover.hysteresis_db, high))
        hysteresis_db = handover.signalled(interpolated_db, HYSTERESIS_GRID)
    if "time-to-trigger" in handover.steer:
        low_ms, high_ms = handover.time_to_trigger_range_ms
        levels = [TIMES_TO_TRIGGER_MS.index(value) for value in (low_ms, handover.time_to_trigger_ms, high_ms)]
        index = np.rint(np.interp(steered[..., -cells:], (-1, 0, 1), levels)).astype(int)
        time_to_trigger_ms = np.array(TIMES_TO_TRIGGER_MS, dtype=np.float64)[index]
    return Control.of(network, cio_from_action(network, action), hysteresis_db, time_to_trigger_ms)


def cio_from_action(network: Network, action: AnyFloats) -> Floats:
    """Returns the CIO of each neighbour pair in dB, (..., E), within handover.cio_range_db.

    Where handover.grid is standard, it is the nearest value of Q-OffsetRange (TS 36.331 6.3.4), of two as near the one
    nearer to 0; differences of cells and values of edges snap once they are the CIO of a pair.

    Args:
        network: The scenario; its handover.action names the form.
        action: (..., A) in [-1, 1], values beyond are clipped; it begins with the offsets. `pair`: the CIO over its
            range. `cell`: an offset o of each cell over half that range; TS 36.331 5.5.4.4 with Ocn = o of the
            neighbour and Ocp = o of the serving cell, which is a CIO of o_n - o_s. `edge`: the CIO from the cell of
            lower index to the other one over its range, and its negative the other way; edges in the order of their
            cells.
    """
    clipped: Floats = np.clip(np.asarray(action, dtype=np.float64)[..., : _offsets(network)], -1.0, 1.0)
    return network.handover.signalled(_cio_share(network, clipped) * network.handover.cio_range_db, CIO_GRID)


def cio_per_action_db(network: Network) -> Floats:
    """Returns the matrix (A, E) in dB with which an action in [-1, 1] gives the CIO before it snaps to any grid."""
    per_offset_db = _cio_share(network, np.eye(_offsets(network))) * network.handover.cio_range_db
    return np.pad(per_offset_db, ((0, action_size(network) - len(per_offset_db)), (0, 0)))


def action_from_cio(network: Network, cio_db: Floats) -> Floats:
    """Returns the action (..., A) in [-1, 1] whose CIO is `cio_db` (..., E), or is nearest to it in least squares.

    Of the offsets of cells, which are defined but for a common constant, it returns those that are centred. What else
    is steered is 0, the scenario's own value. Nothing snaps here.
    """
    share = np.asarray(cio_db, dtype=np.float64) / network.handover.cio_range_db
    offsets = share if network.handover.action == "pair" else _nearest_offsets(network, share)
    steered = np.zeros((*share.shape[:-1], action_size(network) - offsets.shape[-1]))
    return np.concatenate([np.clip(offsets, -1.0, 1.0), steered], axis=-1)


def _nearest_offsets(network: Network, share: Floats) -> Floats:
    """Least-squares inverse of _cio_share."""
    offsets: Floats = share @ np.linalg.pinv(_cio_share(network, np.eye(_offsets(network))))
    if network.handover.action == "cell":
        links = np.ones(len(network.neighbor_pairs)), np.transpose(network.neighbor_pairs)
        graph = sparse.coo_array(links, (len(network.cells),) * 2)
        count, part = sparse.csgraph.connected_components(graph, directed=False)
        for cells in (part == index for index in range(count)):
            middle = offsets[..., cells].max(-1, keepdims=True) + offsets[..., cells].min(-1, keepdims=True)
            offsets[..., cells] -= middle / 2
    return offsets


def _offsets(network: Network) -> int:
    """Returns how many values of an action set CIOs."""
    if network.handover.action == "cell":
        return len(network.cells)
    return len(network.neighbor_pairs) if network.handover.action == "pair" else len(_edges(network))


def _cio_share(network: Network, action: Floats) -> Floats:
    """CIO over its range (..., E), linear in the action (..., A)."""
    if network.handover.action == "pair":
        return action
    serving, neighbor = np.transpose(network.neighbor_pairs)
    if network.handover.action == "cell":
        return (action[..., neighbor] - action[..., serving]) / 2
    index = {edge: k for k, edge in enumerate(_edges(network))}
    edge = [index[min(pair), max(pair)] for pair in network.neighbor_pairs]
    return action[..., edge] * np.where(serving < neighbor, 1.0, -1.0)


def _edges(network: Network) -> list[tuple[int, int]]:
    """Unordered neighbour pairs, sorted."""
    return sorted({(min(pair), max(pair)) for pair in network.neighbor_pairs})
