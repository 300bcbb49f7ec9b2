// SPDX-License-Identifier: MIT

#ifndef SIGNALLING_CQI_H
#define SIGNALLING_CQI_H

#include "ns3/ff-mac-common.h"
#include "ns3/ff-mac-sched-sap.h"
#include "ns3/nstime.h"
#include "ns3/simulator.h"

#include <cstdint>
#include <map>
#include <utility>

namespace mlb
{

/**
 * @brief Makes a downlink report say at least CQI 1.
 * @param report the report of a UE
 * @return whether it said CQI 0 on all subbands
 */
bool Raise(ns3::CqiListElement_s& report);

/**
 * @brief Makes an uplink report say at least the SINR that ns-3's schedulers take for CQI 1.
 * @param report the report of a UE
 * @return whether it said less on an RB
 */
bool Raise(ns3::FfMacSchedSapProvider::SchedUlCqiInfoReqParameters& report);

/**
 * @brief The CQI of UEs that have RRC messages to exchange, in one direction.
 *
 * ns-3's schedulers never grant a UE at CQI 0, "out of range" (TS 36.213 table 7.2.3-1), which a
 * UE is below -4.4 dB in the downlink. With RRC messages on SRB1, a UE that an offset has kept in
 * its cell for too long then never hears its handover command, and none of its reports arrives. A
 * real eNB sends SRB1 with the most robust MCS whatever the CQI is. So does this: while SRB1
 * waits, the scheduler is told CQI 1 instead of 0.
 *
 * @tparam Report what the scheduler is told about one UE
 */
template <typename Report>
class SignallingCqi
{
  public:
    /**
     * @brief Takes notice that SRB1 of a UE has data.
     * @param rnti of the UE
     * @return the report to give to the scheduler now, null if there is no need to
     */
    const Report* Wait(uint16_t rnti)
    {
        m_waitingUntil[rnti] = ns3::Simulator::Now() + WAITING;
        const auto found = m_raised.find(rnti);
        return found == m_raised.end() ? nullptr : &found->second;
    }

    /**
     * @brief Chooses what to tell the scheduler.
     * @param rnti of the UE
     * @param report what the UE has reported
     * @return the same, or the raised one
     */
    Report Choose(uint16_t rnti, Report report)
    {
        Report raised = report;
        if (!Raise(raised))
        {
            m_raised.erase(rnti);
            return report;
        }
        m_raised[rnti] = raised;
        const auto until = m_waitingUntil.find(rnti);
        const bool isWaiting =
            until != m_waitingUntil.end() && ns3::Simulator::Now() < until->second;
        return isWaiting ? raised : report;
    }

    /**
     * @brief Forgets a UE.
     * @param rnti of the UE
     */
    void Release(uint16_t rnti)
    {
        m_raised.erase(rnti);
        m_waitingUntil.erase(rnti);
    }

  private:
    /// RLC and MAC do not say when SRB1 no longer has data: so long after they said that it has.
    static inline const ns3::Time WAITING = ns3::MilliSeconds(40);

    std::map<uint16_t, Report> m_raised;          ///< of UEs whose last report said CQI 0
    std::map<uint16_t, ns3::Time> m_waitingUntil; ///< when SRB1 of a UE no longer counts as waiting
};

} // namespace mlb

#endif // SIGNALLING_CQI_H
