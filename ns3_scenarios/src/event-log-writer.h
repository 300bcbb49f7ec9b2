// SPDX-License-Identifier: MIT

#ifndef EVENT_LOG_WRITER_H
#define EVENT_LOG_WRITER_H

#include "event-log-file.h"
#include "kpi-collector.h"
#include "radio-network.h"

#include <string>
#include <vector>

namespace mlb
{

/**
 * @brief Writes the events and the downlink DCIs of an episode to CSV files.
 *
 * events.csv has the columns of the events in kpis.json and the events of the KPIs. dl_dci.csv has
 * a row a DCI, from the start of the simulation on: time_s (trace time of the TTI), cell and ue
 * (indices; ue is -1 until the UE's connection is set up), rnti, prbs, mcs (TS 36.213 table
 * 7.1.7.1-1), tbs_bytes, and retransmission (1 for a HARQ retransmission, 0 for new data). The
 * PRBs of the TTIs in (t - interval, t] are those of the PRB utilisation at time t.
 */
class EventLogWriter
{
  public:
    /**
     * @brief Creates the files; they are whole when the writer is destroyed.
     * @param directory where, an existing directory
     * @throws InputError a file exists, or cannot be written
     */
    explicit EventLogWriter(const std::string& directory);

    /**
     * @brief Listens to the DCIs of a network from now on.
     * @param scenario the scenario
     * @param network its network, which the writer must outlive
     */
    void Connect(const Scenario& scenario, RadioNetwork& network);

    /**
     * @brief Writes the events of an interval.
     * @param events in order of time
     */
    void Write(const std::vector<Event>& events);

  private:
    /// Writes a DCI that is sent now.
    void ReceiveDlDci(const DlDci& dci);

    EventLogFile m_events; ///< a row an event
    EventLogFile m_dlDcis; ///< a row a DCI
    int64_t m_warmupNs{0}; ///< simulation time at trace time 0, in ns
};

} // namespace mlb

#endif // EVENT_LOG_WRITER_H
