"""Cases of the comparison with ns-3: networks, loads, and UEs that cross them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ns3_scenarios.hexagon import INTER_SITE_DISTANCE_M, crossing_trace, hexagonal_sites_m, uniform_mobility
from ns3_scenarios.scenario import Preset, Scenario
from sumo_mobility.base.seeds import derive, stream
from sumo_mobility.pipeline import load_map, make_traces
from sumo_mobility.trace import MobilityTrace

STEPS, WARMUP_S = 12, 2
FASTEST_MPS = 25.0
HELSINKI = "helsinki-event-v0"
LOADS = ("low", "medium", "near saturation", "overloaded")
_OFFERED_BPS: dict[str, tuple[float, float, float, float]] = {
    "line-3": (150e3, 350e3, 600e3, 1200e3),
    "hex-7": (100e3, 250e3, 400e3, 800e3),
    "hex-21": (100e3, 250e3, 450e3, 900e3),
    "helsinki": (48e3, 96e3, 160e3, 320e3),
    "drawn": (100e3, 200e3, 300e3, 600e3),
}
"""Traffic offered to each UE, by network and load."""
NETWORKS = tuple(_OFFERED_BPS)
SHADOWING = {"std_db": 6.0, "decorrelation_m": 50.0}


@dataclass(frozen=True)
class Case:
    """A network under a load: what one row of the tables is about."""

    network: str
    load: str
    shadowing: bool
    cqi: str
    scenario: Scenario = field(repr=False)

    @property
    def name(self) -> str:
        """The name of the case in file names and messages."""
        shadowing = "-shadowing" if self.shadowing else ""
        return f"{self.network}-{self.load.replace(' ', '-')}{shadowing}-{self.cqi}"

    @property
    def keys(self) -> dict[str, str]:
        """The case in tables, by column."""
        return {
            "network": self.network,
            "load": self.load,
            "shadowing": "yes" if self.shadowing else "no",
            "CQI": self.cqi,
        }


def case(network: str, load: str, shadowing: bool, cqi: str, seed: int) -> Case:
    """Makes a case; only `drawn`, a network that nobody chose, depends on the seed."""
    preset, sites_m = _network(network, seed)
    preset["traffic"]["offered_bps"] = _OFFERED_BPS[network][LOADS.index(load)]
    preset["radio"] |= {"cqi": cqi, "shadowing": SHADOWING if shadowing else None}
    return Case(network, load, shadowing, cqi, Scenario.place(Preset.parse(preset, network), sites_m))


def traces(network: str, seed: int, count: int, directory: Path) -> dict[str, MobilityTrace]:
    """UEs that cross a network, by name; the same for all loads.

    Args:
        network: One of NETWORKS.
        seed: Of the study.
        count: How many; the first ones are the same whatever it is.
        directory: Where traces that SUMO makes are kept.
    """
    names = [f"{network}-{index}" for index in range(count)]
    seeds = [derive(seed, "fidelity", "trace", network, index) for index in range(count)]
    scenario = case(network, LOADS[0], False, "control", seed).scenario
    if network != "helsinki":
        return {
            name: crossing_trace(scenario, trace_seed, FASTEST_MPS)
            for name, trace_seed in zip(names, seeds, strict=True)
        }
    paths = [directory / f"{name}-{trace_seed}.parquet" for name, trace_seed in zip(names, seeds, strict=True)]
    missing = [index for index, path in enumerate(paths) if not path.is_file()]
    contexts = scenario.mobility.test_contexts
    if jobs := [(contexts[index % len(contexts)], seeds[index]) for index in missing]:
        make_traces(scenario.mobility, jobs, keep=lambda done, trace: trace.write(paths[missing[done]]))
    return {name: MobilityTrace.read(path) for name, path in zip(names, paths, strict=True)}


def _network(name: str, seed: int) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    """The preset of a network as a dict, and its sites."""
    episode = {"steps": STEPS, "warmup_s": WARMUP_S}
    if name == "helsinki":
        preset = Preset.load(HELSINKI)
        mobility = preset.mobility.model_copy(update={"duration_s": float(STEPS)})
        sites_m = [(x, y) for x, y, *_ in preset.sites.place(load_map(mobility.map))]
        return preset.model_dump() | {"mobility": mobility.model_dump(), "episode": episode}, sites_m
    if name == "drawn":
        return _drawn(seed, episode)
    sites_m, ues, sectors, radio = {
        "line-3": ([(0.0, 0.0), (500.0, 0.0), (1000.0, 0.0)], 15, 1, {"path_loss": {"model": "log-distance"}}),
        "hex-7": (hexagonal_sites_m(7), 35, 1, {"path_loss": {"model": "okumura-hata"}}),
        "hex-21": (hexagonal_sites_m(7), 63, 3, {"path_loss": {"model": "uma"}, "antenna": {"pattern": "sector"}}),
    }[name]
    return _preset(name, ues, radio, episode, sectors, {}), sites_m


def _drawn(seed: int, episode: dict[str, int]) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    """A network whose sites, propagation, handover and packets are drawn: held out from all that was ever tuned."""
    random = stream(seed, "fidelity", "network")
    sites_m: list[tuple[float, float]] = []
    wanted = int(random.integers(4, 7))
    while len(sites_m) < wanted:
        x, y = (round(float(value), 1) for value in random.uniform(0, 1200, 2))
        if all(math.dist((x, y), other) > 300 for other in sites_m):
            sites_m.append((x, y))
    models = ("log-distance", "okumura-hata", "cost231-hata", "uma", "umi")
    radio = {
        "path_loss": {"model": str(random.choice(models))},
        "tx_power_dbm": round(float(random.uniform(34, 44)), 1),
        "cell_height_m": round(float(random.uniform(20, 40)), 1),
        "ue_noise_figure_db": round(float(random.uniform(5, 11)), 1),
    }
    handover = {
        "neighbors": {"by": "distance", "within_m": 2000},
        "hysteresis_db": float(random.integers(1, 5)),
        "time_to_trigger_ms": int(random.choice([0, 40, 100, 160, 256, 320, 480])),
        "a3_offset_db": float(random.integers(-1, 2)),
    }
    preset = _preset("drawn", 24, radio, episode, 1, handover)
    preset["traffic"] = {
        "packet_bytes": int(random.integers(500, 1400)),
        "ue_weights": np.round(random.uniform(0.5, 2, 24), 2).tolist(),
    }
    return preset, sites_m


def _preset(
    name: str, ues: int, radio: dict[str, Any], episode: dict[str, int], sectors: int, handover: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": f"fidelity-{name}-v0",
        "description": f"{name}, {ues} UEs",
        "mobility": uniform_mobility(ues, STEPS),
        "sites": {"inter_site_distance_m": INTER_SITE_DISTANCE_M, "sectors": sectors},
        "radio": radio,
        "handover": {"neighbors": {"by": "distance", "within_m": 1.6 * INTER_SITE_DISTANCE_M}, **handover},
        "traffic": {},
        "episode": episode,
    }
