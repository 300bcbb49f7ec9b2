"""Engine: tier 0 of the physics, a control interval of the whole network in closed form, batched.

    mobility -> RSRP -> L1 mean -> L3 filter -> event A3 -> serving cell -> SINR -> CQI -> TTIs by packets -> KPIs

It mirrors the ns-3 program with proportional fair scheduling, without fading. Block errors, which ns-3 knows only where
CQI are those of the data region, are averages (data_region.py).
B environments, U UEs, C cells, E neighbour pairs. The loops are compiled when they are first used, which takes some
seconds, and kept beside the sources.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import pairwise
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike

from cf_augment.physics.closed_form import interval
from cf_augment.physics.closed_form.data_region_tables import data_region_of
from cf_augment.physics.closed_form.handover import Connection
from cf_augment.physics.closed_form.load import Load, Service
from cf_augment.physics.closed_form.paper import Paper
from cf_augment.physics.closed_form.radio_link import link_rules
from cf_augment.physics.closed_form.state import NONE, HandoverState
from cf_augment.physics.constants import CQI_AGE_S, L1_PERIOD_S, TRAFFIC_START_S
from cf_augment.physics.radio.links import links_of
from cf_augment.physics.radio.rsrp import FARTHEST_M, GRID_S, Radio
from cf_augment.physics.radio.vector_math import LEAST_POWER
from ns3_scenarios.backend import check_trace, require
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import EVENT_DTYPE, KPI_AXES, StepKpis
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import AnyFloats, Floats, Singles
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.trace import MobilityTrace

_CPU = torch.device("cpu")


class Engine:
    """The network of one scenario, for B environments that march in step.

    Args:
        scenario: The scenario.
        device: Where links are computed: in compiled loops on "cpu", else in torch on any other device. What follows
            from them, handovers and queues, is a matter of compiled loops on the host in both cases.

    No input makes a KPI that is not finite. A cell without UEs has a utilisation of 0. A UE that no cell reaches, at
    CQI 0, gets nothing; it stays connected until its radio link has failed. At the foot of a mast the distance is the
    mast's height, for log-distance 1 m at least. A received power is 2^-125 mW at least. Traffic beyond what a cell
    can send fills the queues, and what does not fit is lost.

    Raises:
        ConfigError: the scenario's scheduler, RRC, CQI mode or steering is one that the engine does not mirror.
    """

    name = "engine"
    has: ClassVar[Mapping[str, tuple[object, ...]]] = {
        "radio.scheduler": ("pf",),
        "radio.rrc": ("ideal",),
        "handover.steer": ((), ("hysteresis",)),  # it has one time to trigger for all cells
    }
    """See `ns3_scenarios.backend.Backend.has`."""

    def __init__(self, scenario: Scenario, device: str = "cpu") -> None:
        require(scenario, self.name, self.has)
        self.scenario = scenario
        self.device = torch.device(device)
        self.radio = Radio(scenario, self.device)
        self.compiled_links = self.device.type == "cpu"
        self.connection = Connection(scenario, self.device)
        self.load = Load(scenario)
        interval_s = scenario.episode.control_interval_s
        self.grid_steps = round(interval_s / GRID_S)
        """Positions per control interval, not counting the one at its start."""
        starts_s = [0.0] + [i * L1_PERIOD_S + self.connection.phase_s for i in range(round(interval_s / L1_PERIOD_S))]
        slots_s = np.array(list(zip(starts_s, [*starts_s[1:], interval_s], strict=True)))
        host = self.radio if self.compiled_links else Radio(scenario, _CPU)
        self._starts_s = starts_s[1:]
        self._constants = interval.Constants(
            links=links_of(scenario, host),
            reception=host.reception(),
            rules=self.connection.rules,
            radio_link=link_rules(scenario, slots_s),
            queues=self.load.queues,
            data=data_region_of(scenario),
            slot_s=slots_s[:, 1] - slots_s[:, 0],
            times=np.append(np.append(starts_s, interval_s) - CQI_AGE_S, interval_s) / GRID_S,
            at_once=self.connection.phase_s == 0,
        )
        self.paper = Paper(scenario) if scenario.profile == "paper" else None
        if self.paper:
            self._starts_s = self.paper.starts_s
        self._state: HandoverState | None = None
        self._changes: interval.CellChanges | None = None

    def reset(self, position_m: ArrayLike) -> StepKpis:
        """Attaches the UEs, which have stood at `position_m` (B, U, 2) since the warm-up began.

        Returns:
            KPIs of the end of the warm-up, with leading B; trace time 0.

        Raises:
            DataError: wrong shape, or a position that is not finite.
        """
        position = self._positions(position_m, "(B, U, 2)", 3)
        l1_dbm, received_mw = self.links(np.repeat(position[:, None], 2, axis=1), np.zeros(1), 1)
        rsrp = np.ascontiguousarray(l1_dbm[:, :, 0])
        batch, cells, ues = rsrp.shape
        self._state, self._changes, self._time_s = HandoverState.attached(rsrp, self.scenario), None, 0.0
        episode = self.scenario.episode
        first_s = episode.first_interval_s
        lasting_s = [episode.warmup_s - first_s - TRAFFIC_START_S, first_s]
        service, sinr_db = Service.nothing(batch, cells, ues), np.empty((batch, ues))
        interval.warm_up(self._constants, received_mw, np.array(lasting_s), self._state, service, sinr_db)
        if self.paper:
            service = self.paper.serve(rsrp, self._state.serving, first_s)
        return self._kpis(service, first_s, position, rsrp.swapaxes(1, 2).astype(np.float64), sinr_db)

    def step(self, position_m: ArrayLike, control: Control | ArrayLike) -> StepKpis:
        """Runs one control interval.

        Args:
            position_m: (B, grid_steps + 1, U, 2) positions each GRID_S, from the start of the interval to its end.
            control: With batch dimension B, or CIOs (B, E); in force at all measurements of the interval.

        Returns:
            StepKpis with leading B.

        Raises:
            DataError: wrong shape, or a position that is not finite.
            ConfigError: the control has the wrong shape, is not finite or out of range; `reset` was not called.
        """
        state = self._state
        if state is None:
            raise ConfigError("engine: step() before reset()")
        position = self._positions(position_m, f"(B, {self.grid_steps + 1}, U, 2)", 4)
        batch, cells, ues = state.l3_dbm.shape
        if position.shape[:2] != (batch, self.grid_steps + 1):
            raise DataError(
                f"position_m: shape {position.shape}, but {batch} environments need {self.grid_steps + 1} "
                f"positions, one each {GRID_S} s"
            )
        parameters = self._parameters(control, batch)
        outcome = interval.Outcome.empty(batch, len(self._starts_s), cells, ues)
        if self.paper:
            self._run_snapshots(self.paper, position, parameters, state, outcome)
        elif self.compiled_links:
            interval.run(self._constants, position, parameters, state, outcome)
        else:
            received = interval.Received(*self.links(position, self._constants.times, len(self._starts_s)))
            interval.run_on_given(self._constants, received, parameters, state, outcome)
        self._changes, self._changes_from_s = outcome.changes, self._time_s
        interval_s = self.scenario.episode.control_interval_s
        self._time_s = round(self._time_s + interval_s, 9)
        return self._kpis(outcome.service, interval_s, position[:, -1].copy(), outcome.rsrp_dbm, outcome.sinr_db)

    def _run_snapshots(
        self, paper: Paper, position: Floats, parameters: interval.Parameters, state: HandoverState,
        outcome: interval.Outcome,
    ) -> None:  # fmt: skip
        """Runs an interval as `interval.run` does, in profile `paper`: a snapshot after the other."""
        times_s = [*paper.starts_s, self.scenario.episode.control_interval_s]
        _, received_mw = self.links(position, np.rint(np.array(times_s) / GRID_S), 1)
        offsets_db = self.connection.offsets_db(torch.from_numpy(parameters.cio_db)).numpy()
        changes = outcome.changes
        changes.selected[:] = NONE
        for k, (start_s, end_s) in enumerate(pairwise(times_s)):
            here_dbm = 10 * np.log10(received_mw[:, :, k])
            changes.source[:, k] = state.serving
            changes.target[:, k] = paper.associate(here_dbm, state.serving, offsets_db, parameters.hysteresis_db)
            state.serving[:] = np.where(changes.target[:, k] >= 0, changes.target[:, k], state.serving)
            for total, served in zip(
                outcome.service, paper.serve(here_dbm, state.serving, end_s - start_s), strict=True
            ):
                total += served
        last_dbm = 10 * np.log10(received_mw[:, :, -1])
        state.l3_dbm[:], outcome.rsrp_dbm[:] = last_dbm, last_dbm.swapaxes(1, 2)
        outcome.sinr_db[:] = self.radio.sinr_db(torch.from_numpy(last_dbm), torch.from_numpy(state.serving)).numpy()

    @property
    def cell_changes(self) -> list[tuple[float, interval.CellChanges]]:
        """The handovers and failures of the last interval, by trace time in seconds; arrays are (B, U)."""
        if self._changes is None:
            return []
        source, target, selected = self._changes
        return [
            (self._changes_from_s + start_s, interval.CellChanges(source[:, k], target[:, k], selected[:, k]))
            for k, start_s in enumerate(self._starts_s)
        ]

    def copies(self, count: int) -> Self:
        """Returns an engine of `count` environments, each in the state of the first one here, from which all go on.

        Raises:
            ConfigError: `reset` was not called.
        """
        if self._state is None:
            raise ConfigError("engine: copies() before reset()")
        other = copy.copy(self)
        other._state = self._state.copies(count)
        return other

    def rollout(self, position_m: ArrayLike, control: Control | ArrayLike) -> StepKpis:
        """Runs whole episodes.

        Args:
            position_m: (B, K * grid_steps + 1, U, 2) positions each GRID_S from trace time 0.
            control: With batch dimensions (B, K), or CIOs (B, K, E).

        Returns:
            StepKpis with leading (B, K + 1): the KPIs after the warm-up, then those of each interval.
        """
        position, controls = np.asarray(position_m, dtype=np.float64), Control.checked(self.scenario, control)
        shape = controls.cio_db.shape
        if len(shape) != 3 or position.ndim != 4 or position.shape[1] != shape[1] * self.grid_steps + 1:
            raise DataError(
                f"position_m: shape {position.shape} does not fit CIOs {shape}: "
                f"(B, K * {self.grid_steps} + 1, U, 2) and (B, K, E) are needed"
            )
        kpis = [self.reset(position[:, 0])]
        for step in range(shape[1]):
            start = step * self.grid_steps
            kpis.append(self.step(position[:, start : start + self.grid_steps + 1], controls[:, step]))
        return stack(kpis)

    def positions(self, trace: MobilityTrace) -> Floats:
        """Returns a trace's positions on the engine's grid, (K * grid_steps + 1, U, 2) for K = episode.steps.

        Raises:
            DataError: the trace has another number of UEs, or is shorter than the episode.
        """
        check_trace(self.scenario, trace)
        return trace.position_at(
            GRID_S * np.arange(self.scenario.episode.steps * self.grid_steps + 1, dtype=np.float64)
        )

    def links(self, position_m: Floats, times: Floats, periods: int) -> tuple[AnyFloats, Singles]:
        """Returns what `interval.receive` computes, on the engine's device."""
        if self.compiled_links:
            (batch, _, ues, _), cells = position_m.shape, len(self.scenario.cells)
            l1_dbm = np.empty((batch, cells, periods, ues), np.float32)
            received_mw = np.empty((batch, cells, len(times), ues), np.float32)
            interval.receive(self._constants.links, position_m, times, l1_dbm, received_mw)
            return l1_dbm, received_mw
        local = self.radio.local(torch.from_numpy(position_m).to(self.device))
        rsrp = self.radio.rsrp_dbm(_at(local, times))
        l1 = self.radio.l1_rsrp_dbm(local) if local.shape[1] > 2 else rsrp
        received = torch.pow(10.0, rsrp / 10).float().clamp(min=LEAST_POWER)
        given = (values.transpose(1, 2).cpu().numpy() for values in (l1, received))
        l1_dbm, received_mw = (np.ascontiguousarray(values) for values in given)
        return l1_dbm, received_mw

    def _positions(self, position_m: ArrayLike, shape: str, dimensions: int) -> Floats:
        values = np.ascontiguousarray(position_m, dtype=np.float64)
        ues = self.scenario.mobility.ues
        if values.ndim != dimensions or values.shape[-2:] != (ues, 2) or len(values) == 0:
            raise DataError(f"position_m: shape {values.shape}, expected {shape} with U = {ues}")
        if not (values.min() >= -FARTHEST_M and values.max() <= FARTHEST_M):
            where = [int(i) for i in np.argwhere(~(np.abs(values) <= FARTHEST_M))[0]]
            raise DataError(f"position_m{where}: {values[tuple(where)]} m is not a finite place on Earth")
        return values

    def _parameters(self, control: Control | ArrayLike, batch: int) -> interval.Parameters:
        """Returns the handover parameters of B environments."""
        checked = Control.checked(self.scenario, control)
        shape = checked.cio_db.shape
        if shape[:-1] != (batch,):
            raise ConfigError(f"control: CIOs of shape {shape}, expected ({batch}, {shape[-1]})")
        return interval.Parameters(checked.cio_db.astype(np.float32), checked.hysteresis_db.astype(np.float32))

    def _kpis(
        self, service: Service, interval_s: float, position_m: Floats, rsrp_dbm: Floats, sinr_db: Floats
    ) -> StepKpis:
        """Returns the KPIs of what was served in `interval_s`, and of the state at its end."""
        assert self._state is not None
        serving, lost = self._state.serving, self._state.lost
        bits_per_s = self.load.packet_bits / interval_s
        shown = np.where(lost, -1, serving)
        handovers = np.zeros(len(serving)) if self._changes is None else (self._changes.target >= 0).sum(axis=(1, 2))
        return StepKpis(
            time_s=np.full(len(serving), self._time_s),
            prb_utilization=self.load.utilization(service.busy_ttis, interval_s),
            offered_bps=service.arrived * bits_per_s,
            served_bps=service.delivered * bits_per_s,
            connected_ues=self.load.ues_per_cell(shown),
            ue_position_m=position_m,
            ue_serving_cell=shown,
            ue_rsrp_dbm=rsrp_dbm,
            ue_sinr_db=sinr_db,
            ue_throughput_bps=service.ue_delivered * bits_per_s,
            events=np.empty(0, EVENT_DTYPE),
            handovers=handovers.astype(np.float64),
        )


def stack(kpis: list[StepKpis]) -> StepKpis:
    """Joins batched KPIs of successive times along a new second axis, (B, K, ...)."""
    arrays = {name: np.stack([getattr(step, name) for step in kpis], axis=1) for name in KPI_AXES}
    return StepKpis(**arrays, events=np.empty(0, EVENT_DTYPE))


def _at(local_km: torch.Tensor, times: Floats) -> torch.Tensor:
    """Interpolates positions (B, T, 2, U) to any times in steps of these, (B, len(times), 2, U)."""
    lower = np.minimum((times + 1e-9).astype(int), local_km.shape[1] - 2)
    share = torch.as_tensor(times - lower, dtype=local_km.dtype, device=local_km.device)
    before, after = local_km[:, lower], local_km[:, lower + 1]
    return before + (after - before) * share[:, None, None]
