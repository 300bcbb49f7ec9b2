"""Which states of the network the data reach, beside those of the traces on which methods are judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from cf_augment.audit.coverage import Plane
from cf_augment.dataset import Episode, read_dataset
from py_agent.benchmark.results import Coverage
from py_agent.benchmark.tasks import AugmentJob, played
from py_agent.policies import policy_factory
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.seeds import stream

_POINTS = 300


def coverage(data: AugmentJob, tests: Mapping[str, Path]) -> Coverage:
    """Returns what the states of logged and counterfactual data cover of those of test traces without offsets.

    A state is the load of each cell and its share of the UEs.

    Args:
        data: The data.
        tests: Files of test traces, by name.

    Raises:
        DataError: the data are not there.
    """
    static = policy_factory("static")
    states = {
        "counterfactual": _states(read_dataset(data.path).episodes),
        "logged": _states(read_dataset(data.logged.path).episodes),
        "test": _states(played(data.logged.scenario, tests, static, "static", 0, "engine")),
    }
    plane, random = Plane.of(np.concatenate([states["logged"], states["test"]])), stream(0, "benchmark", "coverage")
    points = {}
    for kind, of_kind in states.items():
        some = of_kind[random.permutation(len(of_kind))[:_POINTS]]
        points[kind] = tuple((round(x, 3), round(y, 3)) for x, y in plane.project(some).tolist())
    first, second = plane.explained.tolist()
    return Coverage(points=points, explained=(first, second))


def _states(episodes: Iterable[Episode]) -> Floats:
    """Loads and shares of the UEs after each step, (N, 2 C)."""
    parts = []
    for episode in episodes:
        load, ues = episode.kpis.prb_utilization[1:], episode.kpis.connected_ues[1:]
        parts.append(np.concatenate([load, ues / episode.ues], axis=1))
    return np.concatenate(parts)
