// SPDX-License-Identifier: MIT

#include "kpi-collector.h"

#include "ns3/simulator.h"

#include <cmath>
#include <utility>

namespace mlb
{

using namespace ns3;

KpiCollector::KpiCollector(const Scenario& scenario, const LteNetwork& network)
    : m_scenario(scenario),
      m_network(network),
      m_arrivedBits(scenario.cells.size()),
      m_deliveredBits(scenario.cells.size()),
      m_ueDeliveredBits(scenario.ues),
      m_ueUplinkBits(scenario.ues),
      m_ueSinrDb(scenario.ues),
      m_ongoing(scenario.ues),
      m_lostBy(scenario.ues)
{
    ConnectTraces();
}

void
KpiCollector::ConnectTraces()
{
    for (uint32_t ue = 0; ue < m_scenario.ues; ++ue)
    {
        m_network.GetUePhy(ue)->TraceConnectWithoutContext(
            "ReportCurrentCellRsrpSinr",
            MakeCallback(&KpiCollector::ReceiveSinr, this).Bind(ue));
        m_network.GetFlows().GetSource(ue)->TraceConnectWithoutContext(
            "Tx",
            MakeCallback(&KpiCollector::ReceiveArrival, this).Bind(ue));
        m_network.GetFlows().GetSink(ue)->TraceConnectWithoutContext(
            "Rx",
            MakeCallback(&KpiCollector::ReceiveDelivery, this).Bind(ue));
        if (auto sink = m_network.GetFlows().GetUplinkSink(ue))
        {
            sink->TraceConnectWithoutContext(
                "Rx",
                MakeCallback(&KpiCollector::ReceiveUplink, this).Bind(ue));
        }
        m_network.GetUeRrc(ue)->TraceConnectWithoutContext(
            "RadioLinkFailure",
            MakeCallback(&KpiCollector::ReceiveRadioLinkFailure, this));
        m_network.GetUeRrc(ue)->TraceConnectWithoutContext(
            "ConnectionEstablished",
            MakeCallback(&KpiCollector::ReceiveConnectionEstablished, this));
    }
    for (uint32_t cell = 0; cell < m_scenario.cells.size(); ++cell)
    {
        const auto rrc = m_network.GetEnbRrc(cell);
        rrc->TraceConnectWithoutContext("HandoverStart",
                                        MakeCallback(&KpiCollector::ReceiveHandoverStart, this));
        rrc->TraceConnectWithoutContext("HandoverEndOk",
                                        MakeCallback(&KpiCollector::ReceiveHandoverOk, this));
        rrc->TraceConnectWithoutContext("HandoverFailureNoPreamble",
                                        MakeCallback(&KpiCollector::ReceiveHandoverRefusal, this));
        for (const auto& [trace, cause] :
             {std::pair("HandoverFailureMaxRach", EventKind::HANDOVER_FAILED_MAX_RACH),
              std::pair("HandoverFailureLeaving", EventKind::HANDOVER_FAILED_LEAVING),
              std::pair("HandoverFailureJoining", EventKind::HANDOVER_FAILED_JOINING)})
        {
            rrc->TraceConnectWithoutContext(
                trace,
                MakeCallback(&KpiCollector::ReceiveHandoverFailure, this).Bind(cause));
        }
    }
}

Kpis
KpiCollector::Take(double timeS)
{
    const double lengthS = (Simulator::Now() - m_start).GetSeconds();
    const double perSecond = 1.0 / lengthS;
    // One TTI a ms.
    const double prbs = m_scenario.radio.dlBandwidthRb * std::round(lengthS * 1e3);
    const std::size_t cells = m_scenario.cells.size();

    Kpis kpis{};
    kpis.timeS = timeS;
    kpis.connectedUes.resize(cells);
    for (uint32_t cell = 0; cell < cells; ++cell)
    {
        const uint64_t allocated = m_network.GetScheduler(cell)->TakeAllocatedPrbs();
        kpis.prbUtilization.push_back(static_cast<double>(allocated) / prbs);
        kpis.offeredBps.push_back(std::exchange(m_arrivedBits[cell], 0) * perSecond);
        kpis.servedBps.push_back(std::exchange(m_deliveredBits[cell], 0) * perSecond);
    }
    for (uint32_t ue = 0; ue < m_scenario.ues; ++ue)
    {
        const Vector position = m_network.GetPosition(ue);
        kpis.uePositionM.insert(kpis.uePositionM.end(), {position.x, position.y});
        const int serving = m_network.GetServingCell(ue);
        kpis.ueServingCell.push_back(serving);
        if (serving >= 0)
        {
            ++kpis.connectedUes[serving];
        }
        for (uint32_t cell = 0; cell < cells; ++cell)
        {
            kpis.ueRsrpDbm.push_back(m_network.GetA3Event(ue).GetRsrpDbm(cell + 1));
        }
        kpis.ueThroughputBps.push_back(std::exchange(m_ueDeliveredBits[ue], 0) * perSecond);
        kpis.ueUplinkBps.push_back(std::exchange(m_ueUplinkBits[ue], 0) * perSecond);
    }
    kpis.ueSinrDb = m_ueSinrDb;
    kpis.events = std::exchange(m_events, {});
    m_start = Simulator::Now();
    return kpis;
}

void
KpiCollector::ReceiveSinr(uint32_t ue, uint16_t, uint16_t, double, double sinr, uint8_t)
{
    m_ueSinrDb[ue] = 10.0 * std::log10(sinr);
}

void
KpiCollector::ReceiveArrival(uint32_t ue, Ptr<const Packet> packet)
{
    const int serving = m_network.GetServingCell(ue);
    if (serving >= 0)
    {
        m_arrivedBits[serving] += 8.0 * packet->GetSize();
    }
}

void
KpiCollector::ReceiveDelivery(uint32_t ue, Ptr<const Packet> packet, const Address&)
{
    const double bits = 8.0 * packet->GetSize();
    m_ueDeliveredBits[ue] += bits;
    const int serving = m_network.GetServingCell(ue);
    if (serving >= 0)
    {
        m_deliveredBits[serving] += bits;
    }
}

void
KpiCollector::ReceiveUplink(uint32_t ue, Ptr<const Packet> packet, const Address&)
{
    m_ueUplinkBits[ue] += 8.0 * packet->GetSize();
}

void
KpiCollector::ReceiveHandoverStart(uint64_t imsi, uint16_t sourceId, uint16_t, uint16_t targetId)
{
    const uint32_t ue = m_network.GetUe(imsi);
    m_ongoing[ue] = {sourceId - 1, targetId - 1};
    AddEvent(ue, sourceId - 1, targetId - 1, EventKind::HANDOVER_START);
}

void
KpiCollector::ReceiveHandoverOk(uint64_t imsi, uint16_t, uint16_t)
{
    const uint32_t ue = m_network.GetUe(imsi);
    if (const auto ended = std::exchange(m_ongoing[ue], std::nullopt))
    {
        AddEvent(ue, ended->sourceCell, ended->targetCell, EventKind::HANDOVER_OK);
    }
}

void
KpiCollector::ReceiveHandoverRefusal(uint64_t imsi, uint16_t, uint16_t targetId)
{
    const uint32_t ue = m_network.GetUe(imsi);
    AddEvent(ue,
             m_network.GetServingCell(ue),
             targetId - 1,
             EventKind::HANDOVER_FAILED_NO_PREAMBLE);
}

void
KpiCollector::ReceiveHandoverFailure(EventKind cause, uint64_t imsi, uint16_t, uint16_t)
{
    // Source and target may both report the same failure: the first one counts.
    const uint32_t ue = m_network.GetUe(imsi);
    if (const auto ended = std::exchange(m_ongoing[ue], std::nullopt))
    {
        AddEvent(ue, ended->sourceCell, ended->targetCell, cause);
        m_lostBy[ue] = ended->sourceCell;
    }
}

void
KpiCollector::ReceiveRadioLinkFailure(uint64_t imsi, uint16_t cellId, uint16_t)
{
    const uint32_t ue = m_network.GetUe(imsi);
    m_ongoing[ue].reset();
    AddEvent(ue, cellId - 1, -1, EventKind::RADIO_LINK_FAILURE);
    m_lostBy[ue] = cellId - 1;
}

void
KpiCollector::ReceiveConnectionEstablished(uint64_t imsi, uint16_t cellId, uint16_t)
{
    // The first connection follows no failure.
    const uint32_t ue = m_network.GetUe(imsi);
    if (const auto lostBy = std::exchange(m_lostBy[ue], std::nullopt))
    {
        AddEvent(ue, *lostBy, cellId - 1, EventKind::CONNECTION_REESTABLISHED);
    }
}

void
KpiCollector::AddEvent(uint32_t ue, int sourceCell, int targetCell, EventKind kind)
{
    const double timeS = Simulator::Now().GetSeconds() - m_scenario.episode.warmupS;
    m_events.push_back({timeS, ue, sourceCell, targetCell, kind});
}

} // namespace mlb
