// SPDX-License-Identifier: MIT

#ifndef LTE_DEFAULTS_H
#define LTE_DEFAULTS_H

#include "radio-network.h"
#include "scenario.h"

#include "ns3/nstime.h"

#include <cstdint>

namespace mlb
{

/// Period of CQI reports, TS 36.213 table 7.2.2-1A; at 14 m/s a UE moves 0.6 m.
inline const ns3::Time CQI_PERIOD = ns3::MilliSeconds(40);

/**
 * @brief Sets ns-3's defaults for an LTE network; each choice that is not plain has its reason in
 * the implementation.
 * @param scenario the scenario
 * @param fidelity what to spend time on
 */
void SetLteDefaults(const Scenario& scenario, Fidelity fidelity);

/**
 * @param radio the carrier
 * @return what keeps a full buffer full: a datagram's way from the source through the queue and
 * back as the news of its delivery takes less than 8 TTIs, and a TTI carries at most 75376 bits on
 * 100 RBs (TS 36.213 table 7.1.7.2.1-1)
 */
uint32_t FullBufferWindowBytes(const Radio& radio);

} // namespace mlb

#endif // LTE_DEFAULTS_H
