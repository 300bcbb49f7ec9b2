// SPDX-License-Identifier: MIT

#include "lte-network.h"

#include "cio-handover-algorithm.h"
#include "lte-connections.h"
#include "lte-defaults.h"
#include "path-loss.h"

#include "ns3/antenna-model.h"
#include "ns3/constant-position-mobility-model.h"
#include "ns3/ff-mac-common.h"
#include "ns3/internet-stack-helper.h"
#include "ns3/lte-enb-net-device.h"
#include "ns3/lte-enb-phy.h"
#include "ns3/pf-ff-mac-scheduler.h"
#include "ns3/pointer.h"
#include "ns3/propagation-loss-model.h"
#include "ns3/rr-ff-mac-scheduler.h"
#include "ns3/simulator.h"

#include <algorithm>
#include <cmath>

namespace mlb
{

using namespace ns3;

namespace
{

/// The UEs attach within this time, one after the other.
const Time ATTACHMENT = MilliSeconds(300);
/// A UE that has connected reports at once for so long.
const Time CQI_REQUEST = MilliSeconds(10);
} // namespace

LteNetwork::LteNetwork(const Scenario& scenario,
                       const NodeContainer& ueNodes,
                       Fidelity fidelity,
                       Ptr<ShadowingMap> shadowing)
    : m_neighborPairs(scenario.neighborPairs),
      m_dlBandwidthRb(scenario.radio.dlBandwidthRb),
      m_handover(scenario.handover),
      m_ueNodes(ueNodes),
      m_sinr(scenario.ues, 1.0)
{
    if (scenario.radio.cqi == "pdsch")
    {
        // LteSpectrumChannel withholds from a UE the data frames of others, which such a CQI
        // measures.
        fidelity = Fidelity::STOCK;
    }
    SetLteDefaults(scenario, fidelity);
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
    InstallUes(fidelity);
    InternetStackHelper().Install(m_ueNodes);
    const IpAccess access{m_epcHelper->GetPgwNode(),
                          m_epcHelper->GetUeDefaultGatewayAddress(),
                          m_ueNodes,
                          m_epcHelper->AssignUeIpv4Address(m_ueDevices)};
    m_flows =
        std::make_unique<TrafficFlows>(scenario, access, FullBufferWindowBytes(scenario.radio));
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
LteNetwork::InstallUes(Fidelity fidelity)
{
    m_ueDevices = m_lteHelper->InstallUeDevice(m_ueNodes);
    for (uint32_t ue = 0; ue < m_ueNodes.GetN(); ++ue)
    {
        m_a3Events.push_back(
            std::make_unique<A3Event>(m_handover.a3OffsetDb, GetUeRrc(ue), m_enbs));
        GetUePhy(ue)->TraceConnectWithoutContext(
            "ReportUeMeasurements",
            MakeCallback(&A3Event::ReceiveMeasurement, m_a3Events.back().get()));
        GetUePhy(ue)->TraceConnectWithoutContext(
            "ReportCurrentCellRsrpSinr",
            MakeCallback(&LteNetwork::ReceiveSinr, this).Bind(ue));
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
        GetUePhy(UeOf(imsi))->GetLteUeCphySapProvider()->Reset();
    }
}

void
LteNetwork::ReceiveConnected(uint64_t imsi, uint16_t, uint16_t)
{
    // The bearer of the source cell has gone with its queue.
    m_flows->RefillBuffer(UeOf(imsi));
    // The random access response requests a CQI (TS 36.213 clause 6.2); ns-3 knows only periods,
    // and until the first report it sends everything with MCS 0.
    auto phy = GetUePhy(UeOf(imsi));
    phy->SetAttribute("DownlinkCqiPeriodicity", TimeValue(MilliSeconds(1)));
    Simulator::Schedule(CQI_REQUEST, [phy]() {
        phy->SetAttribute("DownlinkCqiPeriodicity", TimeValue(CQI_PERIOD));
    });
}

void
LteNetwork::ReceiveSinr(uint32_t ue, uint16_t, uint16_t, double, double sinr, uint8_t)
{
    m_sinr[ue] = sinr;
}

void
LteNetwork::Listen(Listener& listener)
{
    for (uint32_t ue = 0; ue < m_ueNodes.GetN(); ++ue)
    {
        ReportConnections(GetUeRrc(ue), listener);
    }
    for (const A3Event::Enb& enb : m_enbs)
    {
        ReportHandovers(enb.rrc, listener);
    }
}

void
LteNetwork::ListenToDlDcis(const std::function<void(const DlDci&)>& sink)
{
    for (uint32_t cell = 0; cell < m_enbs.size(); ++cell)
    {
        const auto receive = [sink, cell, rrc = m_enbs[cell].rrc](const DlDciListElement_s& dci,
                                                                  uint32_t prbs) {
            const uint64_t imsi =
                rrc->HasUeManager(dci.m_rnti) ? rrc->GetUeManager(dci.m_rnti)->GetImsi() : 0;
            sink({cell,
                  imsi == 0 ? -1 : static_cast<int>(UeOf(imsi)),
                  dci.m_rnti,
                  prbs,
                  dci.m_mcs.at(0),
                  dci.m_tbsSize.at(0),
                  dci.m_ndi.at(0) == 0});
        };
        GetScheduler(cell)->TraceConnectWithoutContext(
            "DlDci",
            Callback<void, const DlDciListElement_s&, uint32_t>(receive));
    }
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

double
LteNetwork::GetRsrpDbm(uint32_t ue, uint32_t cell) const
{
    return m_a3Events.at(ue)->GetRsrpDbm(cell + 1);
}

double
LteNetwork::GetSinrDb(uint32_t ue) const
{
    return 10.0 * std::log10(m_sinr.at(ue));
}

double
LteNetwork::TakePrbUtilization(uint32_t cell, Time length)
{
    // One TTI a ms.
    const double prbs = m_dlBandwidthRb * std::round(length.GetSeconds() * 1e3);
    return static_cast<double>(GetScheduler(cell)->TakeAllocatedPrbs()) / prbs;
}

const TrafficFlows&
LteNetwork::GetFlows() const
{
    return *m_flows;
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

Ptr<PrbCountingScheduler>
LteNetwork::GetScheduler(uint32_t cell) const
{
    auto device = DynamicCast<LteEnbNetDevice>(m_enbDevices.Get(cell));
    auto carrier = DynamicCast<ComponentCarrierEnb>(device->GetCcMap().at(0));
    return DynamicCast<PrbCountingScheduler>(carrier->GetFfMacScheduler());
}

} // namespace mlb
