"""The emulator as a back end: the same protocol, warm-up, intervals and events as the ns-3 program."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from numpy.random import Generator

from cf_augment.physics.constants import (
    CQI_REQUEST_TTIS,
    GAIN_PERIOD_TTIS,
    L1_PERIOD_TTIS,
    NS3_PATH_LOSS_STREAMS,
    NS3_STREAMS,
    NS3_STREAMS_PER_CELL,
    NS3_STREAMS_PER_UE,
    TRAFFIC_START_S,
    TTI_NS,
    TTI_S,
)
from cf_augment.physics.emulator.attachment import attach_all
from cf_augment.physics.emulator.config import config_of, interval_ns_of
from cf_augment.physics.emulator.interval import run
from cf_augment.physics.emulator.state import NEVER, NO_CELL, Parameters, Received, State, initial_state
from cf_augment.physics.emulator.traffic import random_state, uniforms
from cf_augment.physics.radio.links import links_of
from cf_augment.physics.radio.receive import receive_interval
from cf_augment.physics.radio.rsrp import FARTHEST_M, GRID_S, Radio
from ns3_scenarios.backend import Backend
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import EVENT_DTYPE, EventKind, StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.seeds import stream
from sumo_mobility.trace import Mobility, MobilityTrace

POWER_STEP_TTIS = 8 * GAIN_PERIOD_TTIS
"""Between the times for which received powers are computed: a UE at 30 m/s moves 1.2 m."""
_SETTLING_TTIS = 4 * CQI_REQUEST_TTIS
"""Time for the first CQI reports before the traffic starts."""
_EVENTS_PER_MEASUREMENT = 4
"""A UE can get a cell, begin and end a handover and lose its link between two measurements."""
_FLOW_STREAM = 2**63
"""First of the random streams that ns-3 leaves to programs; a source takes two (traffic-flows.cc)."""


@dataclass
class _Episode:
    trace: Mobility
    state: State
    rng: Generator
    control: Control
    """The control by which the cells have configured their UEs."""


class EmulatorBackend(Backend):
    """One environment in the TTI emulator.

    What is random follows the seed: the sources draw from the streams that ns-3 has for them, so that packets come when
    they come in an episode of ns-3 with the same seed; missed grants and broken blocks, from a stream of the emulator.

    Args:
        scenario: The scenario.

    Raises:
        ConfigError: the scenario has real RRC, uplink traffic or another profile than ns-3's, which the emulator does
            not mirror.
    """

    name = "emulator"
    has: ClassVar[Mapping[str, tuple[object, ...]]] = {
        "profile": ("ns3",),
        "radio.rrc": ("ideal",),
        "traffic.uplink_bps": (0.0,),
    }

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self._config = config_of(scenario)
        self._links = links_of(scenario, Radio(scenario, torch.device("cpu")))
        self._pairs = np.array(scenario.neighbor_pairs)
        self._interval = round(scenario.episode.control_interval_s / TTI_S)
        self._warmup = round(scenario.episode.warmup_s / TTI_S)
        self._episode: _Episode | None = None

    def _begin(self, trace: Mobility, seed: int) -> StepKpis:
        if isinstance(trace, MobilityTrace):
            far = ~(np.abs(trace.position_m) <= FARTHEST_M)
            if far.any():
                raise DataError(f"trace: position_m{np.argwhere(far)[0].tolist()} is not a place on Earth")
        ues = self.scenario.mobility.ues
        state = initial_state(ues, len(self.scenario.cells))
        self._episode = _Episode(trace, state, stream(seed, "emulator"), self._no_control())
        state.l3_dbm[:] = self._receive(np.array([0]))[1]
        state.ues["interval_ns"] = interval_ns_of(self.scenario)
        start = round(TRAFFIC_START_S / TTI_S)
        state.ues["off_ns"] = start * TTI_NS
        if self.scenario.traffic.arrivals.model == "cbr":
            drawn_before = NS3_STREAMS + NS3_STREAMS_PER_UE * ues + self._network_streams
            phases = uniforms(random_state(drawn_before, seed), ues)
            state.ues["off_ns"] += np.rint(phases * state.ues["interval_ns"]).astype(np.int64)
        elif self.scenario.traffic.arrivals.model != "full-buffer":
            for flow in range(2 * ues):
                state.ues["random"][flow // 2, flow % 2] = random_state(_FLOW_STREAM + flow, seed)
        if self.scenario.traffic.arrivals.model == "on-off":
            # OnOffApplication of ns-3 3.44 draws its first off time twice, and waits for the second.
            for ue in range(ues):
                uniforms(state.ues["random"][ue, 1], 1)
        attach_all(state, state.l3_dbm.argmax(axis=1), self._network_streams, seed, start - _SETTLING_TTIS)
        first = self._warmup - round(self.scenario.episode.first_interval_s / TTI_S)
        self._run(start - _SETTLING_TTIS, first, self._no_control())
        return self._run(first, self._warmup, self._no_control())

    def _advance(self, trace: Mobility, step: int, control: Control) -> StepKpis:
        start = self._warmup + step * self._interval
        return self._run(start, start + self._interval, control)

    def _futures(self, trace: Mobility, step: int, control: Control) -> list[list[StepKpis]]:
        present = self._present
        futures = []
        try:
            for steps in control:
                self._episode = replace(present, state=copy.deepcopy(present.state), rng=copy.deepcopy(present.rng))
                futures.append([self._advance(trace, step + ahead, ordered) for ahead, ordered in enumerate(steps)])
        finally:
            self._episode = present
        return futures

    def _end(self) -> None:
        self._episode = None

    @property
    def _present(self) -> _Episode:
        assert self._episode is not None
        return self._episode

    def _no_control(self) -> Control:
        return Control.of(self.scenario, np.zeros(len(self.scenario.neighbor_pairs)))

    def _run(self, start: int, end: int, control: Control) -> StepKpis:
        """Runs from just after TTI `start` to just after TTI `end`."""
        episode = self._present
        self._configure(episode, control)
        ues = len(episode.state.ues)
        episode.state.ues["delivered"] = 0
        for name in ("arrived", "delivered", "prbs"):
            episode.state.cells[name] = 0
        events = np.empty((_EVENTS_PER_MEASUREMENT * ues * ((end - start) // L1_PERIOD_TTIS + 2), 5), dtype=np.int64)

        rows = -(-(end - start) // POWER_STEP_TTIS) + 1
        power_mw, l1_dbm = self._receive(np.append(start + POWER_STEP_TTIS * np.arange(rows), end))
        count = run(
            self._config, episode.state, Received(power_mw[:-1], POWER_STEP_TTIS, l1_dbm),
            self._parameters(control), episode.rng, events, start, end,
        )  # fmt: skip
        return self._kpis(start, end, events[:count], l1_dbm[-1], power_mw[-1])

    def _configure(self, episode: _Episode, control: Control) -> None:
        """Lets cells whose parameters change reconfigure their UEs' measurements.

        The time to trigger begins anew then (TS 36.331 5.5.2.5 for the offsets, which are one measurement object,
        5.5.2.7 for the hysteresis and the time to trigger itself).
        """
        changed = np.zeros(len(self.scenario.cells), dtype=bool)
        for before, after in zip(self._parameters(episode.control), self._parameters(control), strict=True):
            changed |= (before != after).reshape(len(changed), -1).any(axis=1)
        serving = episode.state.ues["serving"]
        episode.state.due[(serving != NO_CELL) & changed[serving]] = NEVER
        episode.control = control

    def _kpis(self, start: int, end: int, log: Ints, l1_dbm: Floats, power_mw: Floats) -> StepKpis:
        state = self._present.state
        ues, cells = state.ues, state.cells
        serving = ues["serving"].copy()
        heard = np.where(serving >= 0, serving, l1_dbm.argmax(axis=1))
        interval_s = (end - start) * TTI_S
        bits_per_s = np.float64(8 * self.scenario.traffic.packet_bytes / interval_s)
        events = np.zeros(len(log), dtype=EVENT_DTYPE)
        events["time_s"] = np.round((log[:, 0] - self._warmup) * TTI_S, 9)
        for column, name in enumerate(("ue", "source_cell", "target_cell", "kind"), start=1):
            events[name] = log[:, column]
        return StepKpis(
            time_s=np.asarray(round((end - self._warmup) * TTI_S, 9)),
            prb_utilization=cells["prbs"] / (self.scenario.radio.dl_bandwidth_rb * (end - start)),
            offered_bps=cells["arrived"] * bits_per_s,
            served_bps=cells["delivered"] * bits_per_s,
            connected_ues=np.bincount(serving[serving >= 0], minlength=len(cells)).astype(np.float64),
            ue_position_m=self._position_m(np.array([end]))[0],
            ue_serving_cell=serving,
            ue_rsrp_dbm=l1_dbm,
            ue_sinr_db=self._sinr_db(power_mw, heard),
            ue_throughput_bps=ues["delivered"] * bits_per_s,
            events=events,
            handovers=np.asarray(float((events["kind"] == EventKind.HANDOVER_START).sum())),
        )

    def _sinr_db(self, power_mw: Floats, cell: Ints) -> Floats:
        """(U,) SINR that CQI are made from, of UEs that receive powers (U, C)."""
        if self.scenario.radio.cqi == "pdsch":
            return np.asarray(10 * np.log10(self._present.state.ues["data_sinr"]))
        signal = power_mw[np.arange(len(cell)), cell]
        return np.asarray(10 * np.log10(signal / (power_mw.sum(axis=1) - signal + self._config["noise_mw"])))

    @property
    def _network_streams(self) -> int:
        """Random streams that ns-3 gives to the cells and the path loss."""
        path_loss = NS3_PATH_LOSS_STREAMS.get(self.scenario.radio.path_loss.model, 0)
        return NS3_STREAMS_PER_CELL * len(self.scenario.cells) + path_loss

    def _position_m(self, ttis: Ints) -> Floats:
        """(T, U, 2) positions at TTIs; before the trace begins, the UEs stand."""
        return self._present.trace.position_at((ttis - self._warmup) * np.float64(TTI_S))

    def _receive(self, ttis: Ints) -> tuple[Floats, Floats]:
        """Returns powers (T, U, C) of a resource element in mW at TTIs, and L1 measurements (K, U, C) in dBm.

        Measurements are those of the periods from that of the first TTI to that of the last.
        """
        begin, grid = int(ttis[0]) // L1_PERIOD_TTIS * L1_PERIOD_TTIS, round(GRID_S / TTI_S)
        periods = max(1, -(-(int(ttis.max()) - begin) // L1_PERIOD_TTIS))
        position_m = self._position_m(np.arange(begin, begin + periods * L1_PERIOD_TTIS + 1, grid))
        cells, ues = len(self.scenario.cells), position_m.shape[1]
        l1_dbm = np.empty((cells, periods, ues), np.float32)
        power_mw = np.empty((cells, len(ttis), ues), np.float32)
        receive_interval(self._links, position_m, (ttis - begin) / grid, periods, l1_dbm, power_mw)
        return power_mw.transpose(1, 2, 0).astype(np.float64, "C"), l1_dbm.transpose(1, 2, 0).astype(np.float64, "C")

    def _parameters(self, control: Control) -> Parameters:
        """Returns the handover parameters as the compiled code takes them."""
        cells, pairs = len(self.scenario.cells), self._pairs
        offset_db = np.full((cells, cells), -np.inf)
        offset_db[pairs[:, 0], pairs[:, 1]] = control.cio_db
        time_to_trigger = np.rint(control.time_to_trigger_ms).astype(np.int64)
        return Parameters(offset_db, np.ascontiguousarray(control.hysteresis_db), time_to_trigger)
