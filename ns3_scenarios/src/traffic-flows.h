// SPDX-License-Identifier: MIT

#ifndef TRAFFIC_FLOWS_H
#define TRAFFIC_FLOWS_H

#include "scenario.h"

#include "ns3/application-container.h"
#include "ns3/ipv4-address.h"
#include "ns3/ipv4-interface-container.h"
#include "ns3/net-device-container.h"
#include "ns3/node-container.h"
#include "ns3/point-to-point-epc-helper.h"

#include <cstdint>

namespace mlb
{

/**
 * @brief The UDP flows of all UEs: from a remote host behind the PGW to each, and back if asked
 * for.
 *
 * Each flow has random streams of its own, so that a flow more or less does not change the others;
 * only the phases of constant bit rate are drawn from one stream, in the order of the UEs.
 */
class TrafficFlows
{
  public:
    /**
     * @brief Sets the defaults of ns-3 that the traffic needs; call it before there are bearers.
     * @param scenario the scenario
     */
    static void SetDefaults(const Scenario& scenario);

    /**
     * @brief Gives the UEs their IP addresses and installs the flows.
     * @param scenario the scenario
     * @param epcHelper the core network
     * @param ueNodes at the UE's index
     * @param ueDevices at the UE's index
     */
    TrafficFlows(const Scenario& scenario,
                 ns3::Ptr<ns3::PointToPointEpcHelper> epcHelper,
                 const ns3::NodeContainer& ueNodes,
                 const ns3::NetDeviceContainer& ueDevices);

    /**
     * @param ue index of the UE
     * @return the source of its downlink flow; its trace Tx fires for each packet
     */
    ns3::Ptr<ns3::Application> GetSource(uint32_t ue) const;

    /**
     * @param ue index of the UE
     * @return the sink of its downlink flow; its trace Rx fires for each packet
     */
    ns3::Ptr<ns3::Application> GetSink(uint32_t ue) const;

    /**
     * @param ue index of the UE
     * @return the sink of its uplink flow, null if there is none
     */
    ns3::Ptr<ns3::Application> GetUplinkSink(uint32_t ue) const;

    /**
     * @brief Tells the flow of a UE that what was queued for it may be lost.
     * @param ue index of the UE, which has connected or handed over
     */
    void RefillBuffer(uint32_t ue) const;

  private:
    /// Installs a flow from the remote host to each UE.
    void InstallDownlink(const Scenario& scenario,
                         const ns3::NodeContainer& ueNodes,
                         const ns3::Ipv4InterfaceContainer& ueInterfaces);

    /// Installs a flow of constant bit rate from each UE to the remote host.
    void InstallUplink(const Scenario& scenario,
                       const ns3::NodeContainer& ueNodes,
                       const ns3::Ipv4Address& remoteHost);

    ns3::Ptr<ns3::Node> m_remoteHost;        ///< behind the PGW
    ns3::ApplicationContainer m_sources;     ///< at the UE's index
    ns3::ApplicationContainer m_sinks;       ///< at the UE's index
    ns3::ApplicationContainer m_uplinkSinks; ///< at the UE's index; empty if there is no uplink
};

} // namespace mlb

#endif // TRAFFIC_FLOWS_H
