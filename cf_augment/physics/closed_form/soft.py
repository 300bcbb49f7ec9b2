"""The one-step what-if made differentiable: d reward / d CIO, for training and for searches that follow a gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cf_augment.physics.closed_form.engine import Engine
from cf_augment.physics.closed_form.what_if import WhatIf
from cf_augment.physics.constants import TTI_S
from ns3_scenarios.grids import CIO_GRID
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import REWARDS
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.errors import ConfigError, DataError

_FILLINGS = 12
"""Rounds in which the share of those who want less than it is dealt to the others."""
_FOLLOWED = 4
"""Hops that are followed one by one, or one less; who then is not at rest goes back and forth. Even."""
_SATURATION = 0.05
"""Share of a cell's capacity over which it saturates, and of the traffic over which a UE is blocked, at 1 dB."""


class RadioStates(NamedTuple):
    """What the UEs receive and which cells serve them, in any number of states (...)."""

    rsrp_dbm: Tensor
    """(..., U, C) float32."""
    serving: Tensor
    """(..., U) int64; a UE that was not connected counts as served by its strongest cell."""

    @classmethod
    def of(cls, kpis: StepKpis) -> RadioStates:
        """Returns the states at the end of control intervals.

        Raises:
            DataError: an RSRP is not finite.
        """
        if not np.isfinite(kpis.ue_rsrp_dbm).all():
            raise DataError(f"kpis: ue_rsrp_dbm{np.argwhere(~np.isfinite(kpis.ue_rsrp_dbm))[0].tolist()} is not finite")
        rsrp_dbm = torch.as_tensor(kpis.ue_rsrp_dbm, dtype=torch.float32)
        serving = torch.as_tensor(kpis.ue_serving_cell, dtype=torch.int64)
        return cls(rsrp_dbm, torch.where(serving >= 0, serving, rsrp_dbm.argmax(dim=-1)))


