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

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

using namespace mlb;
using namespace ns3;
using nlohmann::json;

namespace
{

constexpr int64_t PERIOD_MS = 200;    ///< between L1 measurements
constexpr std::size_t UES = 40;       ///< that measure at once
constexpr int64_t CONNECTED_MS = 600; ///< by when they all are

/// A measurement report: when it is received, in ms, and the index of the cell that it names.
using Report = std::pair<int64_t, int>;

/// Connected UEs, each of which measures what a case of tests/reference/event_a3.json says.
class A3EventTestCase : public TestCase
{
  public:
    /**
     * @param cases some of the file
     */
    explicit A3EventTestCase(std::vector<json> cases)
        : TestCase(cases.front()["name"].get<std::string>() + " ... " +
                   cases.back()["name"].get<std::string>()),
          m_cases(std::move(cases))
    {
    }

  private:
    void DoRun() override
    {
        NodeContainer enbs(1);
        NodeContainer ues(m_cases.size());
        for (const NodeContainer& nodes : {enbs, ues})
        {
            for (uint32_t i = 0; i < nodes.GetN(); ++i)
            {
                nodes.Get(i)->AggregateObject(CreateObject<ConstantPositionMobilityModel>());
            }
        }
        auto helper = CreateObject<LteHelper>();
        Config::SetDefault("ns3::LteEnbRrc::SrsPeriodicity", UintegerValue(160));
        auto enb = DynamicCast<LteEnbNetDevice>(helper->InstallEnbDevice(enbs).Get(0));
        const NetDeviceContainer devices = helper->InstallUeDevice(ues);
        helper->Attach(devices, enb);
        enb->GetRrc()->TraceConnectWithoutContext(
            "RecvMeasurementReport",
            MakeCallback(&A3EventTestCase::ReceiveReport, this));

        m_received.resize(m_cases.size());
        Time end;
        for (std::size_t ue = 0; ue < m_cases.size(); ++ue)
        {
            auto rrc = DynamicCast<LteUeNetDevice>(devices.Get(ue))->GetRrc();
            end = std::max(end, Measure(rrc, enb->GetRrc(), m_cases[ue]));
        }
        Simulator::Stop(end);
        Simulator::Run();
        Simulator::Destroy();
        m_events.clear();

        for (std::size_t ue = 0; ue < m_cases.size(); ++ue)
        {
            const auto lastMs =
                PERIOD_MS * static_cast<int64_t>(m_cases[ue]["rsrp_dbm"].size() - 1);
            const bool inTime = m_received[ue] && m_received[ue]->first <= lastMs;
            const json found = inTime ? json(*m_received[ue]) : json();
            NS_TEST_EXPECT_MSG_EQ(found.dump(), m_cases[ue]["report"].dump(), m_cases[ue]["name"]);
        }
    }

    /**
     * @brief Lets a UE measure.
     * @param ue its RRC
     * @param enb that of the cell that serves it
     * @param given the case
     * @return when it is over
     */
    Time Measure(Ptr<LteUeRrc> ue, Ptr<LteEnbRrc> enb, const json& given)
    {
        auto algorithm = CreateObject<CioHandoverAlgorithm>();
        algorithm->SetHysteresis(given["hysteresis_db"]);
        algorithm->SetTimeToTrigger(MilliSeconds(given["time_to_trigger_ms"].get<int64_t>()));
        m_events.push_back(std::make_unique<A3Event>(given["a3_offset_db"],
                                                     ue,
                                                     std::vector<A3Event::Enb>{{enb, algorithm}}));
        A3Event* event = m_events.back().get();
        const auto configure = [algorithm](const std::vector<double>& ocnDb) {
            for (std::size_t i = 0; i < ocnDb.size(); ++i)
            {
                algorithm->SetOcn(i + 2, ocnDb[i]);
            }
        };
        configure(std::vector<double>(given["ocn_db"].at(0).size(), 0.0));
        Time time = MilliSeconds(CONNECTED_MS);
        for (std::size_t k = 0; k < given["rsrp_dbm"].size(); ++k)
        {
            const std::vector<double> rsrpDbm = given["rsrp_dbm"][k];
            Simulator::Schedule(time, [event, rsrpDbm] {
                for (std::size_t cell = rsrpDbm.size(); cell > 0; --cell)
                {
                    event->ReceiveMeasurement(0, cell, rsrpDbm[cell - 1], 0, cell == 1, 0);
                }
            });
            if (k < given["ocn_db"].size())
            {
                const std::vector<double> ocnDb = given["ocn_db"][k];
                Simulator::Schedule(time + NanoSeconds(1),
                                    [configure, ocnDb] { configure(ocnDb); });
            }
            time += MilliSeconds(PERIOD_MS);
        }
        return time;
    }

