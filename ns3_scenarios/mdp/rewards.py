"""Rewards: what a control interval is worth, each a class that is registered in REWARDS."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np

from ns3_scenarios.kpis import StepKpis
from ns3_scenarios.network import Network
from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.registry import Registry

if TYPE_CHECKING:  # a process that computes no gradient does not load torch
    from torch import Tensor

_LEAST_VARIANCE = 1e-12
"""Keeps the derivative of the standard deviation finite where all loads are equal."""
_LEAST_SHARE = 0.05
"""The share of its traffic below which a UE that gets less is not worse off, so that one UE does not outweigh all."""


class SoftKpis(Protocol):
    """KPIs as smooth functions of the CIOs, with batch dimensions (...), for the gradient of a reward."""

    @property
    def prb_utilization(self) -> Tensor:
        """PRB utilisation of each cell, (..., C)."""
        ...

    @property
    def ue_throughput_bps(self) -> Tensor:
        """Throughput of each UE in bit/s, (..., U)."""
        ...

    @property
    def softness(self) -> float:
        """Relative width over which a threshold should turn; as it falls to 0, the KPIs become those of WhatIf."""
        ...


class Reward(ABC):
    """A reward, as a pure function of the KPIs of an interval; the greater, the better.

    Attributes:
        name: How presets write it.
        formula: What it is, in words and names of KPIs; datasets carry it.
        unit: Its unit.
    """

    name: ClassVar[str]
    formula: ClassVar[str]
    unit: ClassVar[str] = "1"

    @abstractmethod
    def of(self, network: Network, kpis: StepKpis) -> Floats:
        """Returns the reward (...) of KPIs with the batch dimensions (...)."""

    def soft(self, network: Network, kpis: SoftKpis) -> Tensor:
        """Returns the same (...) of smooth KPIs, with its graph; a reward without a gradient does not have this."""
        raise NotImplementedError(self.name)

    @property
    def differentiable(self) -> bool:
        """Whether the reward has a gradient in the soft physics."""
        return type(self).soft is not Reward.soft


REWARDS: Registry[Reward] = Registry("reward")
"""All rewards by name."""


class LoadStd(Reward):
    """Balance of the loads, as the reference system has it."""

    name = "load-std"
    formula = "-(standard deviation over the cells of prb_utilization)"

    def of(self, network: Network, kpis: StepKpis) -> Floats:
        """See `Reward.of`."""
        return -load_std(kpis)

    def soft(self, network: Network, kpis: SoftKpis) -> Tensor:
        """See `Reward.soft`."""
        return -(kpis.prb_utilization.var(dim=-1, correction=0) + _LEAST_VARIANCE).sqrt()


REWARDS.register(LoadStd())


class P5Throughput(Reward):
    """The throughput of the UEs at the cell edge."""

    name = "p5-throughput"
    formula = "5th percentile over the UEs of ue_throughput_bps / traffic.offered_bps"

    def of(self, network: Network, kpis: StepKpis) -> Floats:
        """See `Reward.of`."""
        return p5_throughput_bps(kpis) / network.traffic.offered_bps

    def soft(self, network: Network, kpis: SoftKpis) -> Tensor:
        """See `Reward.soft`."""
        return kpis.ue_throughput_bps.quantile(0.05, dim=-1) / network.traffic.offered_bps


REWARDS.register(P5Throughput())


class Jain(Reward):
    """Jain's fairness index of the loads."""

    name = "jain"
    formula = "Jain's index over the cells of prb_utilization"

    def of(self, network: Network, kpis: StepKpis) -> Floats:
        """See `Reward.of`."""
        return jain(kpis)

    def soft(self, network: Network, kpis: SoftKpis) -> Tensor:
        """See `Reward.soft`."""
        load = kpis.prb_utilization
        return load.sum(dim=-1).square() / (load.square().sum(dim=-1) * load.shape[-1])


REWARDS.register(Jain())


