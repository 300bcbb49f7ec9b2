// SPDX-License-Identifier: MIT

#include "test-file.h"
#include "waypoints.h"

#include "ns3/test.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

using namespace mlb;

namespace
{

const std::string HEADER = "ue_id,time_s,x_m,y_m\n"; ///< line 1

/// A file that is as it should be.
class ReadWaypointsTestCase : public ns3::TestCase
{
  public:
    ReadWaypointsTestCase()
        : TestCase("tracks of two UEs, lines of both mixed")
    {
    }

  private:
    void DoRun() override
    {
        const std::string path = CreateTempDirFilename("waypoints.csv");
        WriteFile(path, HEADER + "1,0,-1.5,2\n0,0,10,20\n1,2.5,3e2,4\n0,2,11,21\n");
        const std::vector<Track> tracks = ReadWaypoints(path, 2, 2);
        NS_TEST_ASSERT_MSG_EQ(tracks.size(), 2U, "UEs");
        NS_TEST_ASSERT_MSG_EQ(tracks[0].size(), 2U, "knots of UE 0");
        NS_TEST_ASSERT_MSG_EQ(tracks[1].size(), 2U, "knots of UE 1");
        NS_TEST_EXPECT_MSG_EQ(tracks[0][1].timeS, 2, "time of UE 0");
        NS_TEST_EXPECT_MSG_EQ(tracks[0][1].xM, 11, "east of UE 0");
        NS_TEST_EXPECT_MSG_EQ(tracks[0][1].yM, 21, "north of UE 0");
        NS_TEST_EXPECT_MSG_EQ(tracks[1][0].xM, -1.5, "east of UE 1");
        NS_TEST_EXPECT_MSG_EQ(tracks[1][1].timeS, 2.5, "time of UE 1");
        NS_TEST_EXPECT_MSG_EQ(tracks[1][1].xM, 300, "east of UE 1 in the end");
    }
};

/// A file with a defect, and the start of what is said about it.
class WaypointRefusalTestCase : public ns3::TestCase
{
  public:
    /**
     * @param text the file
     * @param refusal how the message begins
     */
    WaypointRefusalTestCase(const std::string& text, const std::string& refusal)
        : TestCase(refusal),
          m_text(text),
          m_refusal(refusal)
    {
    }

  private:
    void DoRun() override
    {
        const std::string path = WriteFile(CreateTempDirFilename("waypoints.csv"), m_text);
        const std::string said = RefusalOf([&path] { ReadWaypoints(path, 2, 2); });
        NS_TEST_EXPECT_MSG_EQ(said.substr(0, m_refusal.size()), m_refusal, "of " << m_text);
        NS_TEST_EXPECT_MSG_NE(said.find("; cure: "), std::string::npos, "no cure in " << said);
    }

    std::string m_text;    ///< the file
    std::string m_refusal; ///< how the message begins
};

/// Knots that an agent sends.
class AppendTestCase : public ns3::TestCase
{
  public:
    AppendTestCase()
        : TestCase("knots that are there already, and those that follow")
    {
    }

  private:
    void DoRun() override
    {
        std::vector<Track> tracks{{{0, 0, 0}, {1, 5, 0}}, {{0, 9, 9}, {1, 9, 8}}};
        const Knots knots{1, {6, 6, 7, 7, 10, 0, 9, 7}};
        const std::vector<Track> appended = AppendKnots(tracks, knots, 1, 1, false);
        NS_TEST_ASSERT_MSG_EQ(appended[0].size(), 1U, "new knots of UE 0");
        NS_TEST_EXPECT_MSG_EQ(appended[0][0].timeS, 2, "time of UE 0");
        NS_TEST_EXPECT_MSG_EQ(appended[0][0].xM, 10, "east of UE 0");
        NS_TEST_EXPECT_MSG_EQ(tracks[0][1].xM, 5, "what was known stays");
        NS_TEST_EXPECT_MSG_EQ(tracks[1].back().yM, 7, "north of UE 1");
        NS_TEST_EXPECT_MSG_EQ(AppendKnots(tracks, knots, 1, 2, true)[0].size(), 0U, "at the end");

        const double nan = std::nan("");
        const std::vector<std::pair<Knots, std::string>> refused{
            {knots, "action.knots_m: they end at 2 s, but the interval at 2 s"},
            {{3, {0, nan, 9, 7}}, "action.knots_m of UE 0: not finite"},
            {{nan, {0, 0, 9, 7}}, "action.knots_m of UE 0: not finite"},
            {{3, {10, 0, 5000, 7}}, "action.knots_m of UE 1: the UE jumps by 4991 m"}};
        for (const auto& [sent, refusal] : refused)
        {
            const std::string said =
                RefusalOf([&, &wrong = sent] { AppendKnots(tracks, wrong, 1, 2, false); });
            NS_TEST_EXPECT_MSG_EQ(said.substr(0, refusal.size()), refusal, "of knots");
        }
    }
};

/// ReadWaypoints.
class WaypointsTestSuite : public ns3::TestSuite
{
  public:
    WaypointsTestSuite()
        : TestSuite("mlb-waypoints")
    {
        const std::string other = "1,0,0,0\n1,2,0,0\n";
        AddTestCase(new ReadWaypointsTestCase);
        AddTestCase(new AppendTestCase);
        AddTestCase(new WaypointRefusalTestCase("", "--waypoints: line 1"));
        AddTestCase(new WaypointRefusalTestCase("1 2 3\n", "--waypoints: line 1"));
        AddTestCase(new WaypointRefusalTestCase(HEADER + other, "waypoints ue_id 0: missing"));
        AddTestCase(new WaypointRefusalTestCase(HEADER + other + "0,0,0,0\n0,1.9,0,0\n",
                                                "waypoints ue_id 0: ends at 1.9 s"));
        AddTestCase(new WaypointRefusalTestCase(HEADER + "2,0,0,0\n", "waypoints line 2: ue_id 2"));
        AddTestCase(new WaypointRefusalTestCase(HEADER + "0,1,0,0\n", "waypoints line 2: time_s"));
        AddTestCase(
            new WaypointRefusalTestCase(HEADER + "0,0,0,0\n0,0,1,1\n", "waypoints line 3: time_s"));
        AddTestCase(new WaypointRefusalTestCase(HEADER + "0,0,0,0\n0,1,6000,8000\n",
                                                "waypoints line 3: the UE jumps by 10000 m"));
        AddTestCase(new WaypointRefusalTestCase(HEADER + "0,0,-1e308,0\n0,1,1e308,0\n",
                                                "waypoints line 3: the UE jumps by inf m"));
        for (const std::string line : {"0,0,0",
                                       "0,0,nan,0",
                                       "0,inf,0,0",
                                       "0,0,0,1e999",
                                       "0,0,0,0,0",
                                       "0,0,0,0x",
                                       "-1,0,0,0",
                                       "4294967296,0,0,0",
                                       "0, 0,0,0",

                                       "",
                                       "a,b,c,d"})
        {
            AddTestCase(
                new WaypointRefusalTestCase(HEADER + line + "\n",
                                            "waypoints line 2: '" + line + "' is not four"));
        }
    }
};

WaypointsTestSuite g_waypointsTestSuite; ///< the suite

} // namespace
