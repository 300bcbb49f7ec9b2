// SPDX-License-Identifier: MIT

#include "lte-network.h"

#include "cio-handover-algorithm.h"
#include "exact-time.h"
#include "path-loss.h"

#include "ns3/antenna-model.h"
#include "ns3/config.h"
#include "ns3/constant-position-mobility-model.h"
#include "ns3/lte-enb-net-device.h"
#include "ns3/lte-enb-phy.h"
#include "ns3/pf-ff-mac-scheduler.h"
#include "ns3/pointer.h"
#include "ns3/propagation-loss-model.h"
#include "ns3/rr-ff-mac-scheduler.h"
#include "ns3/simulator.h"
#include "ns3/string.h"
#include "ns3/waypoint-mobility-model.h"

#include <algorithm>
#include <cmath>

namespace mlb
{

using namespace ns3;

namespace
{

/// The UEs attach within this time, one after the other.
const Time ATTACHMENT = MilliSeconds(300);
/// Period of CQI reports, TS 36.213 table 7.2.2-1A; at 14 m/s a UE moves 0.6 m.
const Time CQI_PERIOD = MilliSeconds(40);
/// A UE that has connected reports at once for so long.
const Time CQI_REQUEST = MilliSeconds(10);
/// From the downlink EARFCN of an FDD carrier to its uplink, TS 36.101 table 5.7.3-1.
constexpr uint32_t FDD_EARFCN_OFFSET = 18000;

/**
 * @brief Sets ns-3's defaults; each choice that is not plain has its reason here.
 * @param scenario the scenario
 * @param fidelity what to spend time on
 */
void
SetDefaults(const Scenario& scenario, Fidelity fidelity)
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
}

} // namespace

LteNetwork::LteNetwork(const Scenario& scenario,
                       const std::vector<Track>& tracks,
                       Fidelity fidelity,
                       Ptr<ShadowingMap> shadowing)
    : m_neighborPairs(scenario.neighborPairs),
      m_handover(scenario.handover)
{
    SetDefaults(scenario, fidelity);
    TrafficFlows::SetDefaults(scenario);
    m_lteHelper = CreateObject<LteHelper>();
    m_epcHelper = CreateObject<PointToPointEpcHelper>();
    m_lteHelper->SetEpcHelper(m_epcHelper);
    if (fidelity == Fidelity::FAST)
    {
        m_lteHelper->SetSpectrumChannelType("mlb::LteSpectrumChannel");
    }
    m_lteHelper->SetSchedulerType("mlb::PrbCountingScheduler");
    m_lteHelper->SetSchedulerAttribute("Scheduler",
                                       TypeIdValue(scenario.radio.scheduler == "rr"
                                                       ? RrFfMacScheduler::GetTypeId()
                                                       : PfFfMacScheduler::GetTypeId()));
    m_lteHelper->SetHandoverAlgorithmType("mlb::CioHandoverAlgorithm");
    SetPathLoss(*m_lteHelper, scenario.radio);

    InstallCells(scenario);
    if (shadowing)
    {
        AddShadowing(shadowing, GetSites(scenario.cells));
    }
    InstallUes(scenario, tracks, fidelity);
    m_flows = std::make_unique<TrafficFlows>(scenario, m_epcHelper, m_ueNodes, m_ueDevices);
    ScheduleAttachment(scenario);
}

void
LteNetwork::InstallCells(const Scenario& scenario)
{
    for (const Cell& cell : scenario.cells)
    {
        InstallCell(scenario.radio, cell);
        m_enbs.back().algorithm->SetHysteresis(m_handover.hysteresisDb);
        m_enbs.back().algorithm->SetTimeToTrigger(MilliSeconds(m_handover.timeToTriggerMs));
    }
    for (const auto& [serving, neighbor] : m_neighborPairs)
    {
        m_enbs[serving].algorithm->SetOcn(neighbor + 1, 0);
        const bool hasReverse = std::count(m_neighborPairs.begin(),
                                           m_neighborPairs.end(),
                                           std::pair(neighbor, serving)) > 0;
        if (serving < neighbor || !hasReverse)
        {
            m_lteHelper->AddX2Interface(m_enbNodes.Get(serving), m_enbNodes.Get(neighbor));
        }
    }
}

