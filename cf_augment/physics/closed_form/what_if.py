"""The what-if: the KPIs of the next control interval under other CIOs, from one observed state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from cf_augment.physics.closed_form.engine import Engine
from cf_augment.physics.closed_form.load import Service
from cf_augment.physics.constants import L1_PERIOD_S
from cf_augment.physics.radio.vector_math import compiled
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import StepKpis
from sumo_mobility.base.arrays import Floats, Ints, Singles
from sumo_mobility.base.errors import ConfigError, DataError


class WhatIf:
    """Predicts the next control interval of one state under any number of CIOs.

    The UEs stand where they are, unless it is said where they go; the interval is then cut into equal parts, in each of
    which they stand. At the beginning of a part every UE hands over until event A3 holds no more, and then the part is
    served. The last L1 measurement, or that in the part, stands for the filtered one, and queues are empty at the
    beginning of the interval.

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

    def __call__(self, kpis: StepKpis, cio_db: Floats, position_m: Floats | None = None) -> StepKpis:
        """Returns the KPIs under each CIO.

        Args:
            kpis: KPIs of one environment, without batch dimensions.
            cio_db: (K, E).
            position_m: (S, U, 2) where the UEs are in each of S equal parts of the interval; None: they stand where
                they are, and receive what `kpis` say.

        Returns:
            StepKpis with leading K; `handovers` are all that the UEs make on the way.

        Raises:
            ConfigError: the CIO has the wrong length, is not finite or out of range.
            DataError: the KPIs or positions do not fit the scenario or hold a value that is not finite.
        """
        engine, scenario, handover = self._engine, self._engine.scenario, self._engine.scenario.handover
        cio = Control.checked(scenario, np.atleast_2d(cio_db)).cio_db
        count, interval_s, ues = len(cio), scenario.episode.control_interval_s, scenario.mobility.ues
        rsrp, start = self._state(kpis)
        if position_m is not None:
            if np.ndim(position_m) != 3 or np.shape(position_m)[1:] != (ues, 2) or not np.isfinite(position_m).all():
                raise DataError(f"position_m: {np.shape(position_m)}, but finite places (parts, {ues}, 2) are needed")
            rsrp = engine.radio.rsrp_dbm(engine.radio.local(torch.from_numpy(position_m).to(engine.device)))
        sinr = engine.radio.sinr_of_all_db(rsrp)
        cqi, received = (table(sinr).cpu().numpy() for table in (engine.radio.cqi, engine.radio.grant_received))
        rsrp_dbm, sinr_db = (values.cpu().numpy() for values in (rsrp, sinr))
        parts, cells = rsrp_dbm.shape[:2]
        part_s, hops = interval_s / parts, -(-self.hops // parts)

        offsets = engine.connection.offsets_db(torch.as_tensor(cio, dtype=torch.float32, device=engine.device))
        offsets_db = offsets.mT.contiguous().cpu().numpy()
        limits_db = np.float32(handover.a3_offset_db), np.float32(handover.hysteresis_db)
        serving, moved = np.tile(start, (count, 1)), np.zeros((count, ues), np.int64)
        service, backlog, handovers = Service.nothing(count, cells, ues), np.zeros((count, ues)), np.zeros(count)
        for part in range(parts):
            _settle(np.ascontiguousarray(rsrp_dbm[part].T), offsets_db, *limits_db, hops, serving, moved)
            link = serving * ues + np.arange(ues)
            if engine.paper:
                received_dbm = np.broadcast_to(rsrp_dbm[part], (count, cells, ues))
                served = engine.paper.serve(received_dbm, serving, part_s)
            else:
                backlog[moved > 0] = 0.0  # the RLC UM queue is lost with the bearer
                served = engine.load.serve(serving, cqi[part].take(link), received[part].take(link), backlog, part_s)
            handovers += moved.sum(axis=1)
            for total, of_part in zip(service, served, strict=True):
                total += of_part
        bits_per_s = engine.load.packet_bits / interval_s
        seen_m, seen_dbm = kpis.ue_position_m, kpis.ue_rsrp_dbm
        if position_m is not None:
            seen_m, seen_dbm = position_m[-1], rsrp_dbm[-1].T.astype(np.float64)
        return replace(
            kpis,
            time_s=np.full(count, float(kpis.time_s) + interval_s),
            prb_utilization=engine.load.utilization(service.busy_ttis, interval_s),
            offered_bps=service.arrived * bits_per_s,
            served_bps=service.delivered * bits_per_s,
            connected_ues=engine.load.ues_per_cell(serving),
            ue_position_m=np.broadcast_to(seen_m, (count, ues, 2)),
            ue_serving_cell=serving,
            ue_rsrp_dbm=np.broadcast_to(seen_dbm, (count, ues, cells)),
            ue_sinr_db=sinr_db[-1].take(link).astype(np.float64),
            ue_throughput_bps=service.ue_delivered * bits_per_s,
            events=kpis.events[:0],
            handovers=handovers,
        )

    def _state(self, kpis: StepKpis) -> tuple[torch.Tensor, Ints]:
        """Returns what the UEs receive, (1, C, U), and their serving cells (U,), checked."""
        ues, cells = self._engine.scenario.mobility.ues, len(self._engine.scenario.cells)
        if kpis.ue_rsrp_dbm.shape != (ues, cells) or kpis.ue_serving_cell.shape != (ues,):
            raise DataError(
                f"kpis: ue_rsrp_dbm {kpis.ue_rsrp_dbm.shape} and ue_serving_cell {kpis.ue_serving_cell.shape} do not "
                f"fit {ues} UEs and {cells} cells of one environment"
            )
        if not np.isfinite(kpis.ue_rsrp_dbm).all():
            raise DataError(f"kpis: ue_rsrp_dbm{np.argwhere(~np.isfinite(kpis.ue_rsrp_dbm))[0].tolist()} is not finite")
        rsrp = torch.from_numpy(np.array(kpis.ue_rsrp_dbm.T[None], np.float32, order="C")).to(self._engine.device)
        serving, strongest = kpis.ue_serving_cell, kpis.ue_rsrp_dbm.astype(np.float32).argmax(axis=1)
        # A UE that is not connected selects the strongest cell.
        return rsrp, np.where(serving >= 0, serving, strongest).astype(np.int64)


@compiled
def _settle(
    rsrp_dbm: Singles, offsets_db: Singles, a3_offset_db: np.float32, hysteresis_db: np.float32, hops: int,
    serving: Ints, moved: Ints,
) -> None:  # fmt: skip
    """Lets each UE hand over for as long as event A3 holds, but not more often than `hops`.

    Args:
        rsrp_dbm: (U, C).
        offsets_db: (K, C, C) [serving, neighbour], minus infinity where that is none.
        a3_offset_db: The A3 offset.
        hysteresis_db: The hysteresis.
        hops: The most handovers of a UE.
        serving: (K, U) the serving cells; then those in which the UEs stay.
        moved: (K, U), filled with the handovers of each UE.
    """
    for k in range(len(serving)):
        for u in range(len(rsrp_dbm)):
            cell, hop = serving[k, u], 0
            while hop < hops:
                best_db, target = np.float32(-np.inf), cell
                for n in range(rsrp_dbm.shape[1]):
                    biased_db = rsrp_dbm[u, n] + offsets_db[k, cell, n]
                    if biased_db > best_db:
                        best_db, target = biased_db, n
                if not best_db - (rsrp_dbm[u, cell] + a3_offset_db) > hysteresis_db:
                    break  # where one more look would find the same
                cell, hop = target, hop + 1
            serving[k, u], moved[k, u] = cell, hop
