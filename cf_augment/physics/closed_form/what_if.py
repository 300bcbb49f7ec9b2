"""The one-step what-if: the KPIs after event A3 has settled under other CIOs, from one observed state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from cf_augment.physics.closed_form.engine import Engine
from cf_augment.physics.constants import L1_PERIOD_S
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import StepKpis
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.errors import ConfigError, DataError


class WhatIf:
    """Predicts the next control interval of one state under any number of CIOs.

    UEs stand where they are, and the last L1 measurement stands for the filtered one. The prediction is that of the
    interval after the handovers, with empty queues at its start.

    Args:
        engine: The engine of the scenario; its state is neither used nor changed.

    Raises:
        ConfigError: the scenario steers more than CIO, or its CQI is not from the control region.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        if engine.scenario.radio.cqi != "control":
            raise ConfigError("radio.cqi: the one-step what-if knows CQI from the control region only", "use 'control'")
        if engine.scenario.handover.steer:
            named = ", ".join(engine.scenario.handover.steer)
            raise ConfigError(f"handover.steer: the one-step what-if knows CIO alone, not {named}", "leave it empty")
        handover, interval_s = engine.scenario.handover, engine.scenario.episode.control_interval_s
        trigger_s = handover.time_to_trigger_ms / 1000
        cycle_s = L1_PERIOD_S * (1 + int(trigger_s / L1_PERIOD_S + 1e-9))
        measured = max(1, 1 + int((interval_s - L1_PERIOD_S - trigger_s) / cycle_s + 1e-9))
        self.hops = len(engine.paper.starts_s) if engine.paper else measured
        """Handovers that one UE can make in one interval."""

    def __call__(self, kpis: StepKpis, cio_db: Floats) -> StepKpis:
        """Returns the KPIs under each CIO.

        Args:
            kpis: KPIs of one environment, without batch dimensions.
            cio_db: (K, E).

        Returns:
            StepKpis with leading K; `handovers` are those on the way to the settled state.

        Raises:
            ConfigError: the CIO has the wrong length, is not finite or out of range.
            DataError: the KPIs do not fit the scenario or hold a value that is not finite.
        """
        engine, scenario = self._engine, self._engine.scenario
        cio = Control.checked(scenario, np.atleast_2d(cio_db)).cio_db
        rsrp, start = self.state(kpis)
        offsets = engine.connection.offsets_db(torch.as_tensor(cio, dtype=torch.float32, device=engine.device))
        serving, handovers = self._settle(rsrp, start, offsets)

        sinr = engine.radio.sinr_of_all_db(rsrp)
        link = serving * rsrp.shape[1] + torch.arange(rsrp.shape[1], device=engine.device)
        tables = engine.radio.cqi, engine.radio.grant_received
        cqi, received, cell = (of.cpu().numpy() for of in (*(table(sinr).take(link) for table in tables), serving))
        interval_s = scenario.episode.control_interval_s
        if engine.paper:
            service = engine.paper.serve(rsrp.expand(len(cell), -1, -1).cpu().numpy(), cell, interval_s)
        else:
            service = engine.load.serve(cell, cqi, received, np.zeros(cell.shape), interval_s)
        bits_per_s = engine.load.packet_bits / interval_s
        count = len(cio)
        return replace(
            kpis,
            time_s=np.full(count, float(kpis.time_s) + interval_s),
            prb_utilization=engine.load.utilization(service.busy_ttis, interval_s),
            offered_bps=service.arrived * bits_per_s,
            served_bps=service.delivered * bits_per_s,
            connected_ues=engine.load.ues_per_cell(cell),
            ue_position_m=np.broadcast_to(kpis.ue_position_m, (count, *kpis.ue_position_m.shape)),
            ue_serving_cell=cell,
            ue_rsrp_dbm=np.broadcast_to(kpis.ue_rsrp_dbm, (count, *kpis.ue_rsrp_dbm.shape)),
            ue_sinr_db=sinr.take(link).double().cpu().numpy(),
            ue_throughput_bps=service.ue_delivered * bits_per_s,
            events=kpis.events[:0],
            handovers=handovers.double().cpu().numpy(),
        )

    def state(self, kpis: StepKpis) -> tuple[Tensor, Tensor]:
        """Returns RSRP (C, U) and the serving cells (U,), checked."""
        ues, cells = self._engine.scenario.mobility.ues, len(self._engine.scenario.cells)
        if kpis.ue_rsrp_dbm.shape != (ues, cells) or kpis.ue_serving_cell.shape != (ues,):
            raise DataError(
                f"kpis: ue_rsrp_dbm {kpis.ue_rsrp_dbm.shape} and ue_serving_cell {kpis.ue_serving_cell.shape} do not "
                f"fit {ues} UEs and {cells} cells of one environment"
            )
        if not np.isfinite(kpis.ue_rsrp_dbm).all():
            raise DataError(f"kpis: ue_rsrp_dbm{np.argwhere(~np.isfinite(kpis.ue_rsrp_dbm))[0].tolist()} is not finite")
        rsrp = torch.as_tensor(kpis.ue_rsrp_dbm.T, dtype=torch.float32, device=self._engine.device).contiguous()
        serving = torch.as_tensor(kpis.ue_serving_cell, device=self._engine.device)
        # A UE that is not connected selects the strongest cell.
        return rsrp, torch.where(serving >= 0, serving, rsrp.argmax(dim=0))

    def _settle(self, rsrp: Tensor, start: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Lets each UE hand over while event A3 holds; returns serving cells (K, U) and handovers (K,)."""
        handover = self._engine.scenario.handover
        serving, moved = start.expand(len(offsets), -1), torch.zeros(len(offsets), device=rsrp.device)
        for hop in range(self.hops):
            if hop == 0:
                biased = rsrp + offsets.index_select(2, start)
            else:
                biased = rsrp + offsets.gather(2, serving.unsqueeze(1).expand(-1, len(rsrp), -1))
            best, target = biased.max(dim=1)
            own = rsrp.gather(0, serving)
            moving = best - (own + handover.a3_offset_db) > handover.hysteresis_db
            serving = torch.where(moving, target, serving)
            moved = moved + moving.sum(dim=1)
        return serving, moved