class SoftWhatIf:
    """Predicts the reward of the next control interval as a smooth function of the CIOs, for any number of states.

    What `WhatIf` decides, this weighs: at each hop a UE in cell s is handed over to n with the share softmax over n of
    (RSRP_n + CIO_sn) / temperature, where s itself has RSRP_s + A3 offset + hysteresis. The rest is linear in those
    shares, but that a cell saturates softly, over temperature * 5 % of its capacity. Of many hops in an interval the
    first ones are followed; who then still moves is taken to go back and forth between two cells until its end. As the
    temperature falls, loads, throughputs, handovers and rewards become those of WhatIf. The hard engine remains the
    judge.

    Where handover.grid is standard, the reward is that of the nearest CIO that a network can signal, as in WhatIf, and
    its gradient passes straight through the snapping, whose own derivative is 0 almost everywhere.

    Args:
        scenario: The scenario.
        device: Where it is computed.

    Raises:
        ConfigError: the scenario steers more than CIO, its CQI is not from the control region, or its reward has no
            gradient.
    """

    def __init__(self, scenario: Scenario, device: str = "cpu") -> None:
        hard = [f"reward '{name}'" for name in scenario.reward_weights if not REWARDS[name].differentiable]
        if hard:
            raise ConfigError(
                f"soft what-if: no gradient of {' and '.join(hard)}", "leave out of the reward what has none"
            )
        self.scenario = scenario
        self._engine = Engine(scenario, device)
        self._hops = WhatIf(self._engine).hops

    def __call__(self, states: RadioStates, cio_db: Tensor, temperature_db: float = 1.0) -> Tensor:
        """Returns the reward that the scenario names, (...), with its graph to the CIO, and in its precision.

        Args:
            states: The states, whose batch dimensions and those of the CIO are broadcast.
            cio_db: (..., E), within the range or beyond, on the standard's grid or off it.
            temperature_db: Over which difference of RSRP the association turns.

        Raises:
            ConfigError: the CIO has the wrong shape or is not finite, or the temperature is not a positive number.
            DataError: the states do not fit the scenario.
        """
        scenario, kpis = self.scenario, self.kpis(states, cio_db, temperature_db)
        parts = [weight * REWARDS[name].soft(scenario, kpis) for name, weight in scenario.reward_weights.items()]
        if scenario.handover_cost:
            parts.append(-scenario.handover_cost / scenario.mobility.ues * kpis.handovers)
        return torch.stack(parts).sum(dim=0)

    def kpis(self, states: RadioStates, cio_db: Tensor, temperature_db: float = 1.0) -> AttachedKpis:
        """Returns the smooth KPIs that rewards ask for; arguments and errors as of the call."""
        if not (0 < temperature_db < math.inf):
            raise ConfigError(f"soft what-if: temperature_db is {temperature_db}, but a positive number is needed")
        pairs, cells = len(self.scenario.neighbor_pairs), len(self.scenario.cells)
        ues = self.scenario.mobility.ues
        if cio_db.ndim < 1 or cio_db.shape[-1] != pairs:
            raise ConfigError(f"cio_db: shape {tuple(cio_db.shape)}, expected (..., {pairs})")
        if not bool(cio_db.isfinite().all()):
            raise ConfigError(f"cio_db: value {cio_db.isfinite().logical_not().nonzero()[0].tolist()} is not finite")
        if states.rsrp_dbm.shape[-2:] != (ues, cells) or states.serving.shape != states.rsrp_dbm.shape[:-1]:
            raise DataError(
                f"states: rsrp_dbm {tuple(states.rsrp_dbm.shape)} and serving {tuple(states.serving.shape)} do not fit "
                f"{ues} UEs and {cells} cells"
            )
        share, handovers = self._attach(states, cio_db, temperature_db)
        engine, interval_s = self._engine, self.scenario.episode.control_interval_s
        service = (_Fluid if engine.paper else _Packets)(engine, states.rsrp_dbm, share.dtype)
        grantable = float(engine.load.utilization(np.array(service.capacity), interval_s))
        bps_per_packet = engine.load.packet_bits / interval_s
        return AttachedKpis(share, handovers, _SATURATION * temperature_db, service, grantable, bps_per_packet)

    def _attach(self, states: RadioStates, cio_db: Tensor, temperature_db: float) -> tuple[Tensor, Tensor]:
        """Returns the share of each UE that each cell serves (..., U, C), and the expected handovers (...)."""
        handover = self.scenario.handover
        signalled = torch.as_tensor(handover.signalled(cio_db.detach().double().cpu().numpy(), CIO_GRID))
        through = cio_db + (signalled.to(cio_db) - cio_db).detach()
        to_from = self._engine.connection.offsets_db(through)
        staying = torch.eye(to_from.shape[-1], dtype=torch.bool, device=to_from.device)
        offsets = torch.where(staying, handover.a3_offset_db + handover.hysteresis_db, to_from).mT / temperature_db
        level = states.rsrp_dbm.to(cio_db.dtype) / temperature_db
        batch = torch.broadcast_shapes(states.serving.shape[:-1], cio_db.shape[:-1])
        own = states.serving.expand(*batch, -1).unsqueeze(-1)
        offsets = offsets.expand(*batch, -1, -1)
        share = (level + torch.take_along_dim(offsets, own, dim=-2)).softmax(dim=-1)
        handovers = (1 - torch.take_along_dim(share, own, dim=-1)).sum(dim=(-2, -1))
        if self._hops > 1:
            # From each cell to each, (..., U, C, C)
            moves = (level.unsqueeze(-2) + offsets.unsqueeze(-3)).softmax(dim=-1)
            leaving = 1 - moves.diagonal(dim1=-2, dim2=-1)
            # As many are left out as bring a UE that goes back and forth to where it was.
            followed = min(self._hops, _FOLLOWED - self._hops % 2) - 1
            for hop in range(followed):
                # Who is still under way at the last of them is so to the interval's end.
                times = 1 if hop < followed - 1 else self._hops - followed
                handovers = handovers + times * (share * leaving).sum(dim=(-2, -1))
                share = (share.unsqueeze(-1) * moves).sum(dim=-2)
        return share, handovers