void
LteNetwork::InstallCell(const Radio& radio, const Cell& cell)
{
    auto node = CreateObject<Node>();
    auto mobility = CreateObject<ConstantPositionMobilityModel>();
    mobility->SetPosition(Vector(cell.xM, cell.yM, cell.heightM));
    node->AggregateObject(mobility);
    m_enbNodes.Add(node);

    if (radio.antenna.pattern == "sector")
    {
        const Antenna& antenna = radio.antenna;
        m_lteHelper->SetEnbAntennaModelType("mlb::SectorAntennaModel");
        for (const auto& [name, value] : {std::pair("Azimuth", cell.azimuthDeg),
                                          {"Tilt", cell.tiltDeg},
                                          {"HorizontalBeamwidth", antenna.horizontalBeamwidthDeg},
                                          {"VerticalBeamwidth", antenna.verticalBeamwidthDeg},
                                          {"MaxAttenuation", antenna.maxAttenuationDb},
                                          {"SideLobeLimit", antenna.sideLobeLimitDb},
                                          {"Gain", antenna.gainDbi}})
        {
            m_lteHelper->SetEnbAntennaModelAttribute(name, DoubleValue(value));
        }
    }
    m_lteHelper->SetEnbDeviceAttribute("DlBandwidth", UintegerValue(radio.dlBandwidthRb));
    m_lteHelper->SetEnbDeviceAttribute("UlBandwidth", UintegerValue(radio.dlBandwidthRb));
    auto device = DynamicCast<LteEnbNetDevice>(m_lteHelper->InstallEnbDevice(node).Get(0));
    m_enbDevices.Add(device);
    NS_ABORT_MSG_UNLESS(device->GetCellId() == m_enbDevices.GetN(),
                        "cell IDs are not the indices + 1");
    device->GetPhy()->SetTxPower(cell.txPowerDbm);
    PointerValue algorithm;
    device->GetAttribute("LteHandoverAlgorithm", algorithm);
    m_enbs.push_back({device->GetRrc(), algorithm.Get<CioHandoverAlgorithm>()});
}

void
LteNetwork::AddShadowing(Ptr<ShadowingMap> shadowing, const std::vector<uint32_t>& sites)
{
    for (uint32_t cell = 0; cell < sites.size(); ++cell)
    {
        shadowing->AddCell(m_enbNodes.Get(cell)->GetObject<MobilityModel>(), sites[cell]);
    }
    m_lteHelper->GetDownlinkSpectrumChannel()->GetPropagationLossModel()->SetNext(shadowing);
    m_lteHelper->GetUplinkSpectrumChannel()->GetPropagationLossModel()->SetNext(shadowing);
}

void
LteNetwork::InstallUes(const Scenario& scenario,
                       const std::vector<Track>& tracks,
                       Fidelity fidelity)
{
    m_ueNodes.Create(scenario.ues);
    for (uint32_t ue = 0; ue < scenario.ues; ++ue)
    {
        auto mobility = CreateObject<WaypointMobilityModel>();
        mobility->SetAttribute("LazyNotify", BooleanValue(true));
        m_ueNodes.Get(ue)->AggregateObject(mobility);
    }
    AddKnots(scenario, tracks);

    m_ueDevices = m_lteHelper->InstallUeDevice(m_ueNodes);
    for (uint32_t ue = 0; ue < scenario.ues; ++ue)
    {
        m_a3Events.push_back(
            std::make_unique<A3Event>(m_handover.a3OffsetDb, GetUeRrc(ue), m_enbs));
        GetUePhy(ue)->TraceConnectWithoutContext(
            "ReportUeMeasurements",
            MakeCallback(&A3Event::ReceiveMeasurement, m_a3Events.back().get()));
        GetUeRrc(ue)->TraceConnectWithoutContext(
            "StateTransition",
            MakeCallback(&LteNetwork::ReceiveStateTransition, this));
        if (fidelity == Fidelity::STOCK)
        {
            continue;
        }
        for (const auto* trace : {"ConnectionEstablished", "HandoverEndOk"})
        {
            GetUeRrc(ue)->TraceConnectWithoutContext(
                trace,
                MakeCallback(&LteNetwork::ReceiveConnected, this));
        }
    }
}

void
LteNetwork::AddKnots(const Scenario& scenario, const std::vector<Track>& tracks)
{
    for (uint32_t ue = 0; ue < tracks.size(); ++ue)
    {
        auto mobility = m_ueNodes.Get(ue)->GetObject<WaypointMobilityModel>();
        for (const Knot& knot : tracks[ue])
        {
            mobility->AddWaypoint({ExactSeconds(scenario.episode.warmupS + knot.timeS),
                                   Vector(knot.xM, knot.yM, scenario.radio.ueHeightM)});
        }
    }
}

void
LteNetwork::ScheduleAttachment(const Scenario& scenario)
{
    for (uint32_t ue = 0; ue < scenario.ues; ++ue)
    {
        auto ueMobility = m_ueNodes.Get(ue)->GetObject<MobilityModel>();
        uint32_t strongest = 0;
        double strongestDbm = -std::numeric_limits<double>::infinity();
        for (uint32_t cell = 0; cell < scenario.cells.size(); ++cell)
        {
            const double rxPowerDbm =
                GetRxPowerDbm(cell, scenario.cells[cell].txPowerDbm, ueMobility);
            if (rxPowerDbm > strongestDbm)
            {
                strongest = cell;
                strongestDbm = rxPowerDbm;
            }
        }
        Simulator::Schedule(ATTACHMENT * (static_cast<double>(ue) / scenario.ues),
                            [this, ue, strongest]() {
                                m_lteHelper->Attach(m_ueDevices.Get(ue),
                                                    m_enbDevices.Get(strongest));
                            });
    }
}

