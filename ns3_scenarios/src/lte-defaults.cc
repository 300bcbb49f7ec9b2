// SPDX-License-Identifier: MIT

#include "lte-defaults.h"

#include "ns3/boolean.h"
#include "ns3/config.h"
#include "ns3/double.h"
#include "ns3/string.h"
#include "ns3/uinteger.h"

namespace mlb
{

using namespace ns3;

namespace
{

/// From the downlink EARFCN of an FDD carrier to its uplink, TS 36.101 table 5.7.3-1.
constexpr uint32_t FDD_EARFCN_OFFSET = 18000;
/// UDP, IP and PDCP headers, in bytes.
constexpr uint32_t HEADER_BYTES = 8 + 20 + 2;

} // namespace

void
SetLteDefaults(const Scenario& scenario, Fidelity fidelity)
{
    // CQI from the control region is deterministic and brings no needless retransmissions.
    Config::SetDefault("ns3::LteHelper::UsePdschForCqiGeneration",
                       BooleanValue(scenario.radio.cqi == "pdsch"));
    if (fidelity == Fidelity::FAST)
    {
        Config::SetDefault("ns3::LteUePhy::DownlinkCqiPeriodicity", TimeValue(CQI_PERIOD));
        // LteSpectrumChannel lets a UE that is not addressed see 1 control frame in 5, and a UE
        // below Qout is not: ns-3's defaults of 200 and 100 ms.
        Config::SetDefault("ns3::LteUePhy::NumQoutEvalSf", UintegerValue(200 / 5));
        Config::SetDefault("ns3::LteUePhy::NumQinEvalSf", UintegerValue(100 / 5));
    }
    Config::SetDefault("ns3::LteHelper::UseIdealRrc", BooleanValue(scenario.radio.rrc == "ideal"));
    // With ANR a handover to a neighbour not yet measured is dropped.
    Config::SetDefault("ns3::LteHelper::AnrEnabled", BooleanValue(false));
    Config::SetDefault("ns3::LteEnbRrc::EpsBearerToRlcMapping", StringValue("RlcUmAlways"));
    // One SRS slot a UE and ms: enough for 320 UEs on one cell.
    Config::SetDefault("ns3::LteEnbRrc::SrsPeriodicity", UintegerValue(320));
    // A3 fires in many UEs at one instant: leave most preambles to handovers.
    Config::SetDefault("ns3::LteEnbMac::NumberOfRaPreambles", UintegerValue(8));
    // A CIO can send a UE to a cell that it hears at -10 dB, where it misses 8 of 10 answers to its
    // preamble: let it try for T304 = 500 ms (TS 36.331 clause 6.3.2), not for ns-3's 200 ms.
    Config::SetDefault("ns3::LteEnbMac::PreambleTransMax", UintegerValue(50));
    Config::SetDefault("ns3::LteEnbRrc::HandoverJoiningTimeoutDuration",
                       TimeValue(MilliSeconds(500)));
    Config::SetDefault("ns3::LteEnbRrc::HandoverLeavingTimeoutDuration",
                       TimeValue(MilliSeconds(1000)));
    Config::SetDefault("ns3::LteUeRrc::N310", UintegerValue(scenario.radioLink.n310));
    Config::SetDefault("ns3::LteUeRrc::N311", UintegerValue(scenario.radioLink.n311));
    Config::SetDefault("ns3::LteUeRrc::T310", TimeValue(MilliSeconds(scenario.radioLink.t310Ms)));
    const UintegerValue dlEarfcn(scenario.radio.dlEarfcn);
    const UintegerValue ulEarfcn(scenario.radio.dlEarfcn + FDD_EARFCN_OFFSET);
    Config::SetDefault("ns3::LteEnbNetDevice::DlEarfcn", dlEarfcn);
    Config::SetDefault("ns3::LteEnbNetDevice::UlEarfcn", ulEarfcn);
    Config::SetDefault("ns3::LteUeNetDevice::DlEarfcn", dlEarfcn);
    Config::SetDefault("ns3::LteUePhy::NoiseFigure", DoubleValue(scenario.radio.ueNoiseFigureDb));
    if (scenario.traffic.model == TrafficModel::FULL_BUFFER)
    {
        // Room for a window with its headers, and for another one sent too early.
        const double packet = scenario.traffic.packetBytes;
        const double queueBytes =
            2 * FullBufferWindowBytes(scenario.radio) * (packet + HEADER_BYTES) / packet;
        Config::SetDefault("ns3::LteRlcUm::MaxTxBufferSize",
                           UintegerValue(static_cast<uint64_t>(queueBytes)));
    }
}

uint32_t
FullBufferWindowBytes(const Radio& radio)
{
    return 8 * 75376 / 8 * radio.dlBandwidthRb / 100;
}

} // namespace mlb
