// SPDX-License-Identifier: MIT

#include "prb-counting-scheduler.h"

#include "rbg-size.h"
#include "signalling-cqi.h"

#include "ns3/lte-vendor-specific-parameters.h"
#include "ns3/object-factory.h"
#include "ns3/pf-ff-mac-scheduler.h"
#include "ns3/trace-source-accessor.h"
#include "ns3/type-id.h"

#include <algorithm>
#include <bit>

namespace mlb
{

using namespace ns3;

NS_OBJECT_ENSURE_REGISTERED(PrbCountingScheduler);

namespace
{

/// Logical channel identity of SRB1, TS 36.331 clause 9.1.2.
constexpr uint8_t SRB1 = 1;
/// Logical channel group of SRB1, TS 36.331 clause 9.2.1.1; of no data bearer in ns-3.
constexpr std::size_t SRB_GROUP = 0;

/**
 * @brief Removes the elements of RNTIs that are not configured.
 * @param elements a list of structs with a field m_rnti
 * @param rntis RNTIs that are configured
 */
template <typename T>
void
DropReleased(std::vector<T>& elements, const std::set<uint16_t>& rntis)
{
    std::erase_if(elements, [&rntis](const T& element) { return !rntis.count(element.m_rnti); });
}

} // namespace

/// Drops what concerns released UEs on the way to the scheduler, and keeps SRB1 going.
class PrbCountingScheduler::SchedTap : public FfMacSchedSapProvider
{
  public:
    /**
     * @param owner the object that knows the RNTIs
     */
    explicit SchedTap(PrbCountingScheduler& owner)
        : m_owner(owner)
    {
    }

    void SchedDlRlcBufferReq(const SchedDlRlcBufferReqParameters& params) override
    {
        Next().SchedDlRlcBufferReq(params);
        const uint32_t waiting = params.m_rlcTransmissionQueueSize +
                                 params.m_rlcRetransmissionQueueSize + params.m_rlcStatusPduSize;
        if (params.m_logicalChannelIdentity != SRB1 || waiting == 0)
        {
            return;
        }
        if (const auto* raised = m_downlink.Wait(params.m_rnti))
        {
            SchedDlCqiInfoReqParameters report{};
            report.m_cqiList.push_back(*raised);
            Next().SchedDlCqiInfoReq(report);
        }
    }

    void SchedDlPagingBufferReq(const SchedDlPagingBufferReqParameters& params) override
    {
        Next().SchedDlPagingBufferReq(params);
    }

    void SchedDlMacBufferReq(const SchedDlMacBufferReqParameters& params) override
    {
        Next().SchedDlMacBufferReq(params);
    }

    void SchedDlTriggerReq(const SchedDlTriggerReqParameters& params) override
    {
        auto known = params;
        DropReleased(known.m_dlInfoList, m_owner.m_rntis);
        Next().SchedDlTriggerReq(known);
    }

    void SchedDlRachInfoReq(const SchedDlRachInfoReqParameters& params) override
    {
        Next().SchedDlRachInfoReq(params);
    }

    void SchedDlCqiInfoReq(const SchedDlCqiInfoReqParameters& params) override
    {
        auto known = params;
        DropReleased(known.m_cqiList, m_owner.m_rntis);
        for (CqiListElement_s& report : known.m_cqiList)
        {
            report = m_downlink.Choose(report.m_rnti, report);
        }
        Next().SchedDlCqiInfoReq(known);
    }

    void SchedUlTriggerReq(const SchedUlTriggerReqParameters& params) override
    {
        auto known = params;
        DropReleased(known.m_ulInfoList, m_owner.m_rntis);
        Next().SchedUlTriggerReq(known);
    }

    void SchedUlNoiseInterferenceReq(const SchedUlNoiseInterferenceReqParameters& params) override
    {
        Next().SchedUlNoiseInterferenceReq(params);
    }

    void SchedUlSrInfoReq(const SchedUlSrInfoReqParameters& params) override
    {
        Next().SchedUlSrInfoReq(params);
    }

