"""Engine: tier 0 of the physics, a control interval of the whole network in closed form, batched.

    mobility -> RSRP -> L1 mean -> L3 filter -> event A3 -> serving cell -> SINR -> CQI -> TTIs by packets -> KPIs

It mirrors the ns-3 program with control-region CQI and proportional fair scheduling, without fading and block errors.
B environments, U UEs, C cells, E neighbour pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from cf_augment.physics.constants import L1_PERIOD_S, TRAFFIC_START_S
from cf_augment.physics.handover import Connection, HandoverState
from cf_augment.physics.load import Load, Service
from cf_augment.physics.radio import GRID_S, Radio
from ns3_scenarios.kpis import EVENT_DTYPE, KPI_AXES, Floats, StepKpis, check_trace, checked_control
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.trace import MobilityTrace

FARTHEST_M = 1e7
"""A coordinate beyond this is refused: it is not on Earth."""


@dataclass(frozen=True)
class Moves:
    """What happens at one time.

    Attributes:
        time_s: Trace time.
        source: (B, U) the cell that serves the UE.
        target: (B, U) the cell to which a handover starts, -1 where none does.
        lost: (B, U) whose radio link has failed.
    """

    time_s: float
    source: Tensor
    target: Tensor
    lost: Tensor


class Engine:
    """The network of one scenario, for B environments that march in step.

    Args:
        scenario: The scenario.
        device: Any torch device.

    Raises:
        ConfigError: the scenario's scheduler, RRC, CQI mode or steering is one that the engine does not mirror.
    """

    def __init__(self, scenario: Scenario, device: str = "cpu") -> None:
        for field, mirrored in (("scheduler", "pf"), ("rrc", "ideal"), ("cqi", "control")):
            value = getattr(scenario.radio, field)
            if value != mirrored:
                raise ConfigError(f"radio.{field}: the engine has no '{value}', only '{mirrored}'", "use backend ns3")
        if "time-to-trigger" in scenario.handover.steer:
            raise ConfigError("handover.steer: the engine has one time to trigger for all cells", "use backend ns3")
        self.scenario = scenario
        self.device = torch.device(device)
        self.radio = Radio(scenario, self.device)
        self.connection = Connection(scenario, self.device)
        self.load = Load(scenario, self.device)
        interval_s = scenario.episode.control_interval_s
        self.grid_steps = round(interval_s / GRID_S)
        """Positions per control interval, not counting the one at its start."""
        starts_s = [0.0] + [i * L1_PERIOD_S + self.connection.phase_s for i in range(round(interval_s / L1_PERIOD_S))]
        self._slots_s = list(zip(starts_s, [*starts_s[1:], interval_s], strict=True))
        self._handover: HandoverState | None = None
        self.moves: list[Moves] = []
        """The handovers of the last interval, for those who want to know which UEs moved."""

    def reset(self, position_m: ArrayLike) -> StepKpis:
        """Attaches the UEs, which have stood at `position_m` (B, U, 2) since the warm-up began.

        Returns:
            KPIs of the warm-up's last control interval, with leading B; trace time 0.

        Raises:
            DataError: wrong shape, or a position that is not finite.
        """
        position = self._positions(position_m, "(B, U, 2)", 3)
        rsrp = self.radio.rsrp_dbm(self.radio.local(position))
        self._handover = HandoverState.attached(rsrp)
        self._time_s, self._backlog = 0.0, torch.zeros_like(rsrp[:, 0])
        episode = self.scenario.episode
        self._serve(rsrp, episode.warmup_s - episode.control_interval_s - TRAFFIC_START_S)
        service = self._serve(rsrp, episode.control_interval_s)
        self.moves = []
        return self._kpis(service, position, rsrp, rsrp)

    def step(self, position_m: ArrayLike, control: ArrayLike) -> StepKpis:
        """Runs one control interval.

        Args:
            position_m: (B, grid_steps + 1, U, 2) positions each GRID_S, from the start of the interval to its end.
            control: (B, N) what Backend.step takes, in force at all measurements of the interval.

        Returns:
            StepKpis with leading B.

        Raises:
            DataError: wrong shape, or a position that is not finite.
            ConfigError: the control has the wrong shape, is not finite or out of range; `reset` was not called.
        """
        if self._handover is None:
            raise ConfigError("engine: step() before reset()")
        position = self._positions(position_m, f"(B, {self.grid_steps + 1}, U, 2)", 4)
        batch = len(self._backlog)
        if position.shape[:2] != (batch, self.grid_steps + 1):
            raise DataError(
                f"position_m: shape {tuple(position.shape)}, but {batch} environments need {self.grid_steps + 1} "
                f"positions, one each {GRID_S} s"
            )
        offsets, hysteresis = self._parameters(control, batch)
        local = self.radio.local(position)
        l1_dbm = self.radio.l1_rsrp_dbm(local)
        slot_rsrp = self.radio.rsrp_dbm(_at(local, [(start + end) / 2 for start, end in self._slots_s]))

        state, service = self._handover, self._serve(slot_rsrp[:, 0], self._slots_s[0][1])
        self.moves = []
        at_once = self.connection.phase_s == 0
        for slot, (start_s, end_s) in enumerate(self._slots_s[1:], start=1):
            if not at_once:
                self.connection.trigger(state, offsets)
            self.moves.append(Moves(self._time_s + start_s, state.serving, state.target, state.lost))
            # The RLC UM queue is lost with the bearer.
            self._backlog = torch.where(self.connection.complete(state), 0.0, self._backlog)
            service += self._serve(slot_rsrp[:, slot], end_s - start_s)
            self.connection.measure(state, l1_dbm[:, slot - 1], offsets, hysteresis)
            self.connection.monitor(state, self._sinr_db)
            if at_once:
                self.connection.trigger(state, offsets)
        self._time_s = round(self._time_s + self.scenario.episode.control_interval_s, 9)
        return self._kpis(service, position[:, -1], l1_dbm[:, -1], self.radio.rsrp_dbm(local[:, -1]))

    def rollout(self, position_m: ArrayLike, control: ArrayLike) -> StepKpis:
        """Runs whole episodes.

        Args:
            position_m: (B, K * grid_steps + 1, U, 2) positions each GRID_S from trace time 0.
            control: (B, K, N).

        Returns:
            StepKpis with leading (B, K + 1): the KPIs after the warm-up, then those of each interval.
        """
        position, controls = np.asarray(position_m, dtype=np.float64), np.asarray(control, dtype=np.float64)
        if controls.ndim != 3 or position.ndim != 4 or position.shape[1] != controls.shape[1] * self.grid_steps + 1:
            raise DataError(
                f"position_m: shape {position.shape} does not fit control {controls.shape}: "
                f"(B, K * {self.grid_steps} + 1, U, 2) and (B, K, N) are needed"
            )
        kpis = [self.reset(position[:, 0])]
        for step in range(controls.shape[1]):
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

    def _serve(self, rsrp_dbm: Tensor, duration_s: float) -> Service:
        assert self._handover is not None
        serving = self._handover.serving
        self._sinr_db = self.radio.sinr_db(rsrp_dbm, serving)
        cqi, received = self.radio.cqi(self._sinr_db), self.radio.grant_received(self._sinr_db)
        service = self.load.serve(serving, cqi, received, self._backlog, duration_s)
        self._backlog = service.backlog
        return service

    def _positions(self, position_m: ArrayLike, shape: str, dimensions: int) -> Tensor:
        values = np.asarray(position_m, dtype=np.float64)
        ues = self.scenario.mobility.ues
        if values.ndim != dimensions or values.shape[-2:] != (ues, 2):
            raise DataError(f"position_m: shape {values.shape}, expected {shape} with U = {ues}")
        bad = ~(np.abs(values) <= FARTHEST_M)
        if bad.any():
            where = [int(i) for i in np.argwhere(bad)[0]]
            raise DataError(f"position_m{where}: {values[tuple(where)]} m is not a finite place on Earth")
        return torch.as_tensor(values, device=self.device)

    def _parameters(self, control: ArrayLike, batch: int) -> tuple[Tensor, Tensor]:
        """Returns the offsets (B, C, C) and the hysteresis of each serving cell (B, C)."""
        values = checked_control(self.scenario, np.asarray(control, dtype=np.float64))
        if values.shape[:-1] != (batch,):
            raise ConfigError(f"control: shape {values.shape}, expected ({batch}, {values.shape[-1]})")
        pairs, cells, handover = len(self.scenario.neighbor_pairs), len(self.scenario.cells), self.scenario.handover
        tensor = torch.as_tensor(values, dtype=torch.float32, device=self.device)
        own = tensor.new_full((batch, cells), handover.hysteresis_db)
        return self.connection.offsets_db(tensor[:, :pairs]), tensor[:, pairs:] if handover.steer else own

    def _kpis(self, service: Service, position_m: Tensor, l1_dbm: Tensor, rsrp_dbm: Tensor) -> StepKpis:
        assert self._handover is not None
        serving, lost = self._handover.serving, self._handover.lost
        interval_s = self.scenario.episode.control_interval_s
        bits_per_s = self.load.packet_bits / interval_s
        handovers = sum(((move.target >= 0).sum(dim=1) for move in self.moves), torch.zeros_like(serving[:, 0]))
        return StepKpis(
            time_s=np.full(len(serving), self._time_s),
            prb_utilization=numpy_of(self.load.utilization(service.busy_ttis, interval_s)),
            offered_bps=numpy_of(service.arrived * bits_per_s),
            served_bps=numpy_of(service.delivered * bits_per_s),
            connected_ues=numpy_of(self.load.per_cell((~lost).float(), serving)),
            ue_position_m=numpy_of(position_m),
            ue_serving_cell=torch.where(lost, -1, serving).cpu().numpy(),
            ue_rsrp_dbm=numpy_of(l1_dbm.mT),
            ue_sinr_db=numpy_of(self.radio.sinr_db(rsrp_dbm, serving)),
            ue_throughput_bps=numpy_of(service.ue_delivered * bits_per_s),
            events=np.empty(0, EVENT_DTYPE),
            handovers=numpy_of(handovers),
        )


def stack(kpis: list[StepKpis]) -> StepKpis:
    """Joins batched KPIs of successive times along a new second axis, (B, K, ...)."""
    arrays = {name: np.stack([getattr(one, name) for one in kpis], axis=1) for name in KPI_AXES}
    return StepKpis(**arrays, events=np.empty(0, EVENT_DTYPE))


def _at(local_km: Tensor, times_s: list[float]) -> Tensor:
    """Interpolates positions (B, T, 2, U) on the grid to any times, (B, len(times_s), 2, U)."""
    lower = [min(int(time_s / GRID_S + 1e-9), local_km.shape[1] - 2) for time_s in times_s]
    share = local_km.new_tensor([time_s / GRID_S - row for time_s, row in zip(times_s, lower, strict=True)])
    before, after = local_km[:, lower], local_km[:, [row + 1 for row in lower]]
    return before + (after - before) * share[:, None, None]


def numpy_of(values: Tensor) -> Floats:
    """Returns a tensor as a float64 array."""
    return values.cpu().numpy().astype(np.float64)
