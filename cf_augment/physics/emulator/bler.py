"""Block errors: ns-3's LteMiErrorModel, with retransmissions combined by mutual information."""

from __future__ import annotations

import math
from typing import Any

from numpy.random import Generator

from cf_augment.physics.emulator.calendar import count_bits
from cf_augment.physics.emulator.channel import Air, data_sinr, differing_rbgs
from cf_augment.physics.emulator.state import HISTORY, Config, State
from cf_augment.physics.radio.phy import rank
from ns3_scenarios.kernels import inlined
from sumo_mobility.base.arrays import Ints

_CODE_BITS = 0xFFFF
"""ns-3 counts the code bits of a process in 16 bits."""


@inlined
def decodes(
    config: Config, state: State, air: Air, rng: Generator, cell: int, bearer: int, process: int, tti: int
) -> bool:
    """Draws whether a UE decodes a block that its cell has sent, and keeps what it can combine if not.

    Most blocks are sent so carefully that they would not even fail if all cells sent, as in the control region, whose
    SINR `hears_grant` has just brought up to date.
    """
    block, rbgs = state.blocks[bearer, process], count_bits(state.blocks[bearer, process].rbgs)
    if block.sendings == 0 and state.ues[bearer // 2].channel_sinr >= config.safe_sinr[block.cqi, rbgs]:
        block.failures = 0
        return True
    information = _mutual_information(config, state, air, cell, bearer // 2, block, tti)
    effective, curve = information, config.curve[block.cqi]
    if block.sendings > 0 and block.failures > 0:
        effective, curve = _combined(config, block, information)
    error = _block_error(config, effective, curve, config.code_blocks[block.cqi, rbgs])
    if error == 0 or rng.random() > error:
        block.failures = 0
        return True
    if block.failures < HISTORY:
        block.failed_mi[block.failures] = information
        block.failed_bits[block.failures] = (8 * int(block.bytes / config.code_rate[block.cqi])) & _CODE_BITS
        if block.failures == 0:
            block.failed_size = 8 * block.bytes
        block.failures += 1
    return False


@inlined
def _mutual_information(config: Config, state: State, air: Air, cell: int, ue: int, block: Any, tti: int) -> float:
    """Mean over the RBGs of a block."""
    modulation = config.modulation[block.cqi]
    total, count = 0.0, 0
    for rbg in range(differing_rbgs(config)):
        if (block.rbgs >> rbg) & 1:
            sinr = data_sinr(config, state, air, ue, cell, rbg, tti)
            total += config.information[modulation, rank(config.information_sinr[modulation], sinr)]
            count += 1
    return total / count


@inlined
def _combined(config: Config, block: Any, information: float) -> tuple[float, int]:
    """Mutual information of all receptions of a block, and the curve for the code rate that they make together."""
    modulation = config.modulation[block.cqi]
    bits, total = 0, 0.0
    for failure in range(block.failures):
        bits = (bits + block.failed_bits[failure]) & _CODE_BITS
        total += block.failed_mi[failure] * block.failed_bits[failure]
    last_bits = 8 * block.bytes / config.code_rate[block.cqi]
    bits = max(1, int(bits + last_bits) & _CODE_BITS)
    total += information * last_bits
    rate = block.failed_size / bits
    curve, first = config.last_curve[modulation], config.first_curve[modulation]
    while config.curve_rate[curve] > rate and curve > first:
        curve -= 1
    return total / bits, curve


@inlined
def _block_error(config: Config, information: float, curve: int, code_blocks: Ints) -> float:
    """Probability that one of the code blocks of a block fails; code_blocks (2, 2) are their numbers and classes."""
    success = 1.0
    for index in range(2):
        count, size = code_blocks[index]
        if count > 0:
            deviation = (information - config.curve_mean[size, curve]) / config.curve_std[size, curve]
            success *= (1 - 0.5 * math.erfc(deviation / math.sqrt(2))) ** count
    return 1 - success
