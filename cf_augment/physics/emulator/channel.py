"""What a UE hears: SINR of the control region, CQI, and missed blocks."""

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
def control_sinr(config: Config, power_mw: Floats, place: float, ue: int, cell: int) -> float:
    """SINR of the control region, in which all cells send.

    Args:
        power_mw: (T, U, C) received power of one resource element.
        place: Where between the rows of power_mw.
    """
    row = min(int(place), power_mw.shape[0] - 2)
    share = place - row
    total = own = 0.0
    for other in range(power_mw.shape[2]):
        power = power_mw[row, ue, other] * (1 - share) + power_mw[row + 1, ue, other] * share
        total += power
        if other == cell:
            own = power
    return own / (total - own + config.of.noise_mw)


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
        me.channel_cqi = rank(config.of.cqi_sinr, sinr)
        me.channel_miss = miss_rate(config, sinr)


@njit
def report_cqi(config: Config, state: State, power_mw: Floats, place: float, ue: int, tti: int) -> None:
    """A UE that hears the control region of a TTI reports its CQI, if the last report is old enough."""
    me = state.ues[ue]
    if me.serving == NO_CELL or me.handover_end != NEVER:
        return
    period = 1 if tti < me.cqi_request_end else CQI_PERIOD_TTIS
    if tti - me.cqi_last > period:
        me.cqi_last = tti
        _update_channel(config, state, power_mw, place, ue, tti)
        state.bearers[me.bearer].cqi_underway[(tti + CQI_DELAY_TTIS) % RING] = me.channel_cqi


@njit
def hears_grant(
    config: Config, state: State, power_mw: Floats, place: float, rng: Generator, ue: int, tti: int
) -> bool:
    """Whether a UE decodes the control region of a TTI."""
    _update_channel(config, state, power_mw, place, ue, tti)
    miss = state.ues[ue].channel_miss
    return miss == 0 or rng.random() >= miss
