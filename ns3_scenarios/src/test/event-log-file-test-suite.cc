// SPDX-License-Identifier: MIT

#include "event-log-file.h"
#include "test-file.h"

#include "ns3/test.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

using namespace mlb;

namespace
{

/**
 * @param path a file
 * @return what is in it
 */
std::string
ContentOf(const std::string& path)
{
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// It is absent until it is whole, keeps every number exactly, and a forked copy writes nothing.
class WriteTestCase : public ns3::TestCase
{
  public:
    WriteTestCase()
        : TestCase("rows")
    {
    }

  private:
    void DoRun() override
    {
        const std::string path = CreateTempDirFilename("rows.csv");
        {
            EventLogFile file(path, "time_s,cell");
            file.Write({0.1 + 0.2, -1});
            NS_TEST_EXPECT_MSG_EQ(std::filesystem::exists(path), false, "not yet whole");
            const pid_t copy = fork();
            if (copy == 0)
            {
                file.Write({7, 7});
                _exit(EXIT_SUCCESS);
            }
            waitpid(copy, nullptr, 0);
            file.Write({100000, 1e-7});
        }
        NS_TEST_EXPECT_MSG_EQ(ContentOf(path),
                              "time_s,cell\n0.30000000000000004,-1\n100000,0.0000001\n",
                              "content");
        NS_TEST_EXPECT_MSG_EQ(std::filesystem::exists(path + ".part"), false, "nothing is left");
    }
};

/// What exists is not touched, and what cannot be written is said at once.
class TraceRefusalTestCase : public ns3::TestCase
{
  public:
    TraceRefusalTestCase()
        : TestCase("refusals")
    {
    }

  private:
    void DoRun() override
    {
        const std::string path = WriteFile(CreateTempDirFilename("mine.csv"), "mine");
        std::string said = RefusalOf([&path] { EventLogFile(path, "x"); });
        NS_TEST_EXPECT_MSG_EQ(said.find("--event-log: "), 0U, said);
        NS_TEST_EXPECT_MSG_EQ(ContentOf(path), "mine", "content");
        said = RefusalOf([&path] { EventLogFile(path + "/nowhere.csv", "x"); });
        NS_TEST_EXPECT_MSG_EQ(said.find("--event-log: cannot write"), 0U, said);
        NS_TEST_EXPECT_MSG_NE(said.find("; cure: "), std::string::npos, "no cure in " << said);
    }
};

/// EventLogFile.
class EventLogFileTestSuite : public ns3::TestSuite
{
  public:
    EventLogFileTestSuite()
        : TestSuite("mlb-event-log-file")
    {
        AddTestCase(new WriteTestCase);
        AddTestCase(new TraceRefusalTestCase);
    }
};

EventLogFileTestSuite g_eventLogFileTestSuite; ///< the suite

} // namespace
