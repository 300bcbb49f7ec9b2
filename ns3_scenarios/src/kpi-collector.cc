// SPDX-License-Identifier: MIT

#include "kpi-collector.h"

#include "ns3/simulator.h"

#include <utility>

namespace mlb
{

using namespace ns3;

KpiCollector::KpiCollector(const Scenario& scenario, const UeMobility& ues, RadioNetwork& network)
    : m_scenario(scenario),
      m_ues(ues),
      m_network(network),
      m_arrivedBits(scenario.cells.size()),
      m_deliveredBits(scenario.cells.size()),
      m_ueDeliveredBits(scenario.ues),
      m_ueUplinkBits(scenario.ues),
      m_ongoing(scenario.ues),
      m_lostBy(scenario.ues)
{
    m_network.Listen(*this);
    const TrafficFlows& flows = m_network.GetFlows();
    for (uint32_t ue = 0; ue < m_scenario.ues; ++ue)
    {
        flows.GetSource(ue)->TraceConnectWithoutContext(
            "Tx",
            MakeCallback(&KpiCollector::ReceiveArrival, this).Bind(ue));
        flows.GetSink(ue)->TraceConnectWithoutContext(
            "Rx",
            MakeCallback(&KpiCollector::ReceiveDelivery, this).Bind(ue));
        if (auto sink = flows.GetUplinkSink(ue))
        {
            sink->TraceConnectWithoutContext(
                "Rx",
                MakeCallback(&KpiCollector::ReceiveUplink, this).Bind(ue));
        }
    }
}

Kpis
KpiCollector::Take(double timeS)
{
    const Time length = Simulator::Now() - m_start;
    const double perSecond = 1.0 / length.GetSeconds();
    const std::size_t cells = m_scenario.cells.size();

    Kpis kpis{};
    kpis.timeS = timeS;
    kpis.connectedUes.resize(cells);
    for (uint32_t cell = 0; cell < cells; ++cell)
    {
        kpis.prbUtilization.push_back(m_network.TakePrbUtilization(cell, length));
        kpis.offeredBps.push_back(std::exchange(m_arrivedBits[cell], 0) * perSecond);
        kpis.servedBps.push_back(std::exchange(m_deliveredBits[cell], 0) * perSecond);
    }
    for (uint32_t ue = 0; ue < m_scenario.ues; ++ue)
    {
        const Vector position = m_ues.GetPosition(ue);
        kpis.uePositionM.insert(kpis.uePositionM.end(), {position.x, position.y});
        const int serving = m_network.GetServingCell(ue);
        kpis.ueServingCell.push_back(serving);
        if (serving >= 0)
        {
            ++kpis.connectedUes[serving];
        }
        for (uint32_t cell = 0; cell < cells; ++cell)
        {
            kpis.ueRsrpDbm.push_back(m_network.GetRsrpDbm(ue, cell));
        }
        kpis.ueSinrDb.push_back(m_network.GetSinrDb(ue));
        kpis.ueThroughputBps.push_back(std::exchange(m_ueDeliveredBits[ue], 0) * perSecond);
        kpis.ueUplinkBps.push_back(std::exchange(m_ueUplinkBits[ue], 0) * perSecond);
    }
    kpis.events = std::exchange(m_events, {});
    m_start = Simulator::Now();
    return kpis;
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
KpiCollector::ReceiveHandoverStart(uint32_t ue, int sourceCell, int targetCell)
{
    m_ongoing[ue] = {sourceCell, targetCell, false};
    AddEvent(ue, sourceCell, targetCell, EventKind::HANDOVER_START);
}

void
KpiCollector::ReceiveHandoverCommand(uint32_t ue)
{
    if (auto& ongoing = m_ongoing[ue])
    {
        ongoing->isHeard = true;
    }
}

void
KpiCollector::ReceiveHandoverOk(uint32_t ue)
{
    if (const auto ended = std::exchange(m_ongoing[ue], std::nullopt))
    {
        AddEvent(ue, ended->sourceCell, ended->targetCell, EventKind::HANDOVER_OK);
    }
}

void
KpiCollector::ReceiveHandoverRefusal(uint32_t ue, int targetCell)
{
    AddEvent(ue, m_network.GetServingCell(ue), targetCell, EventKind::HANDOVER_FAILED_NO_PREAMBLE);
}

void
KpiCollector::ReceiveHandoverFailure(uint32_t ue, EventKind cause)
{
    // Source and target may both report the same failure: the first one counts.
    if (const auto ended = std::exchange(m_ongoing[ue], std::nullopt))
    {
        AddEvent(ue,
                 ended->sourceCell,
                 ended->targetCell,
                 ended->isHeard ? cause : EventKind::HANDOVER_FAILED_NO_COMMAND);
        m_lostBy[ue] = ended->sourceCell;
    }
}

void
KpiCollector::ReceiveRadioLinkFailure(uint32_t ue, int cell)
{
    m_ongoing[ue].reset();
    AddEvent(ue, cell, -1, EventKind::RADIO_LINK_FAILURE);
    m_lostBy[ue] = cell;
}

void
KpiCollector::ReceiveConnectionEstablished(uint32_t ue, int cell)
{
    // The first connection follows no failure.
    if (const auto lostBy = std::exchange(m_lostBy[ue], std::nullopt))
    {
        AddEvent(ue, *lostBy, cell, EventKind::CONNECTION_REESTABLISHED);
    }
}

void
KpiCollector::AddEvent(uint32_t ue, int sourceCell, int targetCell, EventKind kind)
{
    const double timeS = Simulator::Now().GetSeconds() - m_scenario.episode.warmupS;
    m_events.push_back({timeS, ue, sourceCell, targetCell, kind});
}

} // namespace mlb