    void SchedUlMacCtrlInfoReq(const SchedUlMacCtrlInfoReqParameters& params) override
    {
        auto known = params;
        DropReleased(known.m_macCeList, m_owner.m_rntis);
        Next().SchedUlMacCtrlInfoReq(known);
        for (const MacCeListElement_s& element : known.m_macCeList)
        {
            if (element.m_macCeType != MacCeListElement_s::BSR ||
                element.m_macCeValue.m_bufferStatus.at(SRB_GROUP) == 0)
            {
                continue;
            }
            if (const auto* raised = m_uplink.Wait(element.m_rnti))
            {
                Next().SchedUlCqiInfoReq(*raised);
            }
        }
    }

    void SchedUlCqiInfoReq(const SchedUlCqiInfoReqParameters& params) override
    {
        for (const auto& parameter : params.m_vendorSpecificList)
        {
            if (parameter.m_type == SRS_CQI_RNTI_VSP)
            {
                const auto rnti = DynamicCast<SrsCqiRntiVsp>(parameter.m_value)->GetRnti();
                Next().SchedUlCqiInfoReq(m_uplink.Choose(rnti, params));
                return;
            }
        }
        Next().SchedUlCqiInfoReq(params);
    }

    /**
     * @brief Forgets a UE.
     * @param rnti of the UE
     */
    void Release(uint16_t rnti)
    {
        m_downlink.Release(rnti);
        m_uplink.Release(rnti);
    }

  private:
    /// @return where calls go on to
    FfMacSchedSapProvider& Next() const
    {
        return *m_owner.m_scheduler->GetFfMacSchedSapProvider();
    }

    PrbCountingScheduler& m_owner;                       ///< the object that knows the RNTIs
    SignallingCqi<CqiListElement_s> m_downlink;          ///< what it is told of UEs
    SignallingCqi<SchedUlCqiInfoReqParameters> m_uplink; ///< the same, from their SRS
};

/// Learns bandwidth and RNTIs from what the MAC configures.
class PrbCountingScheduler::CschedTap : public FfMacCschedSapProvider
{
  public:
    /**
     * @param owner the object whose state to keep
     */
    explicit CschedTap(PrbCountingScheduler& owner)
        : m_owner(owner)
    {
    }

    void CschedCellConfigReq(const CschedCellConfigReqParameters& params) override
    {
        m_owner.m_dlBandwidthRb = params.m_dlBandwidth;
        Next().CschedCellConfigReq(params);
    }

    void CschedUeConfigReq(const CschedUeConfigReqParameters& params) override
    {
        m_owner.m_rntis.insert(params.m_rnti);
        Next().CschedUeConfigReq(params);
    }

    void CschedLcConfigReq(const CschedLcConfigReqParameters& params) override
    {
        Next().CschedLcConfigReq(params);
    }

    void CschedLcReleaseReq(const CschedLcReleaseReqParameters& params) override
    {
        Next().CschedLcReleaseReq(params);
    }

    void CschedUeReleaseReq(const CschedUeReleaseReqParameters& params) override
    {
        m_owner.m_rntis.erase(params.m_rnti);
        m_owner.m_schedTap->Release(params.m_rnti);
        Next().CschedUeReleaseReq(params);
    }

  private:
    /// @return where calls go on to
    FfMacCschedSapProvider& Next() const
    {
        return *m_owner.m_scheduler->GetFfMacCschedSapProvider();
    }

    PrbCountingScheduler& m_owner; ///< the object whose state to keep
};

/// Counts the PRBs of the downlink DCIs on the way to the MAC.
class PrbCountingScheduler::SchedUserTap : public FfMacSchedSapUser
{
  public:
    /**
     * @param owner the object that counts
     * @param next where calls go on to
     */
    SchedUserTap(PrbCountingScheduler& owner, FfMacSchedSapUser& next)
        : m_owner(owner),
          m_next(next)
    {
    }

