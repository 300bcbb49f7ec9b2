// SPDX-License-Identifier: MIT

#ifndef LTE_CONNECTIONS_H
#define LTE_CONNECTIONS_H

#include "radio-network.h"

#include "ns3/lte-enb-rrc.h"
#include "ns3/lte-ue-rrc.h"

#include <cstdint>

namespace mlb
{

/**
 * @param imsi ns-3's IMSI; LteHelper counts them from 1 in the order of installation
 * @return index of that UE
 */
uint32_t UeOf(uint64_t imsi);

/**
 * @brief Reports the connections that a UE sets up and loses, and the handover commands that it
 * receives.
 * @param rrc the UE's RRC
 * @param listener learns of them, and must outlive the simulation
 */
void ReportConnections(ns3::Ptr<ns3::LteUeRrc> rrc, RadioNetwork::Listener& listener);

/**
 * @brief Reports the handovers in which an eNB is the source or the target.
 * @param rrc the eNB's RRC
 * @param listener learns of them, and must outlive the simulation
 */
void ReportHandovers(ns3::Ptr<ns3::LteEnbRrc> rrc, RadioNetwork::Listener& listener);

} // namespace mlb

#endif // LTE_CONNECTIONS_H
