// SPDX-License-Identifier: MIT

#ifndef TRAFFIC_FLOWS_H
#define TRAFFIC_FLOWS_H

#include "scenario.h"

#include "ns3/application-container.h"
#include "ns3/ipv4-address.h"
#include "ns3/ipv4-interface-container.h"
#include "ns3/node-container.h"

#include <cstdint>

namespace mlb
{

/// How IP packets reach the UEs of a network, which have their IP stacks.
struct IpAccess
{
    ns3::Ptr<ns3::Node> gateway;              ///< joins the core network to other networks
    ns3::Ipv4Address ueGateway;               ///< the UEs' default gateway
    ns3::NodeContainer ueNodes;               ///< at the UE's index
    ns3::Ipv4InterfaceContainer ueInterfaces; ///< at the UE's index
};

/**
 * @brief The UDP flows of all UEs: from a remote host behind the gateway to each, and back if asked
 * for.
 *
 * Each flow has random streams of its own, so that a flow more or less does not change the others;
 * only the phases of constant bit rate are drawn from one stream, in the order of the UEs.
 */
class TrafficFlows
{
  public:
    /**
     * @brief Installs the flows.
     * @param scenario the scenario
     * @param access how packets reach the UEs
     * @param windowBytes UDP payload under way that keeps a full buffer full, in bytes
     */
    TrafficFlows(const Scenario& scenario, const IpAccess& access, uint32_t windowBytes);

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
    void InstallDownlink(const Scenario& scenario, const IpAccess& access, uint32_t windowBytes);

    /// Installs a flow of constant bit rate from each UE to the remote host.
    void InstallUplink(const Scenario& scenario,
                       const ns3::NodeContainer& ueNodes,
                       const ns3::Ipv4Address& remoteHost);

    ns3::Ptr<ns3::Node> m_remoteHost;        ///< behind the gateway
    ns3::ApplicationContainer m_sources;     ///< at the UE's index
    ns3::ApplicationContainer m_sinks;       ///< at the UE's index
    ns3::ApplicationContainer m_uplinkSinks; ///< at the UE's index; empty if there is no uplink
};

} // namespace mlb

#endif // TRAFFIC_FLOWS_H
