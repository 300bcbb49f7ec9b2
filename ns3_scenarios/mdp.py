"""The Markov decision process: actions, observations and rewards as pure functions of StepKpis.

Written once; the environment, the dataset and the counterfactuals all use these. Leading batch dimensions
(...) are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy import sparse

from ns3_scenarios.grids import CIO_GRID, HYSTERESIS_GRID, TIMES_TO_TRIGGER_MS
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import RewardName, Scenario
from sumo_mobility.base.arrays import AnyFloats, Floats, Ints, Singles

MARGIN_EDGES_DB = (-6.0, -3.0, 0.0, 3.0, 6.0)
"""CIO values at which cell-kpi counts the UEs that would move."""
_RSRP_CENTRE_DBM, _RSRP_SCALE_DB = -90.0, 20.0


def action_size(scenario: Scenario) -> int:
    """Length A of the action: a value a neighbour pair, cell or edge, as handover.action says, and what is steered."""
    return _offsets(scenario) + len(scenario.handover.steer) * len(scenario.cells)


def control_from_action(scenario: Scenario, action: AnyFloats) -> Floats:
    """Returns what Backend.step takes (..., N): the CIO of an action, then what handover.steer names.

    Args:
        scenario: The scenario.
        action: (..., A) in [-1, 1], values beyond are clipped. First what `cio_from_action` reads; then, where steered,
            the hysteresis of each serving cell and then the time to trigger of each: 0 is the scenario's own value,
            -1 and 1 are the ends of its range. The hysteresis is linear in between, and snaps where handover.grid is
            standard; the time to trigger goes through the values of TIMES_TO_TRIGGER_MS.
    """
    handover, cells = scenario.handover, len(scenario.cells)
    parts = [cio_from_action(scenario, action)]
    steered: Floats = np.clip(np.asarray(action, dtype=np.float64)[..., _offsets(scenario) :], -1.0, 1.0)
    if "hysteresis" in handover.steer:
        low, high = handover.hysteresis_range_db
        hysteresis_db = np.interp(steered[..., :cells], (-1, 0, 1), (low, handover.hysteresis_db, high))
        parts.append(handover.signalled(hysteresis_db, HYSTERESIS_GRID))
    if "time-to-trigger" in handover.steer:
        low_ms, high_ms = handover.time_to_trigger_range_ms
        levels = [TIMES_TO_TRIGGER_MS.index(value) for value in (low_ms, handover.time_to_trigger_ms, high_ms)]
        index = np.rint(np.interp(steered[..., -cells:], (-1, 0, 1), levels)).astype(int)
        parts.append(np.array(TIMES_TO_TRIGGER_MS, dtype=np.float64)[index])
    return np.concatenate(parts, axis=-1)


def cio_from_action(scenario: Scenario, action: AnyFloats) -> Floats:
    """Returns the CIO of each neighbour pair in dB, (..., E), within handover.cio_range_db.

    Where handover.grid is standard, it is the nearest value of Q-OffsetRange (TS 36.331 6.3.4), of two as near the one
    nearer to 0; differences of cells and values of edges snap once they are the CIO of a pair.

    Args:
        scenario: The scenario; its handover.action names the form.
        action: (..., A) in [-1, 1], values beyond are clipped; it begins with the offsets. `pair`: the CIO over its
            range. `cell`: an offset o of each cell over half that range; TS 36.331 5.5.4.4 with Ocn = o of the
            neighbour and Ocp = o of the serving cell, which is a CIO of o_n - o_s. `edge`: the CIO from the cell of
            lower index to the other one over its range, and its negative the other way; edges in the order of their
            cells.
    """
    clipped: Floats = np.clip(np.asarray(action, dtype=np.float64)[..., : _offsets(scenario)], -1.0, 1.0)
    return scenario.handover.signalled(_cio_share(scenario, clipped) * scenario.handover.cio_range_db, CIO_GRID)


def action_from_cio(scenario: Scenario, cio_db: Floats) -> Floats:
    """Returns the action (..., A) in [-1, 1] whose CIO is `cio_db` (..., E), or is nearest to it in least squares.

    Of the offsets of cells, which are defined but for a common constant, it returns those that are centred. What else
    is steered is 0, the scenario's own value. Nothing snaps here.
    """
    share = np.asarray(cio_db, dtype=np.float64) / scenario.handover.cio_range_db
    offsets = share if scenario.handover.action == "pair" else _nearest_offsets(scenario, share)
    steered = np.zeros((*share.shape[:-1], action_size(scenario) - offsets.shape[-1]))
    return np.concatenate([np.clip(offsets, -1.0, 1.0), steered], axis=-1)


def _nearest_offsets(scenario: Scenario, share: Floats) -> Floats:
    """Least-squares inverse of _cio_share."""
    offsets: Floats = share @ np.linalg.pinv(_cio_share(scenario, np.eye(_offsets(scenario))))
    if scenario.handover.action == "cell":
        links = np.ones(len(scenario.neighbor_pairs)), np.transpose(scenario.neighbor_pairs)
        graph = sparse.coo_array(links, (len(scenario.cells),) * 2)
        count, part = sparse.csgraph.connected_components(graph, directed=False)
        for cells in (part == index for index in range(count)):
            middle = offsets[..., cells].max(-1, keepdims=True) + offsets[..., cells].min(-1, keepdims=True)
            offsets[..., cells] -= middle / 2
    return offsets


def _offsets(scenario: Scenario) -> int:
    """How many values of an action are about CIO."""
    if scenario.handover.action == "cell":
        return len(scenario.cells)
    return len(scenario.neighbor_pairs) if scenario.handover.action == "pair" else len(_edges(scenario))


def _cio_share(scenario: Scenario, action: Floats) -> Floats:
    """CIO over its range (..., E), linear in the action (..., A)."""
    if scenario.handover.action == "pair":
        return action
    serving, neighbor = np.transpose(scenario.neighbor_pairs)
    if scenario.handover.action == "cell":
        return (action[..., neighbor] - action[..., serving]) / 2
    index = {edge: k for k, edge in enumerate(_edges(scenario))}
    edge = [index[min(pair), max(pair)] for pair in scenario.neighbor_pairs]
    return action[..., edge] * np.where(serving < neighbor, 1.0, -1.0)


def _edges(scenario: Scenario) -> list[tuple[int, int]]:
    """Unordered neighbour pairs, sorted."""
    return sorted({(min(pair), max(pair)) for pair in scenario.neighbor_pairs})


def observe(scenario: Scenario, kpis: StepKpis, cio_db: Floats) -> Singles:
    """Returns the observation that `scenario.observation` names, (..., O) float32, of the order of 1.

    Args:
        scenario: The scenario.
        kpis: KPIs of the last interval.
        cio_db: (..., E) CIO that was in force during it.
    """
    return OBSERVATIONS[scenario.observation](scenario, kpis, cio_db).astype(np.float32, copy=False)


def observation_size(scenario: Scenario) -> int:
    """Length O of the observation."""
    cells, pairs = len(scenario.cells), len(scenario.neighbor_pairs)
    if scenario.observation == "cell-kpi":
        return 3 * cells + (len(MARGIN_EDGES_DB) + 1) * pairs
    return scenario.mobility.ues * cells


def reward(scenario: Scenario, kpis: StepKpis) -> Floats:
    """Returns the sum that `scenario.reward` names, less the cost of the handovers, (...)."""
    parts = [weight * REWARDS[name](scenario, kpis) for name, weight in scenario.reward_weights.items()]
    cost = scenario.handover_cost / scenario.mobility.ues * kpis.handovers
    return np.asarray(np.sum(parts, axis=0) - cost)


def load_std(kpis: StepKpis) -> Floats:
    """Standard deviation over the cells of the PRB utilisation, (...)."""
    return np.asarray(kpis.prb_utilization.std(axis=-1))


def jain(kpis: StepKpis) -> Floats:
    """Jain's index of the cells' PRB utilisation, (...) in [1/C, 1]; 1 if no cell carries anything."""
    load = kpis.prb_utilization
    square = (load**2).sum(axis=-1) * load.shape[-1]
    return np.where(square > 0, load.sum(axis=-1) ** 2 / np.where(square > 0, square, 1), 1.0)


def p5_throughput_bps(kpis: StepKpis) -> Floats:
    """5th percentile over the UEs of the throughput, (...) in bit/s."""
    return np.asarray(np.percentile(kpis.ue_throughput_bps, 5, axis=-1))


def blocked(scenario: Scenario, kpis: StepKpis) -> Floats:
    """Share of the UEs that receive less than their constant rate needs, (...) in [0, 1].

    A packet less counts for nothing, since sources do not keep step with the intervals.
    """
    packet_bps = 8 * scenario.traffic.packet_bytes / scenario.episode.control_interval_s
    needed_bps = scenario.traffic.ue_offered_bps(scenario.mobility.ues) - packet_bps
    return np.asarray((kpis.ue_throughput_bps < needed_bps * (1 - 1e-9)).mean(axis=-1))


def margins_db(scenario: Scenario, kpis: StepKpis) -> Floats:
    """For each pair (i, j) and UE: RSRP_i - RSRP_j in dB if i serves the UE, else NaN; (..., E, U)."""
    serving = np.array([pair[0] for pair in scenario.neighbor_pairs])
    neighbor = np.array([pair[1] for pair in scenario.neighbor_pairs])
    rsrp = np.swapaxes(kpis.ue_rsrp_dbm, -1, -2)
    served = kpis.ue_serving_cell[..., None, :] == serving[:, None]
    return np.where(served, rsrp[..., serving, :] - rsrp[..., neighbor, :], np.nan)


def _cell_kpi(scenario: Scenario, kpis: StepKpis, cio_db: Floats) -> Floats:
    """Per cell: load, share of the UEs, share of the offered traffic served; per pair: margins and CIO."""
    ues = kpis.ue_serving_cell.shape[-1]
    offered = scenario.traffic.offered_bps * ues / len(scenario.cells)
    moving = _moving(scenario, kpis)
    return np.concatenate(
        [
            kpis.prb_utilization,
            kpis.connected_ues / ues,
            kpis.served_bps / offered,
            moving,
            np.broadcast_to(cio_db / scenario.handover.cio_range_db, (*moving.shape[:-1], np.shape(cio_db)[-1])),
        ],
        axis=-1,
        dtype=np.float32,
    )


def _moving(scenario: Scenario, kpis: StepKpis) -> Singles:
    """Share of the UEs that would move at each of MARGIN_EDGES_DB and for each pair, (..., 5 E); edge by edge."""
    # Imported here, so that a process that does not observe need not load numba.
    from ns3_scenarios.margins import find_moving

    first, neighbors = _neighbors(scenario.neighbor_pairs, len(scenario.cells))
    threshold_db = scenario.handover.a3_offset_db + scenario.handover.hysteresis_db
    *batch, ues, cells = kpis.ue_rsrp_dbm.shape
    rsrp_dbm = np.ascontiguousarray(kpis.ue_rsrp_dbm, dtype=np.float64).reshape(-1, ues, cells)
    serving = np.ascontiguousarray(kpis.ue_serving_cell, dtype=np.int64).reshape(-1, ues)
    shares = np.empty((len(serving), len(MARGIN_EDGES_DB), len(neighbors)), np.float32)
    find_moving(rsrp_dbm, serving, first, neighbors, threshold_db, np.array(MARGIN_EDGES_DB), shares)
    return shares.reshape(*batch, -1)


@lru_cache(maxsize=8)
def _neighbors(pairs: tuple[tuple[int, int], ...], cells: int) -> tuple[Ints, Ints]:
    """Returns the first pair of each serving cell (C + 1,) and the neighbour of each pair (E,)."""
    serving, neighbor = np.array(pairs).T
    return np.searchsorted(serving, np.arange(cells + 1)), np.ascontiguousarray(neighbor)


def _rsrp_matrix(_scenario: Scenario, kpis: StepKpis, _cio_db: Floats) -> Floats:
    """RSRP of every UE to every cell, centred; the reference system's state."""
    centred = (kpis.ue_rsrp_dbm - _RSRP_CENTRE_DBM) / _RSRP_SCALE_DB
    return centred.reshape(*centred.shape[:-2], -1)


OBSERVATIONS: dict[str, Callable[[Scenario, StepKpis, Floats], Floats]] = {
    "cell-kpi": _cell_kpi,
    "rsrp-matrix": _rsrp_matrix,
}

REWARDS: dict[RewardName, Callable[[Scenario, StepKpis], Floats]] = {
    "load-std": lambda _scenario, kpis: -load_std(kpis),
    "p5-throughput": lambda scenario, kpis: p5_throughput_bps(kpis) / scenario.traffic.offered_bps,
    "jain": lambda _scenario, kpis: jain(kpis),
    "blocked": lambda scenario, kpis: -blocked(scenario, kpis),
}
