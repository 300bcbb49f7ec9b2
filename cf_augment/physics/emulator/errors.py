"""Whether a UE decodes a block: ns-3's LteMiErrorModel, with retransmissions combined by mutual information."""

from __future__ import annotations

import math
from typing import Any

from numba import njit
from numpy.random import Generator

from cf_augment.physics.emulator.channel import data_sinr, differing_rbgs, rank
from cf_augment.physics.emulator.scheduler import count_rbgs
from cf_augment.physics.emulator.state import (
    BEARER,
    BYTES,
    CQI,
    HISTORY,
    PROCESS,
    RBGS,
    SENDINGS,
    Config,
    Floats,
    Ints,
    State,
)

_CODE_BITS = 0xFFFF
"""ns-3 counts the code bits of a process in 16 bits."""


@njit
def decodes(
    config: Config, state: State, power_mw: Floats, place: float, rng: Generator, cell: int, block: Ints
) -> bool:
    """Draws whether a UE decodes a block that its cell has sent, and keeps what it can combine if not."""
    of, keeper, process, cqi = config, state.bearers[block[BEARER]], block[PROCESS], block[CQI]
    information = _mutual_information(config, state, power_mw, place, cell, block)
    effective, curve = information, of.curve[cqi]
    failures = keeper.failures[process]
    if block[SENDINGS] > 0 and failures > 0:
        effective, curve = _combined(config, keeper, block, information)
    error = _block_error(config, effective, curve, of.code_blocks[cqi, count_rbgs(block[RBGS])])
    if error == 0 or rng.random() > error:
        keeper.failures[process] = 0
        return True
    if failures < HISTORY:
        keeper.failed_mi[process, failures] = information
        keeper.failed_bits[process, failures] = (8 * int(block[BYTES] / of.code_rate[cqi])) & _CODE_BITS
        if failures == 0:
            keeper.failed_size[process] = 8 * block[BYTES]
        keeper.failures[process] = failures + 1
    return False


@njit
def _mutual_information(config: Config, state: State, power_mw: Floats, place: float, cell: int, block: Ints) -> float:
    """Mean over the RBGs of a block."""
    modulation = config.modulation[block[CQI]]
    total, count = 0.0, 0
    for rbg in range(differing_rbgs(config)):
        if (block[RBGS] >> rbg) & 1:
            sinr = data_sinr(config, state, power_mw, place, block[BEARER] // 2, cell, rbg)
            total += config.information[modulation, rank(config.information_sinr[modulation], sinr)]
            count += 1
    return total / count


@njit
def _combined(config: Config, keeper: Any, block: Ints, information: float) -> tuple[float, int]:
    """Mutual information of all receptions of a block, and the curve for the code rate that they make together."""
    of, process, cqi = config, block[PROCESS], block[CQI]
    bits, total = 0, 0.0
    for failure in range(keeper.failures[process]):
        bits = (bits + keeper.failed_bits[process, failure]) & _CODE_BITS
        total += keeper.failed_mi[process, failure] * keeper.failed_bits[process, failure]
    last_bits = 8 * block[BYTES] / of.code_rate[cqi]
    bits = max(1, int(bits + last_bits) & _CODE_BITS)
    total += information * last_bits
    rate = keeper.failed_size[process] / bits
    curve, first = of.last_curve[of.modulation[cqi]], of.first_curve[of.modulation[cqi]]
    while config.curve_rate[curve] > rate and curve > first:
        curve -= 1
    return total / bits, curve


@njit
def _block_error(config: Config, information: float, curve: int, code_blocks: Ints) -> float:
    """Probability that one of the code blocks of a block fails; code_blocks (2, 2) are their numbers and classes."""
    success = 1.0
    for index in range(2):
        count, size = code_blocks[index]
        if count > 0:
            deviation = (information - config.curve_mean[size, curve]) / config.curve_std[size, curve]
            success *= (1 - 0.5 * math.erfc(deviation / math.sqrt(2))) ** count
    return 1 - success
