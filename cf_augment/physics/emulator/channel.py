"""What a UE hears: SINR of the control and the data region, CQI, and missed grants."""

from __future__ import annotations

from numba import njit
from numpy.random import Generator

from cf_augment.physics.constants import CQI_DELAY_TTIS, CQI_PERIOD_TTIS, GAIN_PERIOD_TTIS
from cf_augment.physics.emulator.state import NEVER, NO_CELL, RING, Config, Floats, State


@njit
def rank(thresholds: Floats, value: float) -> int:
    """Counts thresholds, in rising order, that a value reaches."""
    low, high = 0, len(thresholds)
    while low < high:
        middle = (low + high) // 2
        if value >= thresholds[middle]:
            low = middle + 1
        else:
            high = middle
    return low


@njit
def heard_mw(power_mw: Floats, place: float, ue: int, cell: int) -> float:
    """Power of one resource element of a cell, between the rows of power_mw (T, U, C)."""
    row = min(int(place), power_mw.shape[0] - 2)
    before, after = power_mw[row, ue, cell], power_mw[row + 1, ue, cell]
    return before + (after - before) * (place - row)


@njit
def control_sinr(config: Config, power_mw: Floats, place: float, ue: int, cell: int) -> float:
    """SINR of the control region, in which all cells send."""
    interference = 0.0
    for other in range(power_mw.shape[2]):
        if other != cell:
            interference += heard_mw(power_mw, place, ue, other)
    return heard_mw(power_mw, place, ue, cell) / (interference + config.noise_mw)


@njit
def data_sinr(config: Config, state: State, power_mw: Floats, place: float, ue: int, cell: int, rbg: int) -> float:
    """SINR of one RBG of the data region in the last TTI, in which those cells sent that had something to send.

    A UE whose cell had nothing to send knows of no interference.
    """
    interference = 0.0
    if state.cells[cell].sent != 0:
        for other in range(power_mw.shape[2]):
            if (state.cells[other].sent >> rbg) & 1 and other != cell:
                interference += heard_mw(power_mw, place, ue, other)
    return heard_mw(power_mw, place, ue, cell) / (interference + config.noise_mw)


@njit
def differing_rbgs(config: Config) -> int:
    """RBGs that can have a SINR of their own: under proportional fair scheduling a cell sends on all or on none."""
    return config.rbgs if config.round_robin else 1


@njit
def hear_data(config: Config, state: State, power_mw: Floats, place: float, ue: int) -> int:
    """Measures the data region of the last TTI: sets data_sinr of the UE, the mean over RBGs, and returns the CQI."""
    me, rbgs = state.ues[ue], differing_rbgs(config)
    cqi, total = 0, 0.0
    for rbg in range(rbgs):
        sinr = data_sinr(config, state, power_mw, place, ue, me.serving, rbg)
        total += sinr
        cqi += rank(config.cqi_sinr, sinr)
    me.data_sinr = total / rbgs
    return cqi // rbgs


@njit
def miss_rate(config: Config, sinr: float) -> float:
    """Probability that a UE misses the control region of a TTI."""
    return config.miss_rate[rank(config.miss_sinr, sinr)]


@njit
def _update_channel(config: Config, state: State, power_mw: Floats, place: float, ue: int, tti: int) -> None:
    """Makes channel_cqi and channel_miss those of a TTI: path gains hold for GAIN_PERIOD_TTIS."""
    me = state.ues[ue]
    period = tti // GAIN_PERIOD_TTIS
    if me.channel_stamp != period:
        me.channel_stamp = period
        sinr = control_sinr(config, power_mw, place, ue, me.serving)
        me.channel_cqi = rank(config.cqi_sinr, sinr)
        me.channel_miss = miss_rate(config, sinr)


@njit
def report_cqi(config: Config, state: State, power_mw: Floats, place: float, ue: int, tti: int) -> None:
    """A UE that hears the control region of a TTI reports its CQI, if the last report is old enough."""
    me = state.ues[ue]
    if me.serving == NO_CELL or me.handover_end != NEVER:
        return
    period = 1 if config.pdsch or tti < me.cqi_request_end else CQI_PERIOD_TTIS
    if tti - me.cqi_last > period:
        me.cqi_last = tti
        if config.pdsch:
            cqi = hear_data(config, state, power_mw, place, ue)
        else:
            _update_channel(config, state, power_mw, place, ue, tti)
            cqi = me.channel_cqi
        state.bearers[me.bearer].cqi_underway[(tti + CQI_DELAY_TTIS) % RING] = cqi


@njit
def hears_grant(
    config: Config, state: State, power_mw: Floats, place: float, rng: Generator, ue: int, tti: int
) -> bool:
    """Whether a UE decodes the control region of a TTI."""
    _update_channel(config, state, power_mw, place, ue, tti)
    miss = state.ues[ue].channel_miss
    return miss == 0 or rng.random() >= miss
