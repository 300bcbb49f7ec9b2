// SPDX-License-Identifier: MIT

#include "prb-counting-scheduler.h"

#include "ns3/object-factory.h"
#include "ns3/rr-ff-mac-scheduler.h"
#include "ns3/string.h"
#include "ns3/test.h"
#include "ns3/type-id.h"

#include <cstdint>
#include <vector>

using namespace mlb;
using namespace ns3;

namespace
{

/// The side of the MAC: notes what the scheduler grants.
class MacRecorder : public FfMacSchedSapUser, public FfMacCschedSapUser
{
  public:
    void SchedDlConfigInd(const SchedDlConfigIndParameters& params) override
    {
        for (const auto& data : params.m_buildDataList)
        {
            m_dcis.push_back(data.m_dci);
        }
    }

    void SchedUlConfigInd(const SchedUlConfigIndParameters&) override
    {
    }

    void CschedUeConfigCnf(const CschedUeConfigCnfParameters&) override
    {
    }

    void CschedLcConfigCnf(const CschedLcConfigCnfParameters&) override
    {
    }

    void CschedLcReleaseCnf(const CschedLcReleaseCnfParameters&) override
    {
    }

    void CschedUeReleaseCnf(const CschedUeReleaseCnfParameters&) override
    {
    }

    void CschedUeConfigUpdateInd(const CschedUeConfigUpdateIndParameters&) override
    {
    }

    void CschedCellConfigUpdateInd(const CschedCellConfigUpdateIndParameters&) override
    {
    }

    void CschedCellConfigCnf(const CschedCellConfigCnfParameters&) override
    {
    }

    std::vector<DlDciListElement_s> m_dcis; ///< all downlink grants
};

/// One UE with data in ns-3's round robin scheduler, and feedback of a UE that was released.
class GrantTestCase : public TestCase
{
  public:
    /**
     * @param bandwidthRb downlink bandwidth, in RBs
     * @param grantedRb RBs of a TTI that one UE gets: whole RBGs, as many as ns-3 grants
     */
    GrantTestCase(uint8_t bandwidthRb, uint32_t grantedRb)
        : TestCase(std::to_string(bandwidthRb) + " RB"),
          m_bandwidthRb(bandwidthRb),
          m_grantedRb(grantedRb)
    {
    }

  private:
    void DoRun() override
    {
        ObjectFactory factory("mlb::PrbCountingScheduler");
        factory.Set("Scheduler", TypeIdValue(RrFfMacScheduler::GetTypeId()));
        const auto scheduler = factory.Create<PrbCountingScheduler>();
        uint64_t tracedPrbs = 0;
        scheduler->TraceConnectWithoutContext(
            "DlDci",
            Callback<void, const DlDciListElement_s&, uint32_t>(
                [&tracedPrbs](const DlDciListElement_s&, uint32_t prbs) { tracedPrbs += prbs; }));
        MacRecorder mac;
        scheduler->SetFfMacCschedSapUser(&mac);
        scheduler->SetFfMacSchedSapUser(&mac);
        ConfigureCell(*scheduler);
        ConfigureUe(*scheduler, UE);
        ConfigureUe(*scheduler, RELEASED_UE);
        FfMacCschedSapProvider::CschedUeReleaseReqParameters release{};
        release.m_rnti = RELEASED_UE;
        scheduler->GetFfMacCschedSapProvider()->CschedUeReleaseReq(release);

        FfMacSchedSapProvider::SchedDlRlcBufferReqParameters buffer{};
        buffer.m_rnti = UE;
        buffer.m_logicalChannelIdentity = LOGICAL_CHANNEL;
        buffer.m_rlcTransmissionQueueSize = 1000;
        scheduler->GetFfMacSchedSapProvider()->SchedDlRlcBufferReq(buffer);
        FfMacSchedSapProvider::SchedDlTriggerReqParameters trigger{};
        trigger.m_sfnSf = (1 << 4) | 1;
        DlInfoListElement_s late;
        late.m_rnti = RELEASED_UE;
        late.m_harqProcessId = 0;
        late.m_harqStatus = {DlInfoListElement_s::NACK};
        // Not dropped, this would end the simulation: "No info find in HARQ buffer".
        trigger.m_dlInfoList.push_back(late);
        scheduler->GetFfMacSchedSapProvider()->SchedDlTriggerReq(trigger);

        NS_TEST_ASSERT_MSG_EQ(mac.m_dcis.size(), 1U, "grants");
        NS_TEST_EXPECT_MSG_EQ(mac.m_dcis[0].m_rnti, UE, "RNTI");
        NS_TEST_EXPECT_MSG_EQ(tracedPrbs, m_grantedRb, "PRBs of the trace");
        NS_TEST_EXPECT_MSG_EQ(scheduler->TakeAllocatedPrbs(), m_grantedRb, "PRBs");
        NS_TEST_EXPECT_MSG_EQ(scheduler->TakeAllocatedPrbs(), 0U, "PRBs once taken");
        scheduler->Dispose();
    }

    /**
     * @param scheduler to tell the bandwidth
     */
    void ConfigureCell(PrbCountingScheduler& scheduler) const
    {
        FfMacCschedSapProvider::CschedCellConfigReqParameters cell{};
        cell.m_dlBandwidth = m_bandwidthRb;
        cell.m_ulBandwidth = m_bandwidthRb;
        scheduler.GetFfMacCschedSapProvider()->CschedCellConfigReq(cell);
    }

    /**
     * @param scheduler to tell of a UE with one logical channel
     * @param rnti of the UE
     */
    static void ConfigureUe(PrbCountingScheduler& scheduler, uint16_t rnti)
    {
        FfMacCschedSapProvider::CschedUeConfigReqParameters ue{};
        ue.m_rnti = rnti;
        scheduler.GetFfMacCschedSapProvider()->CschedUeConfigReq(ue);
        FfMacCschedSapProvider::CschedLcConfigReqParameters channel{};
        channel.m_rnti = rnti;
        LogicalChannelConfigListElement_s element{};
        element.m_logicalChannelIdentity = LOGICAL_CHANNEL;
        channel.m_logicalChannelConfigList.push_back(element);
        scheduler.GetFfMacCschedSapProvider()->CschedLcConfigReq(channel);
    }

    static constexpr uint16_t UE = 11;            ///< RNTI of the UE that has data
    static constexpr uint16_t RELEASED_UE = 12;   ///< RNTI of the UE that has gone
    static constexpr uint8_t LOGICAL_CHANNEL = 3; ///< of the data

    const uint8_t m_bandwidthRb; ///< downlink bandwidth, in RBs
    const uint32_t m_grantedRb;  ///< what one UE gets
};

/// PrbCountingScheduler.
class PrbCountingSchedulerTestSuite : public TestSuite
{
  public:
    PrbCountingSchedulerTestSuite()
        : TestSuite("mlb-prb-counting-scheduler")
    {
        // RBGs of 2, 3 and 4 RBs (TS 36.213 table 7.1.6.1-1).
        AddTestCase(new GrantTestCase(25, 24));
        AddTestCase(new GrantTestCase(50, 48));
        AddTestCase(new GrantTestCase(100, 100));
    }
};

PrbCountingSchedulerTestSuite g_prbCountingSchedulerTestSuite; ///< the suite

} // namespace
