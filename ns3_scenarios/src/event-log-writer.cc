// SPDX-License-Identifier: MIT

#include "event-log-writer.h"

#include "exact-time.h"

#include "ns3/simulator.h"

namespace mlb
{

using namespace ns3;

EventLogWriter::EventLogWriter(const std::string& directory)
    : m_events(std::filesystem::path(directory) / "events.csv", kpi::EVENT_NAMES),
      m_dlDcis(std::filesystem::path(directory) / "dl_dci.csv",
               "time_s,cell,ue,rnti,prbs,mcs,tbs_bytes,retransmission")
{
}

void
EventLogWriter::Connect(const Scenario& scenario, const LteNetwork& network)
{
    m_network = &network;
    m_warmupNs = ExactSeconds(scenario.episode.warmupS).GetNanoSeconds();
    for (uint32_t cell = 0; cell < scenario.cells.size(); ++cell)
    {
        network.GetScheduler(cell)->TraceConnectWithoutContext(
            "DlDci",
            MakeCallback(&EventLogWriter::ReceiveDlDci, this).Bind(cell));
    }
}

void
EventLogWriter::Write(const std::vector<Event>& events)
{
    for (const Event& event : events)
    {
        m_events.Write({event.timeS,
                        static_cast<double>(event.ue),
                        static_cast<double>(event.sourceCell),
                        static_cast<double>(event.targetCell),
                        static_cast<double>(event.kind)});
    }
}

void
EventLogWriter::ReceiveDlDci(uint32_t cell, const DlDciListElement_s& dci, uint32_t prbs)
{
    // Exact to the ns, so that a TTI at the end of an interval is not taken for the next one's.
    const double timeS = static_cast<double>(Simulator::Now().GetNanoSeconds() - m_warmupNs) / 1e9;
    const auto rrc = m_network->GetEnbRrc(cell);
    const uint64_t imsi =
        rrc->HasUeManager(dci.m_rnti) ? rrc->GetUeManager(dci.m_rnti)->GetImsi() : 0;
    m_dlDcis.Write({timeS,
                    static_cast<double>(cell),
                    imsi == 0 ? -1.0 : static_cast<double>(m_network->GetUe(imsi)),
                    static_cast<double>(dci.m_rnti),
                    static_cast<double>(prbs),
                    static_cast<double>(dci.m_mcs.at(0)),
                    static_cast<double>(dci.m_tbsSize.at(0)),
                    dci.m_ndi.at(0) == 0 ? 1.0 : 0.0});
}

} // namespace mlb
