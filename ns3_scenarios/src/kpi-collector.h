// SPDX-License-Identifier: MIT

#ifndef KPI_COLLECTOR_H
#define KPI_COLLECTOR_H

#include "kpi-table.h"
#include "lte-network.h"
#include "scenario.h"

#include "ns3/nstime.h"
#include "ns3/packet.h"

#include <optional>
#include <string>
#include <vector>

namespace mlb
{

/// One event of a UE.
struct Event
{
    double timeS;   ///< trace time, in s
    uint32_t ue;    ///< index of the UE
    int sourceCell; ///< index of the cell that served it
    int targetCell; ///< index of the target of a handover or of the new cell, else -1
    EventKind kind; ///< what happened
};

/// What one control interval yields; kpis.json has the definitions.
struct Kpis
{
    double timeS;                        ///< end of the interval in trace time, in s
    std::vector<double> prbUtilization;  ///< by cell: share of the downlink PRBs that carried data
    std::vector<double> offeredBps;      ///< by cell: arrived for its UEs, in bit/s
    std::vector<double> servedBps;       ///< by cell: delivered to its UEs, in bit/s
    std::vector<double> connectedUes;    ///< by cell: UEs served at the end
    std::vector<double> uePositionM;     ///< by UE: x and y at the end, in m
    std::vector<double> ueServingCell;   ///< by UE: index of the serving cell at the end, or -1
    std::vector<double> ueRsrpDbm;       ///< by UE, by cell: last L1 measurement, in dBm
    std::vector<double> ueSinrDb;        ///< by UE: last wideband SINR of the control region, in dB
    std::vector<double> ueThroughputBps; ///< by UE: delivered, in bit/s
    std::vector<double> ueUplinkBps;     ///< by UE: received from it, in bit/s
    std::vector<Event> events;           ///< in order of time
};

/**
 * @brief Listens to the traces of a network and turns them into KPIs.
 */
class KpiCollector
{
  public:
    /**
     * @param scenario the scenario
     * @param network its network, which must outlive the collector
     */
    KpiCollector(const Scenario& scenario, const LteNetwork& network);

    /**
     * @brief Ends the interval that began with the last call (or the simulation).
     * @param timeS trace time of its end, in s
     * @return KPIs of the interval
     */
    Kpis Take(double timeS);

  private:
    /// Handover that has started and not ended.
    struct OngoingHandover
    {
        int sourceCell; ///< index of the source cell
        int targetCell; ///< index of the target cell
    };

    /// Connects the sinks below to the traces of all UEs and cells.
    void ConnectTraces();

    // Trace sinks; those of a UE are bound to its index, those of a failure to its cause.
    void ReceiveSinr(uint32_t ue, uint16_t, uint16_t, double, double sinr, uint8_t);
    void ReceiveArrival(uint32_t ue, ns3::Ptr<const ns3::Packet> packet);
    void ReceiveDelivery(uint32_t ue, ns3::Ptr<const ns3::Packet> packet, const ns3::Address& from);
    void ReceiveUplink(uint32_t ue, ns3::Ptr<const ns3::Packet> packet, const ns3::Address& from);
    void ReceiveHandoverStart(uint64_t imsi, uint16_t sourceId, uint16_t, uint16_t targetId);
    void ReceiveHandoverOk(uint64_t imsi, uint16_t cellId, uint16_t rnti);
    void ReceiveHandoverRefusal(uint64_t imsi, uint16_t rnti, uint16_t targetId);
    void ReceiveHandoverFailure(EventKind cause, uint64_t imsi, uint16_t rnti, uint16_t cellId);
    void ReceiveRadioLinkFailure(uint64_t imsi, uint16_t cellId, uint16_t rnti);
    void ReceiveConnectionEstablished(uint64_t imsi, uint16_t cellId, uint16_t rnti);

    /// Records an event that happens now.
    void AddEvent(uint32_t ue, int sourceCell, int targetCell, EventKind kind);

    const Scenario& m_scenario;                            ///< the scenario
    const LteNetwork& m_network;                           ///< its network
    ns3::Time m_start;                                     ///< of the interval
    std::vector<double> m_arrivedBits;                     ///< by cell
    std::vector<double> m_deliveredBits;                   ///< by cell
    std::vector<double> m_ueDeliveredBits;                 ///< by UE
    std::vector<double> m_ueUplinkBits;                    ///< by UE
    std::vector<double> m_ueSinrDb;                        ///< by UE, last value in dB
    std::vector<Event> m_events;                           ///< of the interval
    std::vector<std::optional<OngoingHandover>> m_ongoing; ///< by UE
    std::vector<std::optional<int>> m_lostBy;              ///< by UE, index of the cell
};

} // namespace mlb

#endif // KPI_COLLECTOR_H
