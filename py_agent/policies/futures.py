"""Where policies take the UEs to go: each future a class that is registered in FUTURES."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar
from zipfile import BadZipFile

import numpy as np
import torch
from scipy.spatial import KDTree

from cf_augment.dataset import Dataset, read_dataset
from cf_augment.model import CausalMobilityModel, ContextFilter, forecast
from cf_augment.physics import Engine
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.files import replacing
from sumo_mobility.base.registry import Lazy, Registry
from sumo_mobility.base.seeds import stream
from sumo_mobility.pipeline import load_map
from sumo_mobility.trace import MobilityTrace, TraceMetadata

_EVERY_S = 5.0
"""Logged moments that lie closer to each other are of one and the same way."""


class Future(ABC):
    """What is expected of the UEs in an episode, from what is reported of it.

    Attributes:
        name: How the policy's parameter writes it, as in planner:future=frozen.
    """

    name: ClassVar[str]

    def __init__(self, scenario: Scenario) -> None:
        self.reset(0)

    def reset(self, seed: int) -> None:  # noqa: B027 (most remember nothing)
        """Begins an episode; all randomness comes from `seed`."""

    def foresee(self, trace: MobilityTrace | None) -> None:  # noqa: B027 (most do not listen)
        """Is told the mobility of the episode before it begins; None where nobody knows it."""

    @abstractmethod
    def positions_m(self, kpis: StepKpis, times_s: Floats) -> Floats | None:
        """Returns where the UEs will be, in one future or several that are as likely as each other.

        Args:
            kpis: What is reported now, whose `time_s` says of when; each report of an episode is given once or more, in
                order of time.
            times_s: (T,) trace times after that.

        Returns:
            (K, T, U, 2) in trace coordinates in K futures; None if the UEs stand where they are reported.
        """


Learned = TypeVar("Learned")


class LearnedFuture(Future, Generic[Learned]):
    """A future that is learned from logged traces.

    Args:
        scenario: The scenario.
        learned: What was learned.
        count: How many futures to draw at a time.
    """

    def __init__(self, scenario: Scenario, learned: Learned, count: int) -> None:
        self._learned, self._count = learned, count
        super().__init__(scenario)

    @classmethod
    @abstractmethod
    def learn(cls, traces: Sequence[MobilityTrace], map_name: str) -> Learned:
        """Returns what traces tell, to be shared by all episodes that are played.

        Args:
            traces: At least one.
            map_name: The map that they are on.

        Raises:
            DataError: they tell nothing.
        """

    @classmethod
    @abstractmethod
    def save(cls, learned: Learned, path: Path) -> None:
        """Writes what was learned, for a policy that is kept with it; the same gives the same bytes."""

    @classmethod
    @abstractmethod
    def load(cls, path: Path, map_name: str) -> Learned:
        """Reads what `save` wrote.

        Raises:
            DataError: the file is missing, damaged or foreign.
        """


FUTURES: Registry[type[Future] | Lazy[Future]] = Registry("future")
"""All futures by name."""
FUTURES.register(Lazy("vae", "py_agent.policies.vae_future:VaeFuture"))


def _future(name: str) -> type[Future]:
    """Returns one of FUTURES.

    Raises:
        ConfigError: there is no such future.
    """
    found = FUTURES[name]
    return found.load() if isinstance(found, Lazy) else found


def future_of(name: str, scenario: Scenario, data: Path | None, count: int) -> Future:
    """Returns one of FUTURES.

    Args:
        name: Its name.
        scenario: The scenario.
        data: The dataset from whose traces it learns, if it learns.
        count: How many futures it draws at a time, if it draws.

    Raises:
        ConfigError: there is no such future; it learns and there are no data, or the other way round; or it is to draw
            less than one.
        DataError: the dataset cannot be read, or has an episode without a trace.
    """
    made = _future(name)
    if not issubclass(made, LearnedFuture):
        if data is not None:
            raise ConfigError(f"planner: future={name} learns from no data", "leave out data=")
        return made(scenario)
    if data is None:
        raise ConfigError(f"planner: future={name} learns from logged traces", "name a dataset: data=RUN/logged.h5")
    if count < 1:
        raise ConfigError(f"planner: futures={count}, must be at least 1")
    if not data.is_file():
        raise DataError(f"{data}: no such file", "name a dataset: data=RUN/logged.h5")
    return made(scenario, _learned(made, data, data.stat().st_mtime_ns, scenario.mobility.map), count)


@lru_cache(maxsize=4)
def _learned(made: type[LearnedFuture[Any]], data: Path, changed_ns: int, map_name: str) -> Any:
    """Learns from the distinct traces of a dataset; once for all policies, of which each episode has its own."""
    return _learn(made, read_dataset(data))


def _learn(made: type[LearnedFuture[Any]], data: Dataset) -> Any:
    traces = {episode.metadata.trace_name: episode.moved("a future that learns") for episode in data.episodes}
    return made.learn(list(traces.values()), data.scenario.mobility.map)


def learn_future(name: str, logged: Dataset | None) -> Any:
    """Returns what one of FUTURES learns from logged traces, for `keep_future`; None if it learns nothing.

    Raises:
        ConfigError: there is no such future.
        DataError: it learns, and there are no data, or an episode has no trace.
    """
    made = _future(name)
    if not issubclass(made, LearnedFuture):
        return None
    if logged is None:
        raise DataError(f"future={name} learns from logged traces", "train on logged data as well")
    return _learn(made, logged)


def keep_future(name: str, learned: Any, path: Path) -> None:
    """Writes what a future has learned, so that `kept_future` needs no data; nothing if it learns nothing."""
    made = _future(name)
    if issubclass(made, LearnedFuture):
        made.save(learned, path)


def kept_future(name: str, scenario: Scenario, path: Path, count: int = 10) -> Future:
    """Returns one of FUTURES, with what `keep_future` wrote.

    Args:
        name: Its name.
        scenario: The scenario.
        path: The file.
        count: How many futures it draws at a time, if it draws.

    Raises:
        ConfigError: there is no such future.
        DataError: the file is missing, damaged or foreign.
    """
    made = _future(name)
    if not issubclass(made, LearnedFuture):
        return made(scenario)
    if not path.is_file():
        raise DataError(f"{path}: no such file, and future={name} learns", "train the policy anew with 'mlb train'")
    return made(scenario, _kept(made, path, path.stat().st_mtime_ns, scenario.mobility.map), count)


@lru_cache(maxsize=8)
def _kept(made: type[LearnedFuture[Any]], path: Path, changed_ns: int, map_name: str) -> Any:
    """Reads what a future learned; once for all episodes."""
    return made.load(path, map_name)


class Frozen(Future):
    """The UEs stand still, and receive for ever what they have reported."""

    name = "frozen"

    def positions_m(self, kpis: StepKpis, times_s: Floats) -> None:
        """Returns None."""


FUTURES.register(Frozen)


class DeadReckoning(Future):
    """Each UE goes straight on at its last velocity, that between its places in the last two reports.

    The rectangle that the network covers reaches beyond its outermost sites by half of the greatest distance from a
    site to its nearest neighbour. At its edge, or where it was reported if that is farther out, a UE turns along the
    edge: it loses the part of its velocity that leads outwards. UEs of which there is one report only stand still.

    Args:
        scenario: The scenario, whose cells say where the network is.
    """

    name = "dead-reckoning"

    def __init__(self, scenario: Scenario) -> None:
        sites_m = np.unique([(cell.x_m, cell.y_m) for cell in scenario.cells], axis=0)
        apart_m = np.linalg.norm(sites_m[:, None] - sites_m, axis=-1)
        np.fill_diagonal(apart_m, np.inf)
        margin_m = apart_m.min(axis=1).max() / 2 if len(sites_m) > 1 else np.inf
        self._low_m, self._high_m = sites_m.min(axis=0) - margin_m, sites_m.max(axis=0) + margin_m
        super().__init__(scenario)

    def reset(self, seed: int) -> None:
        """Forgets the reports."""
        self._last: StepKpis | None = None
        self._velocity_mps: float | Floats = 0.0

    def positions_m(self, kpis: StepKpis, times_s: Floats) -> Floats:
        """See `Future.positions_m`; one future."""
        here_m = kpis.ue_position_m
        if self._last is not None and kpis.time_s > self._last.time_s:
            self._velocity_mps = (here_m - self._last.ue_position_m) / (kpis.time_s - self._last.time_s)
        self._last = kpis
        ahead_m = here_m + self._velocity_mps * (times_s - kpis.time_s)[:, None, None]
        inside_m = np.clip(ahead_m, np.minimum(self._low_m, here_m), np.maximum(self._high_m, here_m))
        return np.asarray(inside_m[None])


FUTURES.register(DeadReckoning)


class TrueFuture(Future):
    """What will be: the mobility of the episode, as only an evaluation on recorded traces knows it."""

    name = "true"
    _trace: MobilityTrace | None = None

    def foresee(self, trace: MobilityTrace | None) -> None:
        """Remembers the trace."""
        self._trace = trace

    def positions_m(self, kpis: StepKpis, times_s: Floats) -> Floats:
        """See `Future.positions_m`; one future.

        Raises:
            ConfigError: it was not told the trace.
        """
        if self._trace is None:
            raise ConfigError(
                "planner: future=true needs the trace of the episode, and there is none here",
                "play it on recorded traces, as mlb evaluate does, or choose future=dead-reckoning",
            )
        return self._trace.position_at(times_s)[None]


FUTURES.register(TrueFuture)


class Moments:
    """Moments of logged UEs, by their places then and some time before.

    Attributes:
        traces: Logged traces; moments are taken each 5 s.
    """

    def __init__(self, traces: Sequence[MobilityTrace]) -> None:
        self.traces = traces
        self._known: dict[tuple[float, float], tuple[KDTree, Floats]] = {}

    def nearest(self, now_m: Floats, before_m: Floats, apart_s: float, ahead_s: float, count: int) -> Floats:
        """Returns trace, UE and time (U, N, 3) of the moments nearest to places (U, 2) now and `apart_s` ago.

        Those count after which the trace goes on for `ahead_s`; there are `count`, or as many as there are.

        Raises:
            DataError: no trace is as long as that.
        """
        if (apart_s, ahead_s) not in self._known:
            places, moments = [], []
            for index, trace in enumerate(self.traces):
                for time_s in np.arange(apart_s, trace.duration_s - ahead_s + 1e-9, _EVERY_S):
                    places.append(np.hstack([trace.position_at(time_s), trace.position_at(time_s - apart_s)]))
                    moments.append([(index, ue, time_s) for ue in range(trace.ues)])
            if not places:
                raise DataError(
                    f"planner: no logged trace lasts the {apart_s + ahead_s:g} s that future=neighbors looks over",
                    "log longer traces",
                )
            self._known[apart_s, ahead_s] = KDTree(np.concatenate(places)), np.concatenate(moments, dtype=np.float64)
        tree, found = self._known[apart_s, ahead_s]
        _, nearest = tree.query(np.hstack([now_m, before_m]), k=[*range(1, min(count, len(found)) + 1)])
        return np.asarray(found[nearest])

    def gone_m(self, moments: Floats, after_s: Floats) -> Floats:
        """Returns how far UEs have gone from their places at moments (..., 3), some times (T,) after; (T, ..., 2)."""
        gone_m = np.empty((len(after_s), *moments.shape[:-1], 2))
        for index, trace in enumerate(self.traces):
            of_trace = moments[..., 0] == index
            ue, time_s = moments[of_trace, 1].astype(np.int64), moments[of_trace, 2]
            for row, passed_s in enumerate(after_s):
                gone_m[row, of_trace] = _places_m(trace, ue, time_s + passed_s) - _places_m(trace, ue, time_s)
        return gone_m


class Neighbors(LearnedFuture[Moments]):
    """UEs go on as UEs of logged traces did that were where they are, and had been where they were reported before.

    For each UE, and each future, one of its nearest moments is drawn among the logged ones, by the distance of places
    now and at the report before (of the places alone while there was one report); it goes on by the way that was gone
    from there. A moment counts if the trace goes on for as long as is asked.

    Args:
        scenario: The scenario.
        learned: The logged moments.
        count: How many futures to draw, and how many nearest moments to draw from.
    """

    name = "neighbors"

    @classmethod
    def learn(cls, traces: Sequence[MobilityTrace], map_name: str) -> Moments:
        """See `LearnedFuture.learn`."""
        return Moments(traces)

    @classmethod
    def save(cls, learned: Moments, path: Path) -> None:
        """See `LearnedFuture.save`; times and places of all traces."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, *(array for trace in learned.traces for array in (trace.time_s, trace.position_m)))

    @classmethod
    def load(cls, path: Path, map_name: str) -> Moments:
        """See `LearnedFuture.load`."""
        try:
            with np.load(path) as kept:
                arrays = [kept[f"arr_{index}"] for index in range(len(kept))]
            traces = []
            for time_s, position_m in zip(arrays[::2], arrays[1::2], strict=True):
                still = np.zeros(position_m.shape[:2])
                bounds_m = (*position_m.min((0, 1)), *position_m.max((0, 1)))
                traces.append(MobilityTrace(time_s, position_m, still, still, TraceMetadata.made_up(bounds_m)))
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise DataError(f"{path}: no traces of future=neighbors ({error})", "train the policy anew") from None
        return Moments(traces)

    def reset(self, seed: int) -> None:
        """Forgets the reports."""
        self._reports: list[StepKpis] = []
        self._random = stream(seed, "neighbors")

    def positions_m(self, kpis: StepKpis, times_s: Floats) -> Floats:
        """See `Future.positions_m`.

        Raises:
            DataError: no trace is as long as what is asked.
        """
        if not self._reports or kpis.time_s > self._reports[-1].time_s:
            self._reports = [*self._reports[-1:], kpis]
        before, now = self._reports[0], self._reports[-1]
        apart_s, ahead_s = float(now.time_s - before.time_s), times_s - kpis.time_s
        here_m = now.ue_position_m
        near = self._learned.nearest(here_m, before.ue_position_m, apart_s, float(ahead_s[-1]), self._count)
        drawn = self._random.integers(near.shape[1], size=(self._count, len(here_m)))
        if near.shape[1] == self._count:  # each once
            drawn = self._random.permuted(np.tile(np.arange(self._count), (len(here_m), 1)), axis=1).T
        chosen = np.take_along_axis(near, drawn.T[..., None], axis=1)
        return np.asarray(here_m + self._learned.gone_m(chosen, ahead_s).transpose(2, 0, 1, 3))


