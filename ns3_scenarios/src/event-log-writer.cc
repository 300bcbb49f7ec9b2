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
EventLogWriter::Connect(const Scenario& scenario, RadioNetwork& network)
{
    m_warmupNs = ExactSeconds(scenario.episode.warmupS).GetNanoSeconds();
    network.ListenToDlDcis([this](const DlDci& dci) { ReceiveDlDci(dci); });
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
EventLogWriter::ReceiveDlDci(const DlDci& dci)
{
    // Exact to the ns, so that a TTI at the end of an interval is not taken for the next one's.
    const double timeS = static_cast<double>(Simulator::Now().GetNanoSeconds() - m_warmupNs) / 1e9;
    m_dlDcis.Write({timeS,
                    static_cast<double>(dci.cell),
                    static_cast<double>(dci.ue),
                    static_cast<double>(dci.rnti),
                    static_cast<double>(dci.prbs),
                    static_cast<double>(dci.mcs),
                    static_cast<double>(dci.tbsBytes),
                    dci.isRetransmission ? 1.0 : 0.0});
}

} // namespace mlb