    /// Sink of the trace ns3::LteEnbRrc::RecvMeasurementReport.
    void ReceiveReport(uint64_t imsi, uint16_t, uint16_t, LteRrcSap::MeasurementReport report)
    {
        auto& first = m_received.at(imsi - 1);
        first =
            first.value_or(Report{Simulator::Now().GetMilliSeconds() - CONNECTED_MS,
                                  report.measResults.measResultListEutra.front().physCellId - 1});
    }

    const std::vector<json> m_cases;                ///< what the UEs measure
    std::vector<std::unique_ptr<A3Event>> m_events; ///< of the UEs
    std::vector<std::optional<Report>> m_received;  ///< what the eNB receives first of each
};

/// A triggered neighbour is reported until it has left for as long as it had to be better.
class A3EventRepetitionTestCase : public TestCase
{
  public:
    A3EventRepetitionTestCase()
        : TestCase("reports again each reportInterval until the leaving condition held")
    {
    }

  private:
    void DoRun() override
    {
        NodeContainer nodes(2);
        for (uint32_t i = 0; i < nodes.GetN(); ++i)
        {
            nodes.Get(i)->AggregateObject(CreateObject<ConstantPositionMobilityModel>());
        }
        auto helper = CreateObject<LteHelper>();
        auto enb = DynamicCast<LteEnbNetDevice>(
            helper->InstallEnbDevice(NodeContainer(nodes.Get(0))).Get(0));
        auto ue = DynamicCast<LteUeNetDevice>(
            helper->InstallUeDevice(NodeContainer(nodes.Get(1))).Get(0));
        helper->Attach(ue, enb);
        enb->GetRrc()->TraceConnectWithoutContext(
            "RecvMeasurementReport",
            MakeCallback(&A3EventRepetitionTestCase::ReceiveReport, this));
        auto algorithm = CreateObject<CioHandoverAlgorithm>();
        algorithm->SetOcn(2, 0);
        algorithm->SetHysteresis(1);
        algorithm->SetTimeToTrigger(MilliSeconds(256));
        A3Event event(0, ue->GetRrc(), {{enb->GetRrc(), algorithm}});
        // Filtered: -88 at 600 and 800 ms, then -89.5 (neither), -92.75 from 1200 ms: left.
        Time time = MilliSeconds(CONNECTED_MS);
        for (const double rsrpDbm : {-88.0, -88.0, -91.0, -96.0, -93.0, -93.0, -93.0})
        {
            Simulator::Schedule(time, [&event, rsrpDbm] {
                event.ReceiveMeasurement(0, 1, -90, 0, true, 0);
                event.ReceiveMeasurement(0, 2, rsrpDbm, 0, false, 0);
            });
            time += MilliSeconds(PERIOD_MS);
        }
        Simulator::Stop(time);
        Simulator::Run();
        Simulator::Destroy();

        const std::vector<int64_t> expected{856, 1096, 1336};
        NS_TEST_EXPECT_MSG_EQ(json(m_receivedMs).dump(), json(expected).dump(), "times in ms");
    }

    /// Sink of the trace ns3::LteEnbRrc::RecvMeasurementReport.
    void ReceiveReport(uint64_t, uint16_t, uint16_t, LteRrcSap::MeasurementReport)
    {
        m_receivedMs.push_back(Simulator::Now().GetMilliSeconds());
    }

    std::vector<int64_t> m_receivedMs; ///< when the eNB has received reports
};

/// A3Event on the cases of a file, UES at a time.
class A3EventTestSuite : public TestSuite
{
  public:
    A3EventTestSuite()
        : TestSuite("mlb-a3-event")
    {
        const char* path = std::getenv("MLB_EVENT_A3_CASES");
        const json cases = json::parse(std::ifstream(path ? path : REFERENCE "/event_a3.json"));
        for (std::size_t first = 0; first < cases.size(); first += UES)
        {
            const auto last = std::min(first + UES, cases.size());
            AddTestCase(new A3EventTestCase({cases.begin() + first, cases.begin() + last}));
        }
        AddTestCase(new A3EventRepetitionTestCase);
    }
};

A3EventTestSuite g_a3EventTestSuite; ///< the suite

} // namespace