class Blocked(Reward):
    """UEs that receive less than they are offered."""

    name = "blocked"
    formula = "-(share of the UEs with ue_throughput_bps below what is offered to them by more than a packet)"

    def of(self, network: Network, kpis: StepKpis) -> Floats:
        """See `Reward.of`."""
        return -blocked(network, kpis)

    def soft(self, network: Network, kpis: SoftKpis) -> Tensor:
        """See `Reward.soft`."""
        throughput_bps = kpis.ue_throughput_bps
        needed_bps = throughput_bps.new_tensor(_needed_bps(network))
        width_bps = kpis.softness * network.traffic.offered_bps
        return -((needed_bps - throughput_bps) / width_bps).sigmoid().mean(dim=-1)


REWARDS.register(Blocked())


class Util(Reward):
    """Proportional fairness of what the UEs get of what they are offered; 0 is the best, where all get everything.

    A UE without a connection counts as one that gets 5 %. Offered is the mean rate, above 0 in every scenario: where
    packets come at random, a UE for which none came counts as one that got none.
    """

    name = "util"
    formula = "mean over the UEs of ln(ue_throughput_bps / bit/s offered to the UE on average, clipped to [0.05, 1])"

    def of(self, network: Network, kpis: StepKpis) -> Floats:
        """See `Reward.of`."""
        share = kpis.ue_throughput_bps / network.traffic.ue_offered_bps(network.mobility.ues)
        return np.asarray(np.log(share.clip(_LEAST_SHARE, 1.0)).mean(axis=-1))

    def soft(self, network: Network, kpis: SoftKpis) -> Tensor:
        """See `Reward.soft`."""
        throughput_bps = kpis.ue_throughput_bps
        share = throughput_bps / throughput_bps.new_tensor(network.traffic.ue_offered_bps(network.mobility.ues))
        return share.clamp(_LEAST_SHARE, 1.0).log().mean(dim=-1)


REWARDS.register(Util())


def reward(network: Network, kpis: StepKpis) -> Floats:
    """Returns the sum that `scenario.reward` names, less the cost of the handovers, (...)."""
    parts = [weight * REWARDS[name].of(network, kpis) for name, weight in network.reward_weights.items()]
    earned = np.sum(parts, axis=0)
    if network.handover_cost:  # handovers that were not measured are NaN, and cost nothing where none do
        earned = earned - network.handover_cost / network.mobility.ues * kpis.handovers
    return np.asarray(earned)


def load_std(kpis: StepKpis) -> Floats:
    """Standard deviation over the cells of the PRB utilisation, (...)."""
    return np.asarray(kpis.prb_utilization.std(axis=-1))


def jain(kpis: StepKpis) -> Floats:
    """Jain's index of the cells' PRB utilisation, (...) in [1/C, 1]; 1 if no cell carries anything."""
    load = kpis.prb_utilization
    square = (load**2).sum(axis=-1) * load.shape[-1]
    return np.where(square > 0, load.sum(axis=-1) ** 2 / np.where(square > 0, square, 1), 1.0)


def p5_throughput_bps(kpis: StepKpis) -> Floats:
    """5th percentile over the UEs of the throughput, (...) in bit/s."""
    return np.asarray(np.percentile(kpis.ue_throughput_bps, 5, axis=-1))


def blocked(network: Network, kpis: StepKpis) -> Floats:
    """Share of the UEs that receive less than their constant rate needs, (...) in [0, 1].

    A packet less counts for nothing, since sources do not keep step with the intervals.
    """
    return np.asarray((kpis.ue_throughput_bps < _needed_bps(network) * (1 - 1e-9)).mean(axis=-1))


def _needed_bps(network: Network) -> Floats:
    """Throughput below which a UE counts as blocked, (U,)."""
    packet_bps = 8 * network.traffic.packet_bytes / network.episode.control_interval_s
    return np.asarray(network.traffic.ue_offered_bps(network.mobility.ues) - packet_bps)
