"""The one-step what-if made differentiable: d reward / d CIO, for searches that follow a gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cf_augment.physics.closed_form.engine import Engine
from cf_augment.physics.closed_form.what_if import WhatIf
from cf_augment.physics.constants import TTI_S
from ns3_scenarios.grids import CIO_GRID
from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.mdp import REWARDS
from sumo_mobility.base.errors import ConfigError

_FILLINGS = 12
"""Rounds in which the share of those who want less than it is dealt to the others."""


class SoftWhatIf:
    """Predicts the reward of the next control interval as a smooth function of the CIOs; float64.

    What `WhatIf` decides, this weighs: at each hop a UE in cell s is handed over to n with the share softmax over n of
    (RSRP_n + CIO_sn) / temperature, where s itself has RSRP_s + A3 offset + hysteresis. The rest is linear in those
    shares, but that a cell saturates softly, over `temperature_db` * 5 % of its capacity. As the temperature falls,
    loads and rewards become those of WhatIf. The hard engine remains the judge.

    Where handover.grid is standard, the reward is that of the nearest CIO that a network can signal, as in WhatIf, and
    its gradient passes straight through the snapping, whose own derivative is 0 almost everywhere.

    Args:
        engine: The engine of the scenario; its state is neither used nor changed.
        temperature_db: Over which difference of RSRP the association turns.

    Raises:
        ConfigError: the scenario steers more than CIO, its reward has no gradient, or the temperature is not a
            positive number.
    """

    def __init__(self, engine: Engine, temperature_db: float = 1.0) -> None:
        if not (0 < temperature_db < math.inf):
            raise ConfigError(f"soft what-if: temperature_db is {temperature_db}, but a positive number is needed")
        scenario = engine.scenario
        if scenario.profile == "paper":
            raise ConfigError("profile: the soft what-if has no 'paper', only 'ns3' and '3gpp'", "set one of these")
        hard = [f"reward '{name}'" for name in scenario.reward_weights if not REWARDS[name].differentiable]
        if hard or scenario.handover_cost:
            names = " and ".join([*hard, *(["handover_cost"] if scenario.handover_cost else [])])
            raise ConfigError(f"soft what-if: no gradient of {names}", "leave out of the reward what has none")
        self._engine, self._what_if, self._temperature_db = engine, WhatIf(engine), temperature_db
        self._capacity = engine.scenario.episode.control_interval_s / TTI_S
        queues = engine.load.queues
        self._alone, self._packed, packets_per_s = (
            torch.as_tensor(values, device=engine.device)
            for values in (queues.ttis_alone, queues.ttis_packed, queues.packets_per_s)
        )
        self._arriving = packets_per_s * engine.scenario.episode.control_interval_s

    def __call__(self, kpis: StepKpis, cio_db: Tensor) -> Tensor:
        """Returns the reward that the scenario names, (K,), with its graph to the CIO.

        Args:
            kpis: KPIs of one environment, without batch dimensions.
            cio_db: (K, E), within the range or beyond, on the standard's grid or off it.

        Raises:
            ConfigError: the CIO has the wrong shape or is not finite.
            DataError: the KPIs do not fit the scenario or hold a value that is not finite.
        """
        scenario, soft = self._engine.scenario, _SoftKpis(self, *self._attach(kpis, cio_db))
        rewards = [weight * REWARDS[name].soft(scenario, soft) for name, weight in scenario.reward_weights.items()]
        return torch.stack(rewards).sum(dim=0)

    def utilization(self, kpis: StepKpis, cio_db: Tensor) -> Tensor:
        """Returns the PRB utilisation (K, C); arguments and errors as of the call."""
        share, cqi, _ = self._attach(kpis, cio_db)
        return self._utilization(share, cqi)

    def _attach(self, kpis: StepKpis, cio_db: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the share of each UE that each cell serves (K, C, U), and its CQI and reception there (C, U)."""
        engine, handover = self._engine, self._engine.scenario.handover
        pairs = len(engine.scenario.neighbor_pairs)
        if cio_db.ndim != 2 or cio_db.shape[1] != pairs:
            raise ConfigError(f"cio_db: shape {tuple(cio_db.shape)}, expected (K, {pairs})")
        if not bool(cio_db.isfinite().all()):
            raise ConfigError(f"cio_db: value {cio_db.isfinite().logical_not().nonzero()[0].tolist()} is not finite")
        rsrp, start = self._what_if.state(kpis)
        sinr = engine.radio.sinr_of_all_db(rsrp)
        cells, level = len(rsrp), rsrp.double()
        staying = torch.eye(cells, dtype=torch.bool, device=rsrp.device)
        signalled = torch.as_tensor(handover.signalled(cio_db.detach().double().cpu().numpy(), CIO_GRID))
        through = cio_db.double() + (signalled.to(cio_db.device) - cio_db.double()).detach()
        offsets = engine.connection.offsets_db(through)
        offsets = torch.where(staying, handover.a3_offset_db + handover.hysteresis_db, offsets)
        # [K, to, from, U]
        biased = (level[:, None] + offsets.unsqueeze(-1)) / self._temperature_db
        moves = biased.softmax(dim=1)
        share = torch.nn.functional.one_hot(start, cells).T.double().expand(len(cio_db), -1, -1)
        for _ in range(self._what_if.hops):
            share = torch.einsum("kcsu,ksu->kcu", moves, share)
        return share, engine.radio.cqi(sinr), engine.radio.grant_received(sinr).double()

    def _need(self, cqi: Tensor) -> Tensor:
        """TTIs that a UE needs in each cell, (C, U)."""
        return self._alone[cqi] * self._arriving

    def _utilization(self, share: Tensor, cqi: Tensor) -> Tensor:
        need = (share * self._need(cqi)).sum(dim=-1) / self._capacity
        edge = 0.05 * self._temperature_db
        busy = 1 - edge * torch.nn.functional.softplus((1 - need) / edge)
        # Of softplus((1 - 0) / edge) a little is left below zero.
        idle = 1 - edge * float(np.logaddexp(0, 1 / edge))
        return (busy - idle) * self._engine.load.utilization(np.array(self._capacity), self._capacity * TTI_S).item()

    def _served(self, share: Tensor, cqi: Tensor, received: Tensor) -> Tensor:
        """Packets that each UE receives, (K, U)."""
        need, packed, alone = self._need(cqi), self._packed[cqi], self._alone[cqi]
        full = (share * need).sum(dim=-1, keepdim=True) > self._capacity
        level = torch.zeros_like(share[..., :1])
        for _ in range(_FILLINGS):
            hungry = need > level
            rest = self._capacity - torch.where(hungry, 0.0, share * need).sum(dim=-1, keepdim=True)
            wanting = torch.where(hungry, share, 0.0).sum(dim=-1, keepdim=True)
            level = torch.where(full & (wanting > 0), rest / wanting.clamp(min=1e-12), level)
        reachable = cqi > 0
        affordable = torch.minimum(self._arriving, level / packed.clamp(min=1e-12)) * received ** (packed + 1)
        sent = torch.where(full, affordable, self._arriving * received**alone)
        return torch.where(reachable, share * sent, 0.0).sum(dim=1)


@dataclass(frozen=True)
class _SoftKpis:
    """The KPIs that rewards ask for, computed on demand."""

    what_if: SoftWhatIf
    share: Tensor
    cqi: Tensor
    received: Tensor

    @property
    def prb_utilization(self) -> Tensor:
        return self.what_if._utilization(self.share, self.cqi)

    @property
    def ue_throughput_bps(self) -> Tensor:
        engine = self.what_if._engine
        packet_bps = engine.load.packet_bits / engine.scenario.episode.control_interval_s
        return self.what_if._served(self.share, self.cqi, self.received) * packet_bps
