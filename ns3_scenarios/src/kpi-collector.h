// SPDX-License-Identifier: MIT

#ifndef KPI_COLLECTOR_H
#define KPI_COLLECTOR_H

#include "kpi-table.h"
#include "radio-network.h"
#include "scenario.h"
#include "ue-mobility.h"

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
 * @brief Listens to a network and its traffic and turns what it learns into KPIs.
 */
class KpiCollector : private RadioNetwork::Listener
{
  public:
    /**
     * @param scenario the scenario
     * @param ues its UEs, which must outlive the collector
     * @param network its network, which must outlive the collector
     */
    KpiCollector(const Scenario& scenario, const UeMobility& ues, RadioNetwork& network);

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
        bool isHeard;   ///< whether the UE has received its command
    };

    // Sinks of the traffic's traces; bound to the index of the UE.
    void ReceiveArrival(uint32_t ue, ns3::Ptr<const ns3::Packet> packet);
    void ReceiveDelivery(uint32_t ue, ns3::Ptr<const ns3::Packet> packet, const ns3::Address& from);
    void ReceiveUplink(uint32_t ue, ns3::Ptr<const ns3::Packet> packet, const ns3::Address& from);

    // inherited from RadioNetwork::Listener
    void ReceiveHandoverStart(uint32_t ue, int sourceCell, int targetCell) override;
    void ReceiveHandoverCommand(uint32_t ue) override;
    void ReceiveHandoverOk(uint32_t ue) override;
    void ReceiveHandoverRefusal(uint32_t ue, int targetCell) override;
    void ReceiveHandoverFailure(uint32_t ue, EventKind cause) override;
    void ReceiveRadioLinkFailure(uint32_t ue, int cell) override;
    void ReceiveConnectionEstablished(uint32_t ue, int cell) override;

    /// Records an event that happens now.
    void AddEvent(uint32_t ue, int sourceCell, int targetCell, EventKind kind);

    const Scenario& m_scenario;                            ///< the scenario
    const UeMobility& m_ues;                               ///< its UEs
    RadioNetwork& m_network;                               ///< its network
    ns3::Time m_start;                                     ///< of the interval
    std::vector<double> m_arrivedBits;                     ///< by cell
    std::vector<double> m_deliveredBits;                   ///< by cell
    std::vector<double> m_ueDeliveredBits;                 ///< by UE
    std::vector<double> m_ueUplinkBits;                    ///< by UE
    std::vector<Event> m_events;                           ///< of the interval
    std::vector<std::optional<OngoingHandover>> m_ongoing; ///< by UE
    std::vector<std::optional<int>> m_lostBy;              ///< by UE, index of the cell
};

} // namespace mlb

#endif // KPI_COLLECTOR_H
