"""Every constant of the engine with the ns-3 attribute or the 3GPP clause it mirrors; none is fitted."""

TTI_S = 1e-3
"""Transmission time interval, TS 36.211 4.1."""

SUBCARRIERS_PER_RB = 12
"""TS 36.211 6.2.3."""
SUBCARRIER_HZ = 15e3
"""TS 36.211 6.2.3."""
THERMAL_NOISE_DBM_PER_HZ = -174.0
"""ns-3 LteSpectrumValueHelper::CreateNoisePowerSpectralDensity."""

TTI_NS = 1_000_000
"""Transmission time interval in ns."""

L1_PERIOD_S = 0.2
"""ns-3 LteUePhy::UeMeasurementsFilterPeriod; TS 36.133 8.1.2.2.1."""
PSS_PERIOD_S = 0.005
"""Synchronisation signals, each one RSRP sample in ns-3; TS 36.211 6.11.1.2."""
L3_COEFFICIENT = 0.5
"""a = 1/2^(k/4) with filterCoefficient k = 4, TS 36.331 5.5.3.2."""
HANDOVER_S = 0.004
"""Duration of an X2 handover with ideal RRC (measured in ns-3, docs/physics.md)."""
Q_OUT_DB = -5.0
"""ns-3 LteUePhy::Qout; TS 36.133 7.6."""
Q_IN_DB = -3.9
"""ns-3 LteUePhy::Qin."""
IN_SYNC_INDICATIONS = 2
"""Indications in an L1_PERIOD_S: ns-3 LteUePhy::NumQinEvalSf is 100 ms, its NumQoutEvalSf 200 ms."""
FRAME_S = 0.01
"""Radio frame, TS 36.211 4.1; in each the link's quality is assessed, TS 36.213 4.2.1."""
Q_OUT_FRAMES, Q_IN_FRAMES = 20, 10
"""Frames of the evaluation periods of Qout and Qin, 200 and 100 ms, TS 36.133 7.6.2.1."""
REFERENCE_DISTANCE_M = 1.0
"""ns-3 LogDistancePropagationLossModel::ReferenceDistance; nearer than this the loss stays the reference loss."""

TRAFFIC_START_S = 0.5
"""Simulation time at which the ns-3 program starts the flows (lte-network.cc)."""

NS3_STREAMS, NS3_STREAMS_PER_UE, NS3_STREAMS_PER_CELL = 36, 12, 11
"""Random streams that ns-3 gives to a program's other parts before the phases of the sources (found by their packets'
times in ns-3 3.44; a test asks ns-3 for them again)."""
NS3_PATH_LOSS_STREAMS = {"uma": 18, "umi": 16}
"""Additional streams of ThreeGppPropagationLossModel on both channels (found likewise)."""
NS3_MAC_STREAM, NS3_STREAMS_PER_DEVICE = 27, 3
"""Stream of the first UE's MAC in a network without cells, and from one UE's to the next's, two of LteSpectrumPhy and
one of LteUeMac (found by the order of RNTIs in ns-3 3.44; a test asks ns-3 for it again)."""
BACKHAUL_S = 1.003e-3
"""Delay from a source to the RLC queue: a link of 1 ms (traffic-flows.cc), and transmission in the core network."""
FULL_BUFFER_TTIS = 8
"""The greatest blocks of so many TTIs are the window of a full buffer (traffic-flows.cc)."""
LARGEST_BLOCK_BITS = 75376
"""The largest transport block on 100 RBs, TS 36.213 table 7.1.7.2.1-1."""
FULL_BUFFER_PATIENCE_S = 0.5
"""A full buffer from which nothing is delivered for so long is filled anew (full-buffer-source.cc)."""

UDP_IP_BYTES = 8 + 20
"""Headers of a datagram, RFC 768 and RFC 791."""
PDCP_BYTES = 2
"""Header with a 12-bit sequence number, TS 36.323 6.2.3."""
RLC_BYTES = 2
"""UM header with a 10-bit sequence number, TS 36.322 6.2.1.3, on every PDU. ns-3 also adds it to each packet in
the queue that it reports to the scheduler (LteRlcUm::DoReportBufferStatus), and an SDU that is not the last of its
PDU costs the same again for its length indicator."""
RLC_BUFFER_BYTES = 10 * 1024
"""ns-3 LteRlcUm::MaxTxBufferSize."""
RLC_REPORT_TTIS = 10
"""Time from a grant that leaves data in the queue to the next report of the queue, ns-3 LteRlcUm::m_rbsTimer."""
RLC_REORDERING_TTIS = 100
"""t-Reordering, ns-3 LteRlcUm::ReorderingTimer."""