FUTURES.register(Neighbors)


class ModelFuture(LearnedFuture[CausalMobilityModel]):
    """UEs go where the causal model says, in the context that it infers from all reports since the episode began.

    Args:
        scenario: The scenario; its map has streets.
        learned: The model.
        count: How many futures to draw.
    """

    name = "model"

    @classmethod
    def learn(cls, traces: Sequence[MobilityTrace], map_name: str) -> CausalMobilityModel:
        """See `LearnedFuture.learn`."""
        return CausalMobilityModel.fit(traces, load_map(map_name))

    @classmethod
    def save(cls, learned: CausalMobilityModel, path: Path) -> None:
        """See `LearnedFuture.save`."""
        learned.save(path)

    @classmethod
    def load(cls, path: Path, map_name: str) -> CausalMobilityModel:
        """See `LearnedFuture.load`."""
        return CausalMobilityModel.load(path, load_map(map_name))

    def reset(self, seed: int) -> None:
        """Forgets the reports."""
        self._filter = ContextFilter(self._learned)
        self._random = stream(seed, "model")

    def positions_m(self, kpis: StepKpis, times_s: Floats) -> Floats:
        """See `Future.positions_m`."""
        now_s = float(kpis.time_s)
        if self._filter.last is None or now_s > self._filter.last.time_s:
            self._filter.observe(now_s, self._reported_m(kpis))
        return forecast(self._filter, times_s - now_s, self._count, self._random)

    def _reported_m(self, kpis: StepKpis) -> Floats:
        return kpis.ue_position_m


