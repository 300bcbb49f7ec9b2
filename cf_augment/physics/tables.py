"""ns-3's tables of LTE's physical layer, as `mlb-lte-tables` prints them, and what follows from them."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from cf_augment.physics.constants import PDCP_BYTES, RLC_BYTES, UDP_IP_BYTES
from sumo_mobility.base.contract import Contract


class CqiRow(Contract):
    """A step of ns-3's adaptive modulation and coding."""

    cqi: int = Field(ge=1, le=15)
    mcs: int = Field(ge=0, le=28)
    sinr_db: float
    """Lowest SINR, the same on all RBs, at which this CQI is reported for an RBG (LteAmc, MiErrorModel, 10 % block
    error)."""
    wideband_sinr_db: float
    """Lowest SINR at which the CQI is reported for all RBs together, which round robin scheduling uses."""


class BandwidthTables(Contract):
    """ns-3's tables for one downlink bandwidth."""

    rbg_size_rb: int = Field(ge=1, le=4)
    """TS 36.213 table 7.1.6.1-1."""
    tbs_bits: list[list[int]]
    """Transport block size by MCS and number of RBs - 1, TS 36.213 table 7.1.7.2.1-1."""
    cqi: list[CqiRow]


class ControlErrorRow(Contract):
    """A step of ns-3's curve of missed control regions (LteMiErrorModel::GetPcfichPdcchError, from R4-081920)."""

    sinr_db: float
    error_rate: float = Field(ge=0, le=1)
    """Probability that the UE misses its grant, from this SINR to that of the next row."""


class MutualInformationRow(Contract):
    """A step of ns-3's curve of mutual information (LteMiErrorModel::Mib, from IEEE 802.16m EMD)."""

    sinr_db: float
    mutual_information: float = Field(ge=0, le=1)
    """Mutual information of a coded bit from this SINR to that of the next row."""


class CodeErrorCurve(Contract):
    """Block error rate of one code, 1/2 erfc((I - mean) / (sqrt(2) std)), for mutual information I."""

    mean: float
    std: float


class CodeErrors(Contract):
    """ns-3's curves for code blocks of one size (LteMiErrorModel::MappingMiBler)."""

    bits: int
    """The least size for which they hold."""
    curves: list[CodeErrorCurve]
    """The curve of each of CODE_RATES."""


class LteTables(Contract):
    """The file that `mlb-lte-tables` writes."""

    amc_model: str
    bandwidth_rb: dict[int, BandwidthTables]
    control_error: list[ControlErrorRow]
    mutual_information: dict[Literal["qpsk", "16qam", "64qam"], list[MutualInformationRow]]
    code_error: list[CodeErrors]


TABLES = Path(__file__).with_name("lte_tables.json")


@cache
def _tables() -> LteTables:
    return LteTables.read_json(TABLES)


def lte_tables(bandwidth_rb: int) -> BandwidthTables:
    """Returns ns-3's tables of one bandwidth (25, 50 or 100 RB)."""
    return _tables().bandwidth_rb[bandwidth_rb]


def control_errors() -> list[ControlErrorRow]:
    """Returns ns-3's curve of missed control regions, by rising SINR; the first row also holds below it."""
    return _tables().control_error


def mutual_information() -> list[list[MutualInformationRow]]:
    """Returns ns-3's curves of mutual information for QPSK, 16QAM and 64QAM, by rising SINR."""
    curves = _tables().mutual_information
    return [curves["qpsk"], curves["16qam"], curves["64qam"]]


def code_errors() -> list[CodeErrors]:
    """Returns ns-3's block error curves, by rising code block size."""
    return _tables().code_error


def granted_rb(bandwidth_rb: int, last_rbg: bool = False) -> int:
    """RBs of a TTI that can be granted: by ns-3's schedulers whole RBGs only, so 24 of 25; else all."""
    size = lte_tables(bandwidth_rb).rbg_size_rb
    return bandwidth_rb if last_rbg else bandwidth_rb // size * size


def block_bytes(bandwidth_rb: int, last_rbg: bool = False) -> list[int]:
    """Transport block size in bytes by CQI 0..15 when one UE gets all RBs that can be granted; 0 for CQI 0."""
    tables, granted = lte_tables(bandwidth_rb), granted_rb(bandwidth_rb, last_rbg)
    return [0] + [tables.tbs_bits[row.mcs][granted - 1] // 8 for row in tables.cqi]


def ttis_per_packet(bandwidth_rb: int, packet_bytes: int, last_rbg: bool = False) -> tuple[list[float], list[float]]:
    """TTIs that one packet takes, by CQI 0..15 (infinite at CQI 0, which ns-3 never schedules).

    Returns:
        Alone in its queue (whole TTIs, because ns-3's proportional fair scheduler gives a UE all RBs of the TTI
        whatever it has to send), and packed with others in a queue that is never empty.
    """
    sdu = packet_bytes + UDP_IP_BYTES + PDCP_BYTES + RLC_BYTES
    rooms = [size - RLC_BYTES for size in block_bytes(bandwidth_rb, last_rbg)]
    alone = [float(math.ceil(sdu / room)) if room > 0 else math.inf for room in rooms]
    packed = [sdu / room if room > 0 else math.inf for room in rooms]
    return alone, packed
