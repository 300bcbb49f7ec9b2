"""Facts about the evaluation, and about the network with its radio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ns3_scenarios.neighbors import NeighborsByCount, NeighborsByDistance
from ns3_scenarios.scenario import Scenario
from py_agent.report.data import ReportData, Table

_FORMS = {
    "pair": "",
    "cell": ", the difference of two cells' offsets",
    "edge": ", its negative in return",
}
_UNITS = {"db": " dB", "dbi": " dBi", "deg": "°", "m": " m", "s": " s"}
_MHZ = {25: 5, 50: 10, 100: 20}


def evaluation_facts(data: ReportData) -> dict[str, str]:
    """Returns what was judged, and on what."""
    scenario = data.scenario
    records = [episode.metadata for episodes in data.episodes.values() for episode in episodes]
    traces = _distinct([record.trace_name for record in records])
    return {
        "Judged in": data.judged_in,
        "Policies": ", ".join(data.policies),
        "Traces": f"{len(traces)}: {_few(traces)}",
        "Seeds": _few(_distinct([str(record.seed) for record in records])),
        **scenario_facts(scenario),
    }


def scenario_facts(scenario: Scenario) -> dict[str, str]:
    """Returns the size of the network and of an episode, and what an action is."""
    return {
        "Network": f"{len(scenario.cells)} cells, {len(scenario.neighbor_pairs)} ordered neighbour pairs",
        "UEs": f"{scenario.mobility.ues}, {scenario.traffic.offered_bps / 1e3:g} kbit/s offered to each",
        "Episode": f"{scenario.episode.steps} steps of {scenario.episode.control_interval_s:g} s",
        "Action": f"CIO of each pair within ±{scenario.handover.cio_range_db:g} dB{_FORMS[scenario.handover.action]}"
        + "".join(f", {name} of each cell" for name in scenario.handover.steer)
        + (", on the grid of TS 36.331" if scenario.handover.grid == "standard" else ""),
    }


def network_facts(scenario: Scenario) -> dict[str, str]:
    """The radio, the handover and the traffic, with their units."""
    radio, handover, traffic = scenario.radio, scenario.handover, scenario.traffic
    shadowing = radio.shadowing
    sigma = f"log-normal, σ {shadowing.std_db:g} dB, 1/e at {shadowing.decorrelation_m:g} m" if shadowing else "none"
    powers = _range([cell.tx_power_dbm for cell in scenario.cells])
    heights = _range([cell.height_m for cell in scenario.cells])
    uplink = f", {traffic.uplink_bps / 1e3:g} kbit/s uplink" if traffic.uplink_bps else ""
    weights = ", weighted by UE" if traffic.ue_weights else ""
    reward = " + ".join(
        name if weight == 1 else f"{weight:g} × {name}" for name, weight in scenario.reward_weights.items()
    )
    cost = f" − {scenario.handover_cost:g} a handover and UE" if scenario.handover_cost else ""
    return {
        "Carrier": f"{radio.carrier_hz / 1e6:g} MHz (EARFCN {radio.dl_earfcn})",
        "Bandwidth": f"{radio.dl_bandwidth_rb} PRBs ({_MHZ[radio.dl_bandwidth_rb]} MHz)",
        "Transmit power": f"{powers} dBm",
        "Antennas": f"{_named(radio.antenna, 'pattern')}, {heights} m high",
        "Path loss": _named(radio.path_loss, "model"),
        "Shadowing": sigma + (", buildings" if shadowing and shadowing.buildings else ""),
        "UE": f"{radio.ue_height_m:g} m high, noise figure {radio.ue_noise_figure_db:g} dB",
        "Scheduler": {"pf": "proportional fair", "rr": "round robin"}[radio.scheduler],
        "CQI from": {"control": "the control region", "pdsch": "the data region (PDSCH)"}[radio.cqi],
        "RRC": radio.rrc,
        "Event A3": f"offset {handover.a3_offset_db:g} dB, hysteresis {handover.hysteresis_db:g} dB, time to trigger "
        f"{handover.time_to_trigger_ms} ms",
        "Radio link failure": f"N310 {scenario.radio_link.n310}, N311 {scenario.radio_link.n311}, T310 "
        f"{scenario.radio_link.t310_ms} ms",
        "Neighbours": _neighbors(scenario),
        "Ping-pong": f"back by handover after a stay of less than {handover.ping_pong_window_s:g} s (TR 36.839 5.2)",
        "Recent handover": f"began less than {handover.ue_context_store_s:g} s before the failure (Tstore_UE_cntxt, TS "
        "36.300 22.4.2)",
        "Traffic": f"{_named(traffic.arrivals, 'model')}, {traffic.packet_bytes} bytes a packet{weights}{uplink}",
        "Warm-up": f"{scenario.episode.warmup_s:g} s",
        "Observation": ", ".join(filter(None, [scenario.observation, scenario.reports.said])),
        "Reward": reward + cost,
        "Physics": scenario.profile,
    }


def cells(data: ReportData) -> Table:
    """Returns the position of each cell, and its mean load under the replayed policies."""
    sectors = data.scenario.radio.antenna.pattern == "sector"
    load = {
        policy: np.mean([episode.kpis.prb_utilization[1:].mean(axis=0) for episode in data.episodes[policy]], axis=0)
        for policy in data.replay
    }
    return [
        {
            "cell": index,
            "x, m": f"{cell.x_m:.0f}",
            "y, m": f"{cell.y_m:.0f}",
            **({"azimuth": f"{cell.azimuth_deg:g}°", "tilt": f"{cell.tilt_deg:g}°"} if sectors else {}),
            **{f"PRB load, {policy}": f"{100 * values[index]:.0f} %" for policy, values in load.items()},
        }
        for index, cell in enumerate(data.scenario.cells)
    ]


def versions(data: ReportData) -> Table:
    """Versions of what made traces and episodes."""
    found = {
        name: version
        for episodes in data.episodes.values()
        for episode in episodes
        for name, version in {**episode.moved("a report").metadata.versions, **episode.metadata.versions}.items()
    }
    return [{"what": name, "version": version} for name, version in sorted(found.items())] or [{"what": "not recorded"}]


def _named(part: object, name: str) -> str:
    """A model with its parameters, for example "log-distance (exponent 3.76, reference loss 15.3 dB)"."""
    fields = dict(vars(part))
    model = str(fields.pop(name))
    given = []
    for key, value in fields.items():
        *words, last = key.split("_")
        what = " ".join(words) if last in _UNITS else key.replace("_", " ")
        given.append(f"{what} {value:g}{_UNITS.get(last, '')}" if isinstance(value, float) else f"{what} {value}")
    return f"{model} ({', '.join(given)})" if given else model


def _neighbors(scenario: Scenario) -> str:
    graph = scenario.handover.neighbors
    if isinstance(graph, NeighborsByDistance):
        return f"cells within {graph.within_m:g} m"
    return f"the {graph.count} nearest cells" if isinstance(graph, NeighborsByCount) else "listed"


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _distinct(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _few(values: Sequence[str]) -> str:
    return ", ".join(values) if len(values) <= 6 else f"{', '.join(values[:3])} … {values[-1]}"
