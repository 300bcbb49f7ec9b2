"""PRB load by packets: who takes how many TTIs of a cell, what is served, what is left in the queues."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cf_augment.physics.constants import (
    PDCP_BYTES,
    RLC_BUFFER_BYTES,
    TTI_S,
    UDP_IP_BYTES,
    granted_rb,
    ttis_per_packet,
)
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.errors import ConfigError


@dataclass(frozen=True)
class Service:
    """What a slot of time brought.

    Attributes:
        busy_ttis: (B, C) TTIs in which the cell sent data.
        arrived: (B, C) packets that arrived for the cell's UEs.
        delivered: (B, C) packets that the cell delivered.
        ue_delivered: (B, U) packets that the UE received.
        backlog: (B, U) packets left in the UE's queue.
    """

    busy_ttis: Tensor
    arrived: Tensor
    delivered: Tensor
    ue_delivered: Tensor
    backlog: Tensor

    def __add__(self, later: Service) -> Service:
        """Both slots together."""
        return Service(
            self.busy_ttis + later.busy_ttis,
            self.arrived + later.arrived,
            self.delivered + later.delivered,
            self.ue_delivered + later.ue_delivered,
            later.backlog,
        )


class Load:
    """Constant-bit-rate traffic through ns-3's proportional fair scheduler, with CQI from the control region.

    Raises:
        ConfigError: the scenario has other traffic.
    """

    def __init__(self, scenario: Scenario, device: torch.device) -> None:
        bandwidth, traffic = scenario.radio.dl_bandwidth_rb, scenario.traffic
        arrivals = traffic.arrivals.model
        if arrivals != "cbr":
            raise ConfigError(f"traffic.arrivals.model: the engine has no '{arrivals}', only 'cbr'", "use backend ns3")
        if traffic.uplink_bps > 0:
            raise ConfigError("traffic.uplink_bps: the engine has no uplink", "use backend ns3")
        alone, packed = ttis_per_packet(bandwidth, traffic.packet_bytes)
        self._ttis_alone = torch.tensor(alone, device=device)
        self._ttis_packed = torch.tensor(packed, device=device)
        self._cells = len(scenario.cells)
        self.packet_bits = 8 * traffic.packet_bytes
        self.packets_per_s = torch.as_tensor(
            traffic.ue_offered_bps(scenario.mobility.ues) / self.packet_bits, device=device
        )
        self.queue_packets = RLC_BUFFER_BYTES // (traffic.packet_bytes + UDP_IP_BYTES + PDCP_BYTES)
        self._prb_share = granted_rb(bandwidth) / bandwidth

    def serve(
        self, serving: Tensor, cqi: Tensor, grant_received: Tensor, backlog: Tensor, duration_s: float
    ) -> Service:
        """Serves all queues for `duration_s`.

        A cell with time enough sends every packet alone; otherwise the scheduler shares its TTIs max-min fairly
        (proportional fair at constant rates) among queues that are never empty, so that packets are packed.

        Args:
            serving: (B, U) serving cells.
            cqi: (B, U).
            grant_received: (B, U) probability that the UE decodes a grant. Nothing repeats a block whose grant was
                missed (no HARQ feedback, RLC UM), so that the packets in it are sent but lost.
            backlog: (B, U) packets queued at the start.
            duration_s: Length of the slot.
        """
        capacity = duration_s / TTI_S
        arriving = (self.packets_per_s * duration_s).to(backlog.dtype).expand_as(backlog)
        reachable = cqi > 0
        packed = torch.where(reachable, self._ttis_packed[cqi], 0.0)
        alone = torch.where(reachable, self._ttis_alone[cqi], 0.0)
        need = arriving * alone + backlog * packed
        cell_need = self.per_cell(need, serving)
        overloaded = cell_need > capacity
        level = torch.full_like(cell_need, torch.inf)
        rows = overloaded.any(dim=1).nonzero()[:, 0]
        if len(rows) > 0:
            found = _water_level(need[rows], serving[rows], self._cells, capacity)
            level[rows] = torch.where(overloaded[rows], found, torch.inf)
        waiting = backlog + arriving
        level = level.gather(1, serving)
        affordable = torch.where(reachable, level / packed, 0.0)
        sent = torch.minimum(waiting, affordable)
        # A packet from a queue that is never empty begins and ends anywhere in a block: one block more.
        blocks = torch.where(overloaded.gather(1, serving), packed + 1, alone)
        delivered = sent * torch.pow(grant_received, blocks)
        return Service(
            busy_ttis=cell_need.clamp(max=capacity),
            arrived=self.per_cell(arriving, serving),
            delivered=self.per_cell(delivered, serving),
            ue_delivered=delivered,
            backlog=(waiting - sent).clamp(min=0.0, max=self.queue_packets),
        )

    def utilization(self, busy_ttis: Tensor, duration_s: float) -> Tensor:
        """Share of the PRBs x TTIs that carry data: a busy TTI uses all RBs that can be granted."""
        return busy_ttis * (TTI_S / duration_s * self._prb_share)

    def per_cell(self, values: Tensor, serving: Tensor) -> Tensor:
        """Sums values (B, U) over the UEs of each cell, (B, C)."""
        return values.new_zeros(len(values), self._cells).scatter_add(1, serving, values)


def _water_level(need: Tensor, serving: Tensor, cells: int, capacity: float) -> Tensor:
    """Level w of each cell with sum(min(need, w)) = capacity over its UEs, (B, C); max-min fairness.

    The sum is the least of the lines "the k smallest needs wholly, w for each of the others", hence w is the
    greatest level at which any of these lines meets the capacity.
    """
    ordered, order = need.sort(dim=1)
    cell = serving.gather(1, order)
    member = torch.nn.functional.one_hot(cell, cells).to(need.dtype)
    smaller = (member * ordered.unsqueeze(-1)).cumsum(dim=1).gather(2, cell.unsqueeze(-1)).squeeze(-1) - ordered
    rank = member.cumsum(dim=1).gather(2, cell.unsqueeze(-1)).squeeze(-1)
    others = member.sum(dim=1).gather(1, cell) - rank + 1
    lines = (capacity - smaller) / others
    return need.new_zeros(len(need), cells).scatter_reduce(1, cell, lines, "amax")
