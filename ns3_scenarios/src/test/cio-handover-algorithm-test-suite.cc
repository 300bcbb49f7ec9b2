// SPDX-License-Identifier: MIT

#include "cio-handover-algorithm.h"

#include "ns3/object-factory.h"
#include "ns3/test.h"

#include <utility>
#include <vector>

using namespace mlb;

namespace
{

/// An eNB's RRC that only notes what it is asked for.
class HandoverRecorder : public ns3::LteHandoverManagementSapUser
{
  public:
    std::vector<uint8_t> AddUeMeasReportConfigForHandover(
        ns3::LteRrcSap::ReportConfigEutra) override
    {
        return {MEAS_ID};
    }

    void TriggerHandover(uint16_t rnti, uint16_t targetCellId) override
    {
        m_requests.emplace_back(rnti, targetCellId);
    }

    static constexpr uint8_t MEAS_ID = 3;                  ///< of its first configuration
    std::vector<std::pair<uint16_t, uint16_t>> m_requests; ///< (RNTI, cell ID of the target)
};

/// It is made by its name, keeps the last offset of each neighbour, and acts on reports.
class CioTestCase : public ns3::TestCase
{
  public:
    CioTestCase()
        : TestCase("offsets and requests")
    {
    }

  private:
    void DoRun() override
    {
        ns3::ObjectFactory factory("mlb::CioHandoverAlgorithm");
        const auto algorithm = factory.Create<CioHandoverAlgorithm>();
        algorithm->SetOcn(2, 3.5);
        algorithm->SetOcn(7, -6);
        algorithm->SetOcn(2, 1.25);
        NS_TEST_EXPECT_MSG_EQ(algorithm->GetOcn().size(), 2U, "neighbours");
        NS_TEST_EXPECT_MSG_EQ(algorithm->GetOcn().at(2), 1.25, "the last offset counts");
        NS_TEST_EXPECT_MSG_EQ(algorithm->GetOcn().at(7), -6, "offset of the other neighbour");

        algorithm->SetHysteresis(1.5);
        algorithm->SetTimeToTrigger(ns3::MilliSeconds(160));
        NS_TEST_EXPECT_MSG_EQ(algorithm->GetHysteresis(), 1.5, "hysteresis");
        NS_TEST_EXPECT_MSG_EQ(algorithm->GetTimeToTrigger(),
                              ns3::MilliSeconds(160),
                              "time to trigger");

        HandoverRecorder recorder;
        algorithm->SetLteHandoverManagementSapUser(&recorder);
        algorithm->Initialize();
        NS_TEST_EXPECT_MSG_EQ(algorithm->GetMeasId(), HandoverRecorder::MEAS_ID, "measId");
        ns3::LteRrcSap::MeasResults results{};
        algorithm->GetLteHandoverManagementSapProvider()->ReportUeMeas(4, results);
        NS_TEST_EXPECT_MSG_EQ(recorder.m_requests.size(), 0U, "requests without a neighbour");
        results.measResultListEutra.push_back({});
        results.measResultListEutra.back().physCellId = 7;
        algorithm->GetLteHandoverManagementSapProvider()->ReportUeMeas(4, results);
        NS_TEST_ASSERT_MSG_EQ(recorder.m_requests.size(), 1U, "requests");
        NS_TEST_EXPECT_MSG_EQ(recorder.m_requests[0].first, 4, "RNTI");
        NS_TEST_EXPECT_MSG_EQ(recorder.m_requests[0].second, 7, "target");
        algorithm->Dispose();
    }
};

/// CioHandoverAlgorithm.
class CioHandoverAlgorithmTestSuite : public ns3::TestSuite
{
  public:
    CioHandoverAlgorithmTestSuite()
        : TestSuite("mlb-cio-handover-algorithm")
    {
        AddTestCase(new CioTestCase);
    }
};

CioHandoverAlgorithmTestSuite g_cioHandoverAlgorithmTestSuite; ///< the suite

} // namespace