    void SchedDlConfigInd(const SchedDlConfigIndParameters& params) override
    {
        for (const auto& data : params.m_buildDataList)
        {
            const uint32_t prbs = m_owner.PrbsOf(data.m_dci.m_rbBitmap);
            m_owner.m_allocatedPrbs += prbs;
            m_owner.m_dlDci(data.m_dci, prbs);
        }
        m_next.SchedDlConfigInd(params);
    }

    void SchedUlConfigInd(const SchedUlConfigIndParameters& params) override
    {
        m_next.SchedUlConfigInd(params);
    }

  private:
    PrbCountingScheduler& m_owner; ///< the object that counts
    FfMacSchedSapUser& m_next;     ///< where calls go on to
};

TypeId
PrbCountingScheduler::GetTypeId()
{
    static TypeId tid = TypeId("mlb::PrbCountingScheduler")
                            .SetParent<FfMacScheduler>()
                            .SetGroupName("Lte")
                            .AddConstructor<PrbCountingScheduler>()
                            .AddAttribute("Scheduler",
                                          "Type of the scheduler that decides",
                                          TypeId::ATTR_CONSTRUCT | TypeId::ATTR_SET,
                                          TypeIdValue(PfFfMacScheduler::GetTypeId()),
                                          MakeTypeIdAccessor(&PrbCountingScheduler::SetScheduler),
                                          MakeTypeIdChecker())
                            .AddTraceSource("DlDci",
                                            "A downlink DCI and the PRBs that it allocates",
                                            MakeTraceSourceAccessor(&PrbCountingScheduler::m_dlDci),
                                            "mlb::PrbCountingScheduler::DlDciTracedCallback");
    return tid;
}

PrbCountingScheduler::PrbCountingScheduler()
    : m_cschedTap(std::make_unique<CschedTap>(*this)),
      m_schedTap(std::make_unique<SchedTap>(*this))
{
}

PrbCountingScheduler::~PrbCountingScheduler() = default;

void
PrbCountingScheduler::SetScheduler(TypeId scheduler)
{
    ObjectFactory factory;
    factory.SetTypeId(scheduler);
    m_scheduler = factory.Create<FfMacScheduler>();
}

void
PrbCountingScheduler::DoDispose()
{
    m_scheduler->Dispose();
    FfMacScheduler::DoDispose();
}

uint64_t
PrbCountingScheduler::TakeAllocatedPrbs()
{
    return std::exchange(m_allocatedPrbs, 0);
}

uint32_t
PrbCountingScheduler::PrbsOf(uint32_t rbgBitmap) const
{
    // The last RBG is smaller if the bandwidth is not a multiple of the RBG size.
    const uint32_t rbgSizeRb = RbgSizeRb(m_dlBandwidthRb);
    const uint32_t lastRbg = (m_dlBandwidthRb - 1) / rbgSizeRb;
    const uint32_t missingRb = (lastRbg + 1) * rbgSizeRb - m_dlBandwidthRb;
    const bool hasLast = (rbgBitmap >> lastRbg) & 1U;
    return std::popcount(rbgBitmap) * rbgSizeRb - (hasLast ? missingRb : 0);
}

void
PrbCountingScheduler::SetFfMacCschedSapUser(FfMacCschedSapUser* user)
{
    m_scheduler->SetFfMacCschedSapUser(user);
}

void
PrbCountingScheduler::SetFfMacSchedSapUser(FfMacSchedSapUser* user)
{
    m_schedUserTap = std::make_unique<SchedUserTap>(*this, *user);
    m_scheduler->SetFfMacSchedSapUser(m_schedUserTap.get());
}

FfMacCschedSapProvider*
PrbCountingScheduler::GetFfMacCschedSapProvider()
{
    return m_cschedTap.get();
}

FfMacSchedSapProvider*
PrbCountingScheduler::GetFfMacSchedSapProvider()
{
    return m_schedTap.get();
}

void
PrbCountingScheduler::SetLteFfrSapProvider(LteFfrSapProvider* provider)
{
    m_scheduler->SetLteFfrSapProvider(provider);
}

LteFfrSapUser*
PrbCountingScheduler::GetLteFfrSapUser()
{
    return m_scheduler->GetLteFfrSapUser();
}

} // namespace mlb