class _Packets:
    """Traffic by packets, as `load.serve` serves it; of each UE in each cell, (..., U, C)."""

    def __init__(self, engine: Engine, rsrp_dbm: Tensor, dtype: torch.dtype) -> None:
        queues, interval_s = engine.load.queues, engine.scenario.episode.control_interval_s
        packets_per_s, alone, packed = (
            torch.as_tensor(values, dtype=dtype, device=rsrp_dbm.device)
            for values in (queues.packets_per_s, queues.ttis_alone, queues.ttis_packed)
        )
        sinr_db = engine.radio.sinr_of_all_db(rsrp_dbm.mT).mT.contiguous()
        cqi = engine.radio.cqi(sinr_db)
        self.capacity = interval_s / TTI_S
        self._arriving = (packets_per_s * interval_s)[:, None]
        self._packed = packed[cqi]
        self._received = torch.where(cqi > 0, engine.radio.grant_received(sinr_db), 0.0).to(dtype)
        self._received_alone = torch.where(cqi > 0, self._received ** alone[cqi], 0.0)
        self.need = alone[cqi] * self._arriving
        """TTIs that the UE's traffic takes in the interval."""

    def received(self, share: Tensor) -> Tensor:
        """Returns the packets that each UE receives, (..., U), for the share that each cell serves (..., U, C)."""
        need = self.need
        full = (share * need).sum(dim=-2, keepdim=True) > self.capacity
        level = torch.zeros_like(share[..., :1, :])
        for _ in range(_FILLINGS):
            hungry = need > level
            rest = self.capacity - torch.where(hungry, 0.0, share * need).sum(dim=-2, keepdim=True)
            wanting = torch.where(hungry, share, 0.0).sum(dim=-2, keepdim=True)
            level = torch.where(full & (wanting > 0), rest / wanting.clamp(min=1e-12), level)
        affordable = torch.minimum(self._arriving, level / self._packed.clamp(min=1e-12))
        packed = affordable * self._received ** (self._packed + 1)
        return (share * torch.where(full, packed, self._arriving * self._received_alone)).sum(dim=-1)


class _Fluid:
    """Traffic as a fluid, in profile `paper`; see `Paper.serve`."""

    def __init__(self, engine: Engine, rsrp_dbm: Tensor, dtype: torch.dtype) -> None:
        assert engine.paper is not None
        interval_s = engine.scenario.episode.control_interval_s
        arriving, ttis = engine.paper.demand(rsrp_dbm.cpu().numpy(), interval_s)
        self.capacity = interval_s / TTI_S
        self._arriving = torch.as_tensor(arriving, dtype=dtype, device=rsrp_dbm.device)[:, None]
        self.need = self._arriving * torch.as_tensor(ttis, dtype=dtype, device=rsrp_dbm.device)

    def received(self, share: Tensor) -> Tensor:
        """See `_Packets.received`."""
        need = (share * self.need).sum(dim=-2, keepdim=True)
        served = (self.capacity / need.clamp(min=1e-9)).clamp(max=1.0)
        return (share * served * self._arriving).sum(dim=-1)


@dataclass(frozen=True)
class AttachedKpis:
    """KPIs of UEs that are softly attached, computed when they are asked for: see `ns3_scenarios.mdp.SoftKpis`.

    Attributes:
        share: (..., U, C) share of each UE that each cell serves.
        handovers: (...) expected handovers on the way there.
        softness: Relative width over which thresholds turn.
    """

    share: Tensor
    handovers: Tensor
    softness: float
    _service: _Packets | _Fluid
    _grantable: float
    _bps_per_packet: float

    @cached_property
    def prb_utilization(self) -> Tensor:
        """PRB utilisation, (..., C)."""
        need, edge = (self.share * self._service.need).sum(dim=-2) / self._service.capacity, self.softness
        busy = 1 - edge * torch.nn.functional.softplus((1 - need) / edge)
        # Of softplus((1 - 0) / edge) a little is left below zero.
        idle = 1 - edge * float(np.logaddexp(0, 1 / edge))
        return (busy - idle) * self._grantable

    @cached_property
    def ue_throughput_bps(self) -> Tensor:
        """Throughput of each UE, (..., U)."""
        return self._service.received(self.share) * self._bps_per_packet
