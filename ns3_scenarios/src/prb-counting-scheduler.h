// SPDX-License-Identifier: MIT

#ifndef PRB_COUNTING_SCHEDULER_H
#define PRB_COUNTING_SCHEDULER_H

#include "ns3/ff-mac-csched-sap.h"
#include "ns3/ff-mac-sched-sap.h"
#include "ns3/ff-mac-scheduler.h"
#include "ns3/traced-callback.h"

#include <cstdint>
#include <memory>
#include <set>

namespace mlb
{

/**
 * @brief A scheduler that tells how many downlink PRBs it has allocated.
 *
 * It wraps one of ns-3's, ns3::PfFfMacScheduler by default. No trace of ns-3 carries RB counts; the
 * resource allocation bitmap of each downlink DCI does (type 0, TS 36.213 clause 7.1.6.1).
 *
 * It also keeps feedback of UEs that the cell has already released from the scheduler, which would
 * end the simulation with "No info find in HARQ buffer"; and it lets UEs that are out of CQI range
 * have their RRC messages (SignallingCqi).
 */
class PrbCountingScheduler : public ns3::FfMacScheduler
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static ns3::TypeId GetTypeId();

    PrbCountingScheduler();
    ~PrbCountingScheduler() override;

    /**
     * @brief Returns the downlink PRBs allocated since the last call, and starts from 0.
     * @return sum over the TTIs of the PRBs that carried data
     */
    uint64_t TakeAllocatedPrbs();

    /**
     * TracedCallback signature of DlDci.
     *
     * @param [in] dci the DCI
     * @param [in] prbs PRBs that it allocates
     */
    typedef void (*DlDciTracedCallback)(const ns3::DlDciListElement_s& dci, uint32_t prbs);

    // inherited from FfMacScheduler
    void SetFfMacCschedSapUser(ns3::FfMacCschedSapUser* user) override;
    void SetFfMacSchedSapUser(ns3::FfMacSchedSapUser* user) override;
    ns3::FfMacCschedSapProvider* GetFfMacCschedSapProvider() override;
    ns3::FfMacSchedSapProvider* GetFfMacSchedSapProvider() override;
    void SetLteFfrSapProvider(ns3::LteFfrSapProvider* provider) override;
    ns3::LteFfrSapUser* GetLteFfrSapUser() override;

  protected:
    void DoDispose() override;

  private:
    class CschedTap;
    class SchedTap;
    class SchedUserTap;

    /**
     * @param scheduler type of the scheduler that decides
     */
    void SetScheduler(ns3::TypeId scheduler);

    /**
     * @brief Counts the PRBs of one downlink DCI.
     * @param rbgBitmap bit i is set if RBG i is allocated
     * @return PRBs
     */
    uint32_t PrbsOf(uint32_t rbgBitmap) const;

    ns3::Ptr<ns3::FfMacScheduler> m_scheduler;    ///< the scheduler that decides
    std::unique_ptr<CschedTap> m_cschedTap;       ///< between MAC and scheduler, configuration
    std::unique_ptr<SchedTap> m_schedTap;         ///< between MAC and scheduler, data
    std::unique_ptr<SchedUserTap> m_schedUserTap; ///< between scheduler and MAC, data
    std::set<uint16_t> m_rntis;                   ///< RNTIs that are configured
    uint32_t m_dlBandwidthRb{0};                  ///< downlink bandwidth, in RBs
    uint64_t m_allocatedPrbs{0};                  ///< PRBs since the last TakeAllocatedPrbs
    ns3::TracedCallback<const ns3::DlDciListElement_s&, uint32_t> m_dlDci; ///< each DCI
};

} // namespace mlb

#endif // PRB_COUNTING_SCHEDULER_H
