// SPDX-License-Identifier: MIT

#include "signalling-cqi.h"

#include "ns3/lte-common.h"
#include "ns3/simulator.h"
#include "ns3/test.h"

#include <cstdint>
#include <vector>

using namespace mlb;
using namespace ns3;

namespace
{

/**
 * @param cqi CQI of each subband
 * @return a report of subbands
 */
CqiListElement_s
ReportOf(const std::vector<uint8_t>& cqi)
{
    CqiListElement_s report;
    report.m_cqiType = CqiListElement_s::A30;
    for (const uint8_t value : cqi)
    {
        report.m_sbMeasResult.m_higherLayerSelected.push_back({});
        report.m_sbMeasResult.m_higherLayerSelected.back().m_sbCqi = {value};
    }
    return report;
}

/**
 * @param report a report of subbands
 * @return CQI of each subband
 */
std::vector<uint8_t>
CqiOf(const CqiListElement_s& report)
{
    std::vector<uint8_t> cqi;
    for (const auto& subband : report.m_sbMeasResult.m_higherLayerSelected)
    {
        cqi.push_back(subband.m_sbCqi.front());
    }
    return cqi;
}

/// What the scheduler is told before, while and after SRB1 waits.
class ChooseTestCase : public TestCase
{
  public:
    ChooseTestCase()
        : TestCase("while SRB1 waits")
    {
    }

  private:
    /// A vector of CQIs.
    using Cqi = std::vector<uint8_t>;

    void DoRun() override
    {
        const CqiListElement_s lost = ReportOf({0, 0});
        Expect(m_cqi.Choose(UE, lost), {0, 0}, "nothing waits");
        const CqiListElement_s* raised = m_cqi.Wait(UE);
        NS_TEST_ASSERT_MSG_NE(raised, nullptr, "the scheduler is told at once");
        Expect(*raised, {1, 1}, "the raised report");
        Expect(m_cqi.Choose(UE, lost), {1, 1}, "SRB1 waits");
        Expect(m_cqi.Choose(OTHER_UE, lost), {0, 0}, "another UE does not");
        Expect(m_cqi.Choose(UE, ReportOf({0, 3})), {0, 3}, "a UE that has a subband");
        NS_TEST_EXPECT_MSG_EQ(m_cqi.Wait(UE), nullptr, "in range there is nothing to raise");
        Simulator::Schedule(MilliSeconds(39), [this, lost] {
            Expect(m_cqi.Choose(UE, lost), {1, 1}, "it still counts as waiting");
        });
        Simulator::Schedule(MilliSeconds(41), [this, lost] {
            Expect(m_cqi.Choose(UE, lost), {0, 0}, "it no longer counts as waiting");
            m_cqi.Wait(UE);
            m_cqi.Release(UE);
            Expect(m_cqi.Choose(UE, lost), {0, 0}, "the RNTI belongs to another UE");
        });
        Simulator::Run();
        Simulator::Destroy();
    }

    /**
     * @param report a report
     * @param cqi what it should say
     * @param when for the message
     */
    void Expect(const CqiListElement_s& report, const Cqi& cqi, const std::string& when)
    {
        NS_TEST_EXPECT_MSG_EQ((CqiOf(report) == cqi), true, when);
    }

    static constexpr uint16_t UE = 4;       ///< RNTI
    static constexpr uint16_t OTHER_UE = 5; ///< RNTI

    SignallingCqi<CqiListElement_s> m_cqi; ///< what is tested
};

/// The SINR of the uplink is raised RB by RB.
class UplinkTestCase : public TestCase
{
  public:
    UplinkTestCase()
        : TestCase("uplink")
    {
    }

  private:
    void DoRun() override
    {
        FfMacSchedSapProvider::SchedUlCqiInfoReqParameters report{};
        for (const double sinrDb : {-7.0, 5.0, -2.5})
        {
            report.m_ulCqi.m_sinr.push_back(LteFfConverter::double2fpS11dot3(sinrDb));
        }
        NS_TEST_EXPECT_MSG_EQ(Raise(report), true, "two RBs are out of range");
        const std::vector<double> expected{-2, 5, -2};
        for (std::size_t rb = 0; rb < expected.size(); ++rb)
        {
            NS_TEST_EXPECT_MSG_EQ(LteFfConverter::fpS11dot3toDouble(report.m_ulCqi.m_sinr[rb]),
                                  expected[rb],
                                  "SINR of RB " << rb);
        }
        NS_TEST_EXPECT_MSG_EQ(Raise(report), false, "none is any more");
    }
};

/// SignallingCqi.
class SignallingCqiTestSuite : public TestSuite
{
  public:
    SignallingCqiTestSuite()
        : TestSuite("mlb-signalling-cqi")
    {
        AddTestCase(new ChooseTestCase);
        AddTestCase(new UplinkTestCase);
    }
};

SignallingCqiTestSuite g_signallingCqiTestSuite; ///< the suite

} // namespace
