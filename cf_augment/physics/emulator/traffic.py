"""Arrivals of packets: the sources of the ns-3 program, on ns-3's own random streams."""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any

import numpy as np

from cf_augment.physics.constants import BACKHAUL_S, FULL_BUFFER_PATIENCE_S, TTI_NS
from cf_augment.physics.emulator.calendar import look_at
from cf_augment.physics.emulator.state import HORIZON, NEVER, RING, Config, State
from ns3_scenarios.kernels import inlined
from sumo_mobility.base.arrays import Floats, Ints

Matrix = tuple[tuple[int, ...], ...]

_M1, _M2 = 4294967087, 4294944443
_A12, _A13, _A21, _A23 = 1403580, 810728, 527612, 1370589
_STEP1: Matrix = ((0, 1, 0), (0, 0, 1), (-_A13, _A12, 0))
_STEP2: Matrix = ((0, 1, 0), (0, 0, 1), (-_A23, 0, _A21))
"""MRG32k3a: L'Ecuyer, Operations Research 47(1), 1999; with streams 2^127 and substreams 2^76 numbers apart: L'Ecuyer,
Simard, Chen and Kelton, Operations Research 50(6), 2002. ns-3's generator (RngStream)."""
_STREAM_LOG2, _SUBSTREAM_LOG2 = 127, 76

BACKHAUL_NS = round(BACKHAUL_S * 1e9)
PATIENCE_NS = round(FULL_BUFFER_PATIENCE_S * 1e9)

CBR, POISSON, ON_OFF, FULL_BUFFER = range(4)
"""Traffic models, in the order of ns3_scenarios.traffic."""


def random_state(stream: int, run: int, seed: int = 1) -> Ints:
    """Returns the state (6,) of ns-3's generator for RngRun `run` (a substream) of a stream, and its RngSeed."""
    halves = []
    for step, modulus in ((_STEP1, _M1), (_STEP2, _M2)):
        leap = _product(
            _power(_power_of_two(step, _STREAM_LOG2, modulus), stream, modulus),
            _power(_power_of_two(step, _SUBSTREAM_LOG2, modulus), run, modulus),
            modulus,
        )
        halves += [sum(row) * seed % modulus for row in leap]
    return np.array(halves, dtype=np.int64)


@cache
def _power_of_two(step: Matrix, exponent_log2: int, modulus: int) -> Matrix:
    for _ in range(exponent_log2):
        step = _product(step, step, modulus)
    return step


@lru_cache(4096)
def _power(step: Matrix, exponent: int, modulus: int) -> Matrix:
    power: Matrix = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    while exponent:
        if exponent & 1:
            power = _product(power, step, modulus)
        step, exponent = _product(step, step, modulus), exponent >> 1
    return power


def _product(left: Matrix, right: Matrix, modulus: int) -> Matrix:
    return tuple(
        tuple(sum(a * b for a, b in zip(row, column, strict=True)) % modulus for column in zip(*right, strict=True))
        for row in left
    )


@inlined
def uniform(state: Ints) -> float:
    """Draws from (0, 1) and advances the state (6,)."""
    first = (_A12 * state[1] - _A13 * state[0]) % _M1
    state[0], state[1], state[2] = state[1], state[2], first
    second = (_A21 * state[5] - _A23 * state[3]) % _M2
    state[3], state[4], state[5] = state[4], state[5], second
    return (first - second if first > second else first - second + _M1) / (_M1 + 1)


def uniforms(state: Ints, count: int) -> Floats:
    """Draws several numbers from (0, 1)."""
    return np.array([uniform.py_func(state) for _ in range(count)])


@inlined
def _exponential_ns(state: Ints, mean_ns: float) -> int:
    return round(-mean_ns * math.log(uniform(state)))


@inlined
def _send_first(config: Config, me: Any) -> None:
    """Sets when a source that starts at off_ns sends its first packet."""
    if config.traffic == FULL_BUFFER:
        me.send_ns = me.off_ns
    elif config.traffic == ON_OFF:
        _send_in_next_on_time(config, me)
    elif config.traffic == POISSON:
        me.send_ns = me.off_ns + _exponential_ns(me.random[0], me.interval_ns)
    else:
        me.send_ns = me.off_ns + me.interval_ns


@inlined
def _send_in_next_on_time(config: Config, me: Any) -> None:
    """Goes on, from the end of an on time, to the first packet of the next one that has any.

    The part of an interval that an on time has left over counts for the next (ns-3 OnOffApplication).
    """
    while True:
        start_ns = me.off_ns + _exponential_ns(me.random[1], config.mean_off_ns)
        me.off_ns = start_ns + _exponential_ns(me.random[0], config.mean_on_ns)
        me.send_ns = start_ns + me.interval_ns - me.elapsed_ns
        if me.send_ns <= me.off_ns:
            return
        me.elapsed_ns += me.off_ns - start_ns


@inlined
def _send_next(config: Config, me: Any) -> None:
    """Sets when the next packet is sent, after one that has been sent."""
    if config.traffic == POISSON:
        me.send_ns += _exponential_ns(me.random[0], me.interval_ns)
        return
    me.send_ns += me.interval_ns
    me.elapsed_ns = 0
    if config.traffic == ON_OFF and me.send_ns > me.off_ns:
        me.elapsed_ns = me.off_ns - (me.send_ns - me.interval_ns)
        _send_in_next_on_time(config, me)


@inlined
def _send(state: State, ue: int, sent_ns: int) -> None:
    """Sends a packet from the source; it reaches the eNB before some later TTI."""
    me = state.ues[ue]
    tti = (sent_ns + BACKHAUL_NS + TTI_NS - 1) // TTI_NS
    me.underway[tti % RING] += 1
    look_at(state, ue, tti)
    if me.serving >= 0:
        state.cells[me.serving].arrived += 1


@inlined
def send_packets(config: Config, state: State, ue: int, tti: int) -> None:
    """Sends what the source of a UE sends until the beginning of a TTI, that instant included."""
    me, now_ns = state.ues[ue], tti * TTI_NS
    if me.send_ns == NEVER:
        _send_first(config, me)
    if config.traffic == FULL_BUFFER:
        if me.send_ns <= now_ns:
            refill(config, state, ue, me.send_ns)
    else:
        while me.send_ns <= now_ns:
            _send(state, ue, me.send_ns)
            _send_next(config, me)
    # All who wait for long are looked at in the same TTIs, lest looks multiply.
    look_at(state, ue, min((me.send_ns + TTI_NS - 1) // TTI_NS, (tti // HORIZON + 1) * HORIZON))


@inlined
def fill(config: Config, state: State, ue: int, now_ns: int) -> None:
    """Tops up the window of a full buffer; unless it is called again in time, `send_packets` refills it."""
    if config.traffic == FULL_BUFFER:
        me = state.ues[ue]
        while me.sent - me.expected < config.window_packets:
            _send(state, ue, now_ns)
            me.sent += 1
        me.send_ns = now_ns + PATIENCE_NS


@inlined
def refill(config: Config, state: State, ue: int, now_ns: int) -> None:
    """Gives up what is on the way to the UE, and fills the window of a full buffer anew."""
    if config.traffic == FULL_BUFFER:
        state.ues[ue].expected = state.ues[ue].sent
        fill(config, state, ue, now_ns)
