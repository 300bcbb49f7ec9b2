"""Reception by a UE: SINR of the control and the data region, CQI, and missed grants."""

from __future__ import annotations

from typing import NamedTuple

from numpy.random import Generator

from cf_augment.physics.constants import CQI_DELAY_TTIS, CQI_PERIOD_TTIS, GAIN_PERIOD_TTIS
from cf_augment.physics.emulator.calendar import look_at
from cf_augment.physics.emulator.state import NEVER, NO_CELL, RING, Config, State
from cf_augment.physics.radio.phy import rank
from ns3_scenarios.kernels import inlined
from sumo_mobility.base.arrays import Floats, Ints


class Air(NamedTuple):
    """Powers that the UEs receive from the cells."""

    power_mw: Floats
    """(T, U, C) of one resource element, from the TTI `start` on."""
    start: int
    step: int
    """TTIs from one T to the next."""
    heard_mw: Floats
    """(U, C), up to date after hear()."""
    stamp: Ints
    """(U,) the gain period that heard_mw is of."""


@inlined
def hear(air: Air, ue: int, tti: int) -> None:
    """Makes heard_mw of a UE that of a TTI: path gains hold for GAIN_PERIOD_TTIS."""
    period = tti // GAIN_PERIOD_TTIS
    if air.stamp[ue] == period:
        return
    air.stamp[ue] = period
    place = max(0, period * GAIN_PERIOD_TTIS - air.start) / air.step
    row = min(int(place), air.power_mw.shape[0] - 2)
    for cell in range(air.power_mw.shape[2]):
        before, after = air.power_mw[row, ue, cell], air.power_mw[row + 1, ue, cell]
        air.heard_mw[ue, cell] = before + (after - before) * (place - row)


@inlined
def control_sinr(config: Config, air: Air, ue: int, cell: int, tti: int) -> float:
    """SINR of the control region, in which all cells send."""
    hear(air, ue, tti)
    interference = 0.0
    for other in range(air.heard_mw.shape[1]):
        if other != cell:
            interference += air.heard_mw[ue, other]
    return air.heard_mw[ue, cell] / (interference + config.noise_mw)


@inlined
def data_sinr(config: Config, state: State, air: Air, ue: int, cell: int, rbg: int, tti: int) -> float:
    """SINR of one RBG of the data region in the last TTI, in which those cells sent that had something to send.

    A UE whose cell had nothing to send knows of no interference.
    """
    hear(air, ue, tti)
    interference = 0.0
    if state.cells[cell].sent != 0:
        for other in range(air.heard_mw.shape[1]):
            if (state.cells[other].sent >> rbg) & 1 and other != cell:
                interference += air.heard_mw[ue, other]
    return air.heard_mw[ue, cell] / (interference + config.noise_mw)


@inlined
def differing_rbgs(config: Config) -> int:
    """RBGs that can have a SINR of their own: under proportional fair scheduling a cell sends on all or on none."""
    return config.rbgs if config.round_robin else 1


@inlined
def hear_data(config: Config, state: State, air: Air, ue: int, tti: int) -> tuple[int, float]:
    """Measures the data region of the last TTI; returns the CQI and the SINR, means over RBGs."""
    me, rbgs = state.ues[ue], differing_rbgs(config)
    cqi, total = 0, 0.0
    for rbg in range(rbgs):
        sinr = data_sinr(config, state, air, ue, me.serving, rbg, tti)
        total += sinr
        cqi += rank(config.cqi_sinr, sinr)
    return cqi // rbgs, total / rbgs


@inlined
def miss_rate(config: Config, sinr: float) -> float:
    """Probability that a UE misses the control region of a TTI."""
    return 0.0 if sinr >= config.safe_control_sinr else config.miss_rate[rank(config.miss_sinr, sinr)]


@inlined
def _update_channel(config: Config, state: State, air: Air, ue: int, tti: int) -> None:
    """Makes channel_sinr and channel_miss those of a TTI: path gains hold for GAIN_PERIOD_TTIS."""
    me = state.ues[ue]
    period = tti // GAIN_PERIOD_TTIS
    if me.channel_stamp != period:
        me.channel_stamp = period
        me.channel_sinr = control_sinr(config, air, ue, me.serving, tti)
        me.channel_miss = miss_rate(config, me.channel_sinr)


@inlined
def report_cqi(config: Config, state: State, air: Air, ue: int, tti: int) -> None:
    """A UE that hears the control region of a TTI reports its CQI, if the last report is old enough.

    In a handover it is the program that has CQIs of the control region wait for the end (lte-network.cc).
    """
    me = state.ues[ue]
    if me.serving == NO_CELL or (me.handover_end != NEVER and not config.pdsch):
        return
    period = 1 if config.pdsch or tti < me.cqi_request_end else CQI_PERIOD_TTIS
    if tti - me.cqi_last > period:
        me.cqi_last = tti
        if config.pdsch:
            cqi = hear_data(config, state, air, ue, tti)[0]
        else:
            _update_channel(config, state, air, ue, tti)
            cqi = rank(config.cqi_sinr, me.channel_sinr)
        state.bearers[me.bearer].cqi_underway[(tti + CQI_DELAY_TTIS) % RING] = cqi
        look_at(state, ue, tti + CQI_DELAY_TTIS)


@inlined
def hears_grant(config: Config, state: State, air: Air, rng: Generator, ue: int, tti: int) -> bool:
    """Returns whether a UE decodes the control region of a TTI."""
    _update_channel(config, state, air, ue, tti)
    miss = state.ues[ue].channel_miss
    return miss == 0 or rng.random() >= miss