FUTURES.register(ModelFuture)


class HeardFuture(ModelFuture):
    """UEs go where the causal model says, in a network that knows RSRP of all cells but no positions.

    A UE is taken to be at the point of the ground where its RSRP would be most like those that it reports.

    The RSRP at each point are the engine's, and the most like ones those of the least square difference in dB.

    Args:
        scenario: The scenario.
        learned: The model.
        count: How many futures to draw.
    """

    name = "model-rsrp"

    def __init__(self, scenario: Scenario, learned: CausalMobilityModel, count: int) -> None:
        super().__init__(scenario, learned, count)
        self._points_m = learned.ground.points_m
        radio = Engine(scenario).radio
        self._nearest = KDTree(radio.rsrp_dbm(radio.local(torch.from_numpy(self._points_m))).T.numpy())

    def _reported_m(self, kpis: StepKpis) -> Floats:
        return np.asarray(self._points_m[self._nearest.query(kpis.ue_rsrp_dbm)[1]])


FUTURES.register(HeardFuture)


def _places_m(trace: MobilityTrace, ue: Ints, time_s: Floats) -> Floats:
    """Returns where UEs (N,) are, each at its own time (N,); (N, 2)."""
    row = np.clip(time_s / trace.step_s, 0, len(trace.position_m) - 1)
    lower = np.minimum(row.astype(np.int64), len(trace.position_m) - 2)
    share = (row - lower)[:, None]
    return np.asarray(trace.position_m[lower, ue] * (1 - share) + trace.position_m[lower + 1, ue] * share)