MAC_TO_CHANNEL_TTIS = 2
"""Delay from the scheduler's decision to the transmission, ns-3 LteEnbPhy::MacToChannelDelay."""
CQI_DELAY_TTIS = 5
"""Delay of a CQI from its measurement to the scheduler: ns-3's UL_PUSCH_TTIS_DELAY, and the TTI after."""
HARQ_FEEDBACK_TTIS = 5
"""Delay from the subframe of a block to the scheduler that has its HARQ feedback; as for the CQI."""
HARQ_TIMEOUT_TTIS = 12
"""Time after which a HARQ process without feedback is free: ns-3's HARQ_DL_TIMEOUT, and the TTI after."""
MAX_RETRANSMISSIONS = 3
"""ns-3's schedulers give up a block after redundancy version 3."""
PF_WINDOW_TTIS = 99
"""Time constant of the mean rate of proportional fair scheduling, ns-3 PfFfMacScheduler::m_timeWindow."""

L1_PERIOD_TTIS = 200
"""L1_PERIOD_S in TTIs."""
GAIN_PERIOD_TTIS = 5
"""PSS_PERIOD_S in TTIs; the program computes path gains once in it (lte-spectrum-channel.cc)."""
CQI_PERIOD_TTIS = 40
"""The program's period of CQI reports (lte-network.cc)."""
CQI_AGE_S = (CQI_DELAY_TTIS + (CQI_PERIOD_TTIS + GAIN_PERIOD_TTIS) / 2) * TTI_S
"""Mean age of the CQI that the scheduler uses: reports come in the first subframe with synchronisation signals
that is later than the period, and hold until the next one."""
CQI_REQUEST_TTIS = 10
"""Time during which a UE reports in every other TTI once it has connected (lte-network.cc)."""
ATTACHMENT_TTIS = 300
"""UEs attach within this time, one after the other (lte-network.cc)."""
FRAME_TTIS = 10
"""ns-3's cells send the MIB in each frame; TS 36.211 4.1."""
SI_START_TTI, SI_PERIOD_TTIS = 16, 80
"""First TTI and period of system information, ns-3 LteEnbRrc::ConfigureCell and SystemInformationPeriodicity."""
RA_PREAMBLES = 8
"""Number of preambles of contention-based random access (lte-network.cc)."""
HANDOVER_TTIS = 4
"""HANDOVER_S in TTIs."""
RAR_WINDOW_TTIS = 6
"""Time from an unanswered preamble to the next: ns-3 LteUeMac::SendRaPreamble, LteEnbMac::RaResponseWindowSize."""


LAST_MCS = (9, 16, 28)
"""The greatest MCS of QPSK, 16QAM and 64QAM, TS 36.213 table 7.1.7.1-1."""
CODE_RATE = (
    0.08, 0.1, 0.11, 0.15, 0.19, 0.24, 0.3, 0.37, 0.44, 0.51, 0.3, 0.33, 0.37, 0.42, 0.48, 0.54, 0.6, 0.43, 0.45, 0.5,
    0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.89, 0.92,
)  # fmt: skip
"""Effective code rate of each MCS, ns-3 lte-mi-error-model.cc."""
CODE_RATES = (
    0.01, 0.026, 0.04, 0.08, 0.1, 0.11, 0.15, 0.19, 0.24, 0.3, 0.37, 0.44, 0.51, 0.075, 0.1, 0.15, 0.3, 0.33, 0.37,
    0.42, 0.48, 0.54, 0.6, 0.1075, 0.143, 0.215, 0.43, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.89, 0.92,
)  # fmt: skip
"""Code rates of the curves of code_errors(), ns-3 lte-mi-error-model.cc: those of QPSK, then of 16QAM and 64QAM."""
TURBO_BITS = (*range(40, 512, 8), *range(512, 1024, 16), *range(1024, 2048, 32), *range(2048, 6145, 64))
"""Sizes of code blocks, TS 36.212 table 5.1.3-3."""
CODE_BLOCK_CRC_BITS = 24
"""Bits of the CRC of each code block where there are several, TS 36.212 5.1.2."""
