// SPDX-License-Identifier: MIT

#include "a3-event.h"
#include "cio-handover-algorithm.h"

#include "ns3/constant-position-mobility-model.h"
#include "ns3/lte-common.h"
#include "ns3/lte-enb-net-device.h"
#include "ns3/lte-helper.h"
#include "ns3/lte-ue-net-device.h"
#include "ns3/node-container.h"
#include "ns3/simulator.h"
#include "ns3/test.h"

#include <cstdint>
#include <utility>
#include <vector>

using namespace mlb;
using namespace ns3;

namespace
{

constexpr uint16_t SERVING = 1; ///< cell ID of the only cell there is
constexpr uint16_t PLAIN = 2;   ///< cell ID of a neighbour, Ocn = 0
constexpr uint16_t FAVORED = 3; ///< cell ID of a neighbour, Ocn = 3 dB

/// L1 measurements of one instant, in dBm.
struct Sample
{
    double servingDbm; ///< of SERVING
    double plainDbm;   ///< of PLAIN
    double favoredDbm; ///< of FAVORED
};

/// A measurement report: when it is received, in ms, and the cell that it names.
using Report = std::pair<int64_t, uint16_t>;

/// A connected UE takes a sample each 200 ms from 400 ms; Hys = 1 dB, timeToTrigger = 256 ms.
class A3EventTestCase : public TestCase
{
  public:
    /**
     * @param name of the case
     * @param samples what the UE measures
     * @param reports what the eNB is to receive
     */
    A3EventTestCase(const std::string& name,
                    std::vector<Sample> samples,
                    std::vector<Report> reports)
        : TestCase(name),
          m_samples(std::move(samples)),
          m_expected(std::move(reports))
    {
    }

  private:
    void DoRun() override
    {
        NodeContainer nodes(2);
        for (uint32_t i = 0; i < nodes.GetN(); ++i)
        {
            auto mobility = CreateObject<ConstantPositionMobilityModel>();
            mobility->SetPosition(Vector(100.0 * i, 0, 1.5));
            nodes.Get(i)->AggregateObject(mobility);
        }
        auto helper = CreateObject<LteHelper>();
        auto enb = DynamicCast<LteEnbNetDevice>(
            helper->InstallEnbDevice(NodeContainer(nodes.Get(0))).Get(0));
        auto ue = DynamicCast<LteUeNetDevice>(
            helper->InstallUeDevice(NodeContainer(nodes.Get(1))).Get(0));
        helper->Attach(ue, enb);
        enb->GetRrc()->TraceConnectWithoutContext(
            "RecvMeasurementReport",
            MakeCallback(&A3EventTestCase::ReceiveReport, this));

        auto algorithm = CreateObject<CioHandoverAlgorithm>();
        algorithm->SetOcn(PLAIN, 0);
        algorithm->SetOcn(FAVORED, 3);
        algorithm->SetHysteresis(1);
        algorithm->SetTimeToTrigger(MilliSeconds(256));
        A3Event event(0, ue->GetRrc(), {{enb->GetRrc(), algorithm}});
        Time time = MilliSeconds(400);
        for (const Sample& sample : m_samples)
        {
            Simulator::Schedule(time, [&event, sample] {
                event.ReceiveMeasurement(0, PLAIN, sample.plainDbm, 0, false, 0);
                event.ReceiveMeasurement(0, SERVING, sample.servingDbm, 0, true, 0);
                event.ReceiveMeasurement(0, FAVORED, sample.favoredDbm, 0, false, 0);
            });
            time += MilliSeconds(200);
        }
        Simulator::Stop(time);
        Simulator::Run();
        Simulator::Destroy();

        NS_TEST_ASSERT_MSG_EQ(m_received.size(), m_expected.size(), "number of reports");
        for (std::size_t i = 0; i < m_expected.size(); ++i)
        {
            NS_TEST_EXPECT_MSG_EQ(m_received[i].first, m_expected[i].first, "time of report " << i);
            NS_TEST_EXPECT_MSG_EQ(m_received[i].second,
                                  m_expected[i].second,
                                  "cell of report " << i);
        }
    }

    /// Sink of the trace ns3::LteEnbRrc::RecvMeasurementReport.
    void ReceiveReport(uint64_t, uint16_t, uint16_t, LteRrcSap::MeasurementReport report)
    {
        m_received.emplace_back(Simulator::Now().GetMilliSeconds(),
                                report.measResults.measResultListEutra.front().physCellId);
    }

    const std::vector<Sample> m_samples;  ///< what the UE measures
    const std::vector<Report> m_expected; ///< what the eNB is to receive
    std::vector<Report> m_received;       ///< what it has received
};

/// A3Event.
class A3EventTestSuite : public TestSuite
{
  public:
    A3EventTestSuite()
        : TestSuite("mlb-a3-event")
    {
        const Sample strong{-90, -88, -100};
        AddTestCase(new A3EventTestCase("reports when due, and at each instant from then",
                                        {strong, strong, strong},
                                        {{656, PLAIN}, {800, PLAIN}}));
        AddTestCase(new A3EventTestCase("must be better by more than the hysteresis",
                                        {{-90, -89, -92}, {-90, -89, -92}, {-90, -89, -92}},
                                        {}));
        AddTestCase(new A3EventTestCase("the offset counts",
                                        {{-90, -89, -91.9}, {-90, -89, -91.9}},
                                        {{656, FAVORED}}));
        AddTestCase(new A3EventTestCase("the greatest with its offset is named",
                                        {{-90, -87, -89}, {-90, -87, -89}},
                                        {{656, FAVORED}}));
        // The filter takes half of each sample: (-88 - 95) / 2 is below -91, (-88 - 93.8) / 2 is
        // not.
        AddTestCase(new A3EventTestCase("leaves when worse by more than the hysteresis",
                                        {strong, {-90, -95, -100}},
                                        {}));
        AddTestCase(new A3EventTestCase("stays while worse by less",
                                        {strong, {-90, -93.8, -100}},
                                        {{656, PLAIN}}));
        // At 600 ms, 0.5 * (-92 - 86) = -89 is not enough; at 800 ms, -88.5 is.
        AddTestCase(new A3EventTestCase("enters when the filtered value does",
                                        {{-90, -92, -100}, {-90, -86, -100}, strong, strong},
                                        {{1056, PLAIN}}));
    }
};

A3EventTestSuite g_a3EventTestSuite; ///< the suite

} // namespace
