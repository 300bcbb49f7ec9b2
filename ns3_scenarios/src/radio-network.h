// SPDX-License-Identifier: MIT

#ifndef RADIO_NETWORK_H
#define RADIO_NETWORK_H

#include "kpi-table.h"
#include "scenario.h"
#include "shadowing-map.h"
#include "traffic-flows.h"

#include "ns3/node-container.h"
#include "ns3/nstime.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace mlb
{

/// How much of ns-3's work to do that cannot be seen in the KPIs.
enum class Fidelity
{
    FAST,  ///< leaves it out where the network knows how
    STOCK, ///< does all that ns-3 does by default: slower, to compare with
};

/// A downlink assignment that a cell has sent.
struct DlDci
{
    uint32_t cell;         ///< index of the cell
    int ue;                ///< index of the UE, -1 until its connection is set up
    uint16_t rnti;         ///< the UE's identifier in the cell
    uint32_t prbs;         ///< number of PRBs
    uint8_t mcs;           ///< index of the modulation and coding scheme
    uint32_t tbsBytes;     ///< size of the transport block, in bytes
    bool isRetransmission; ///< whether it is a HARQ retransmission
};

/**
 * @brief The radio network of a scenario, whatever its technology, ready to run: cells, core
 * network, UEs, and their traffic.
 *
 * Cells and UEs are named by their index in the scenario. Each technology has one implementation,
 * which Create chooses; everything else knows the network by this class only.
 */
class RadioNetwork
{
  public:
    /// Learns what happens to the connections of UEs, at the instant at which it happens.
    class Listener
    {
      public:
        virtual ~Listener() = default;

        /**
         * @brief The source cell sends a handover command.
         * @param ue index of the UE
         * @param sourceCell index of the cell that serves it
         * @param targetCell index of the cell that it is sent to
         */
        virtual void ReceiveHandoverStart(uint32_t ue, int sourceCell, int targetCell) = 0;

        /**
         * @brief The UE has received its handover command and leaves the source cell.
         * @param ue index of the UE
         */
        virtual void ReceiveHandoverCommand(uint32_t ue) = 0;

        /**
         * @brief The target cell has the UE's confirmation.
         * @param ue index of the UE
         */
        virtual void ReceiveHandoverOk(uint32_t ue) = 0;

        /**
         * @brief The target cell has refused a UE before any command was sent.
         * @param ue index of the UE
         * @param targetCell index of the cell that refuses
         */
        virtual void ReceiveHandoverRefusal(uint32_t ue, int targetCell) = 0;

        /**
         * @brief A handover has failed; both cells may report the same failure.
         * @param ue index of the UE
         * @param cause what the event of this failure is
         */
        virtual void ReceiveHandoverFailure(uint32_t ue, EventKind cause) = 0;

        /**
         * @brief A UE has declared radio link failure and leaves its cell.
         * @param ue index of the UE
         * @param cell index of the cell
         */
        virtual void ReceiveRadioLinkFailure(uint32_t ue, int cell) = 0;

        /**
         * @brief A UE has set up its connection, for the first time or after it was lost.
         * @param ue index of the UE
         * @param cell index of the cell that serves it now
         */
        virtual void ReceiveConnectionEstablished(uint32_t ue, int cell) = 0;
    };

    /**
     * @brief Builds the network of the scenario's technology; the simulation must not have started.
     * @param scenario the scenario
     * @param ueNodes the UEs at their index, which have their mobility
     * @param fidelity what to spend time on
     * @param shadowing the shadowing of all links, null if there is none
     * @return the network
     */
    static std::unique_ptr<RadioNetwork> Create(const Scenario& scenario,
                                                const ns3::NodeContainer& ueNodes,
                                                Fidelity fidelity,
                                                ns3::Ptr<ShadowingMap> shadowing);

    virtual ~RadioNetwork() = default;

    /**
     * @brief Reports to a listener from now on.
     * @param listener the listener, which must outlive the simulation
     */
    virtual void Listen(Listener& listener) = 0;

    /**
     * @brief Reports all downlink assignments from now on.
     * @param sink is called with each, in the TTI in which it is sent
     */
    virtual void ListenToDlDcis(const std::function<void(const DlDci&)>& sink) = 0;

    /**
     * @brief Sets the parameters of event A3.
     * @param action CIO of every neighbour pair, and what else is steered; see ActionRanges
     */
    virtual void SetControl(const std::vector<double>& action) = 0;

    /**
     * @param ue index of the UE
     * @return index of its serving cell (the target from the handover command on), -1 if none
     */
    virtual int GetServingCell(uint32_t ue) const = 0;

    /**
     * @param ue index of the UE
     * @param cell index of the cell
     * @return the UE's last L1 measurement of the cell's RSRP, in dBm
     */
    virtual double GetRsrpDbm(uint32_t ue, uint32_t cell) const = 0;

    /**
     * @param ue index of the UE
     * @return its last wideband SINR of the control region, in dB; 0 before the first one
     */
    virtual double GetSinrDb(uint32_t ue) const = 0;

    /**
     * @brief Counts what a cell has allocated since the last call, and starts to count anew.
     * @param cell index of the cell
     * @param length time since the last call or, at the first call, since the simulation's start
     * @return share of the downlink PRBs of that time that carried data
     */
    virtual double TakePrbUtilization(uint32_t cell, ns3::Time length) = 0;

    /**
     * @return the traffic of the UEs
     */
    virtual const TrafficFlows& GetFlows() const = 0;
};

} // namespace mlb

#endif // RADIO_NETWORK_H
