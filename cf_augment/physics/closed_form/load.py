"""PRB load by packets: who takes how many TTIs of a cell, what is served, what is left in the queues."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cf_augment.physics.constants import PDCP_BYTES, RLC_BUFFER_BYTES, TTI_S, UDP_IP_BYTES
from cf_augment.physics.profiles import PROFILES
from cf_augment.physics.radio.vector_math import compiled
from cf_augment.physics.tables import granted_rb, ttis_per_packet
from ns3_scenarios.scenario import Scenario
from sumo_mobility.base.arrays import AnyFloats, Floats, Ints, Singles
from sumo_mobility.base.errors import ConfigError


class Service(NamedTuple):
    """Service during some time; kernels see one environment, without B, and add to it.

    Attributes:
        busy_ttis: (B, C) TTIs in which the cell sent data.
        arrived: (B, C) packets that arrived for the cell's UEs.
        delivered: (B, C) packets that the cell delivered.
        ue_delivered: (B, U) packets that the UE received.
    """

    busy_ttis: Floats
    arrived: Floats
    delivered: Floats
    ue_delivered: Floats

    @classmethod
    def nothing(cls, environments: int, cells: int, ues: int) -> Service:
        """Returns zeros."""
        return cls(*(np.zeros((environments, size)) for size in (cells, cells, cells, ues)))


class Queues(NamedTuple):
    """The constants of traffic and scheduler; the TTIs that a packet takes are 0 for CQI 0, which gets none."""

    ttis_alone: Floats
    """(16,) by CQI."""
    ttis_packed: Floats
    """(16,) by CQI, in a queue that is never empty."""
    packets_per_s: Floats
    """(U,)."""
    queue_packets: int
    """The greatest number of packets in a queue."""


class Pace(NamedTuple):
    """Time that packets of each UE take in a slot, (B, U); kernels see one environment, without B.

    Attributes:
        alone: TTIs that a packet alone in its queue takes, on average over those that arrive in the slot; one that
            arrives while the CQI is 0 takes none.
        packed: TTIs that a packet takes in a queue that is never empty, on average while the CQI is above 0.
        reached: Share of the slot in which the CQI is above 0.
        late: Share of the slot before the CQI rises above 0; whatever arrives in it waits.
        grant_received: Probability that the UE decodes a grant.
    """

    alone: Singles
    packed: Singles
    reached: Singles
    late: Singles
    grant_received: Singles


class Load:
    """Constant-bit-rate traffic through ns-3's proportional fair scheduler.

    Args:
        scenario: The scenario.

    Raises:
        ConfigError: the scenario has other traffic.
    """

    def __init__(self, scenario: Scenario) -> None:
        bandwidth, traffic = scenario.radio.dl_bandwidth_rb, scenario.traffic
        arrivals = traffic.arrivals.model
        if arrivals != "cbr":
            raise ConfigError(
                f"traffic.arrivals.model: the engine has no '{arrivals}', only 'cbr'", "use backend emulator or ns3"
            )
        if traffic.uplink_bps > 0:
            raise ConfigError("traffic.uplink_bps: the engine has no uplink", "use backend ns3")
        last_rbg = PROFILES[scenario.profile].grants_last_rbg
        alone, packed = (
            np.where(np.isfinite(ttis), ttis, 0.0)
            for ttis in ttis_per_packet(bandwidth, traffic.packet_bytes, last_rbg)
        )
        self.packet_bits = 8 * traffic.packet_bytes
        self.queues = Queues(
            ttis_alone=alone,
            ttis_packed=packed,
            packets_per_s=traffic.ue_offered_bps(scenario.mobility.ues) / self.packet_bits,
            queue_packets=RLC_BUFFER_BYTES // (traffic.packet_bytes + UDP_IP_BYTES + PDCP_BYTES),
        )
        self._cells = len(scenario.cells)
        self._prb_share = granted_rb(bandwidth, last_rbg) / bandwidth

    def serve(
        self,
        serving: Ints,
        cqi: Ints,
        grant_received: AnyFloats,
        backlog: Floats,
        duration_s: float,
    ) -> Service:
        """Serves all queues for `duration_s` at a CQI (B, U) that does not change; see the kernel `serve`."""
        alone, packed, reached, received = (
            values.astype(np.float32)
            for values in (self.queues.ttis_alone[cqi], self.queues.ttis_packed[cqi], cqi > 0, grant_received)
        )
        pace = Pace(alone, packed, reached, np.zeros_like(reached), received)
        service = Service.nothing(len(serving), self._cells, serving.shape[1])
        _serve_batch(self.queues, serving, pace, backlog, duration_s, service)
        return service

    def ues_per_cell(self, serving: Ints) -> Floats:
        """Counts the UEs of each cell, (B, C), from serving cells (B, U); -1 is no cell."""
        counted = serving + (self._cells + 1) * np.arange(len(serving))[:, None] + 1
        counts = np.bincount(counted.ravel(), minlength=len(serving) * (self._cells + 1))
        return counts.reshape(len(serving), -1)[:, 1:].astype(np.float64)

    def utilization(self, busy_ttis: Floats, duration_s: float) -> Floats:
        """Share of the PRBs x TTIs that carry data: a busy TTI uses all RBs that can be granted."""
        return busy_ttis * (TTI_S / duration_s * self._prb_share)


@compiled
def service_of(service: Service, b: int) -> Service:
    """Returns one environment of a Service."""
    return Service(service.busy_ttis[b], service.arrived[b], service.delivered[b], service.ue_delivered[b])


@compiled
def new_pace(ues: int) -> Pace:
    """Returns the Pace of one environment, to be filled in."""
    return Pace(
        np.empty(ues, np.float32), np.empty(ues, np.float32), np.empty(ues, np.float32), np.empty(ues, np.float32),
        np.empty(ues, np.float32),
    )  # fmt: skip


@compiled
def pace_of(pace: Pace, b: int) -> Pace:
    """Returns one environment of a Pace."""
    return Pace(pace.alone[b], pace.packed[b], pace.reached[b], pace.late[b], pace.grant_received[b])


@compiled
def serve(queues: Queues, serving: Ints, pace: Pace, backlog: Floats, duration_s: float, service: Service) -> None:
    """Serves all queues of one environment for `duration_s`.

    A cell with time enough sends every packet alone; otherwise the scheduler shares its TTIs max-min fairly
    (proportional fair at constant rates) among queues that are never empty, so that packets are packed. Nothing repeats
    a block whose grant was missed (no HARQ feedback, RLC UM), so that the packets in it are sent but lost.

    Args:
        queues: The Queues.
        serving: (U,) serving cells.
        pace: The Pace.
        backlog: (U,) packets queued at the start; then those left.
        duration_s: Length of the slot.
        service: (C,) and (U,) to which the slot is added.
    """
    capacity = duration_s / TTI_S
    ues, cells = len(serving), len(service.busy_ttis)
    need, cell_need, members = np.empty(ues), np.zeros(cells), np.zeros(cells)
    arriving, sent, delivered = np.empty(ues), np.empty(ues), np.empty(ues)
    for u in range(ues):
        arriving[u] = queues.packets_per_s[u] * duration_s
        queued = min(backlog[u] + arriving[u] * pace.late[u], queues.queue_packets)
        need[u] = arriving[u] * pace.alone[u] + queued * pace.packed[u]
        sent[u] = queued + arriving[u] * pace.reached[u] if pace.reached[u] > 0 else 0.0
    for u in range(ues):
        cell_need[serving[u]] += need[u]
        members[serving[u]] += 1
    for u in range(ues):
        if pace.reached[u] < 1:
            # While it is reached, it gets what the others leave, or an equal share if they leave less.
            cell = serving[u]
            others = cell_need[cell] - need[u]
            need[u] = min(need[u], pace.reached[u] * max(capacity - others, capacity / members[cell]))
            cell_need[cell] = others + need[u]
    level = _water_level(need, serving, cell_need, capacity)
    for u in range(ues):
        cell, packed = serving[u], pace.packed[u]
        overloaded = cell_need[cell] > capacity
        if sent[u] > 0 and (overloaded or pace.reached[u] < 1):
            sent[u] = min(sent[u], (min(level[cell], need[u]) if overloaded else need[u]) / packed)
        # A packet from a queue that is never empty begins and ends anywhere in a block: one block more.
        delivered[u] = sent[u]
        if pace.grant_received[u] < 1:
            delivered[u] *= pace.grant_received[u] ** (packed + 1 if overloaded else np.ceil(packed))
        service.arrived[cell] += arriving[u]
        service.delivered[cell] += delivered[u]
    for u in range(ues):
        service.ue_delivered[u] += delivered[u]
        backlog[u] = min(max(backlog[u] + arriving[u] - sent[u], 0.0), queues.queue_packets)
    for cell in range(cells):
        service.busy_ttis[cell] += min(cell_need[cell], capacity)


@compiled
def _water_level(need: Floats, serving: Ints, cell_need: Floats, capacity: float) -> Floats:
    """Returns the level w of each overloaded cell with sum(min(need, w)) = capacity over its UEs, (C,); max-min
    fairness. The level of other cells is 0.

    From the equal share upwards: who needs less than the level leaves the rest to the others, until none does.
    """
    level, rises = np.zeros(len(cell_need)), False
    for cell in range(len(cell_need)):
        rises |= cell_need[cell] > capacity
    if not rises:
        return level
    rest, hungry = np.empty(len(cell_need)), np.empty(len(cell_need), np.int64)
    while rises:
        rest[:] = capacity
        hungry[:] = 0
        for u in range(len(need)):
            if need[u] > level[serving[u]]:
                hungry[serving[u]] += 1
            else:
                rest[serving[u]] -= need[u]
        rises = False
        for cell in range(len(cell_need)):
            if cell_need[cell] <= capacity or hungry[cell] == 0:
                continue
            higher = rest[cell] / hungry[cell]
            if higher > level[cell]:
                level[cell], rises = higher, True
    return level


@compiled
def _serve_batch(
    queues: Queues, serving: Ints, pace: Pace, backlog: Floats, duration_s: float, service: Service
) -> None:
    """Serves all queues of B environments; see `serve`."""
    for b in range(len(serving)):
        serve(queues, serving[b], pace_of(pace, b), backlog[b], duration_s, service_of(service, b))