double
LteNetwork::GetRxPowerDbm(uint32_t cell, double txPowerDbm, Ptr<MobilityModel> ueMobility) const
{
    const auto loss = m_lteHelper->GetDownlinkSpectrumChannel()->GetPropagationLossModel();
    const auto phy = DynamicCast<LteEnbNetDevice>(m_enbDevices.Get(cell))->GetPhy();
    const auto antenna = DynamicCast<AntennaModel>(phy->GetDlSpectrumPhy()->GetAntenna());
    auto cellMobility = m_enbNodes.Get(cell)->GetObject<MobilityModel>();
    const Angles angles(ueMobility->GetPosition(), cellMobility->GetPosition());
    return loss->CalcRxPower(txPowerDbm, cellMobility, ueMobility) + antenna->GetGainDb(angles);
}

void
LteNetwork::ReceiveStateTransition(uint64_t imsi,
                                   uint16_t,
                                   uint16_t,
                                   LteUeRrc::State,
                                   LteUeRrc::State newState)
{
    // LteUePhy::DoReset clears its measurements and then ends what it was receiving, which measures
    // again, in bands that are wrong for the cell search that follows: 3.44 asserts.
    if (newState == LteUeRrc::IDLE_START)
    {
        GetUePhy(GetUe(imsi))->GetLteUeCphySapProvider()->Reset();
    }
}

void
LteNetwork::ReceiveConnected(uint64_t imsi, uint16_t, uint16_t)
{
    // The bearer of the source cell has gone with its queue.
    m_flows->RefillBuffer(GetUe(imsi));
    // The random access response requests a CQI (TS 36.213 clause 6.2); ns-3 knows only periods,
    // and until the first report it sends everything with MCS 0.
    auto phy = GetUePhy(GetUe(imsi));
    phy->SetAttribute("DownlinkCqiPeriodicity", TimeValue(MilliSeconds(1)));
    Simulator::Schedule(CQI_REQUEST, [phy]() {
        phy->SetAttribute("DownlinkCqiPeriodicity", TimeValue(CQI_PERIOD));
    });
}

void
LteNetwork::SetControl(const std::vector<double>& action)
{
    auto value = action.begin();
    for (const auto& [serving, neighbor] : m_neighborPairs)
    {
        m_enbs[serving].algorithm->SetOcn(neighbor + 1, *value++);
    }
    if (m_handover.steeredHysteresisDb)
    {
        for (const A3Event::Enb& enb : m_enbs)
        {
            enb.algorithm->SetHysteresis(*value++);
        }
    }
    if (m_handover.steeredTimeToTriggerMs)
    {
        for (const A3Event::Enb& enb : m_enbs)
        {
            enb.algorithm->SetTimeToTrigger(MilliSeconds(std::llround(*value++)));
        }
    }
}

int
LteNetwork::GetServingCell(uint32_t ue) const
{
    const auto rrc = GetUeRrc(ue);
    const LteUeRrc::State state = rrc->GetState();
    const bool isConnected =
        state == LteUeRrc::CONNECTED_NORMALLY || state == LteUeRrc::CONNECTED_HANDOVER;
    return isConnected ? rrc->GetCellId() - 1 : -1;
}

Vector
LteNetwork::GetPosition(uint32_t ue) const
{
    return m_ueNodes.Get(ue)->GetObject<MobilityModel>()->GetPosition();
}

const A3Event&
LteNetwork::GetA3Event(uint32_t ue) const
{
    return *m_a3Events.at(ue);
}

Ptr<LteUePhy>
LteNetwork::GetUePhy(uint32_t ue) const
{
    return DynamicCast<LteUeNetDevice>(m_ueDevices.Get(ue))->GetPhy();
}

Ptr<LteUeRrc>
LteNetwork::GetUeRrc(uint32_t ue) const
{
    return DynamicCast<LteUeNetDevice>(m_ueDevices.Get(ue))->GetRrc();
}

Ptr<LteEnbRrc>
LteNetwork::GetEnbRrc(uint32_t cell) const
{
    return m_enbs.at(cell).rrc;
}

Ptr<PrbCountingScheduler>
LteNetwork::GetScheduler(uint32_t cell) const
{
    auto device = DynamicCast<LteEnbNetDevice>(m_enbDevices.Get(cell));
    auto carrier = DynamicCast<ComponentCarrierEnb>(device->GetCcMap().at(0));
    return DynamicCast<PrbCountingScheduler>(carrier->GetFfMacScheduler());
}

const TrafficFlows&
LteNetwork::GetFlows() const
{
    return *m_flows;
}

uint32_t
LteNetwork::GetUe(uint64_t imsi) const
{
    // LteHelper counts IMSIs from 1 in the order of installation.
    return static_cast<uint32_t>(imsi - 1);
}

} // namespace mlb
