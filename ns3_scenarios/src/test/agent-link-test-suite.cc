// SPDX-License-Identifier: MIT

#include "agent-link.h"
#include "test-file.h"

#include "ns3/nstime.h"
#include "ns3/simulator.h"
#include "ns3/test.h"

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <zmq.h>

using namespace mlb;

namespace
{

/// An agent that hears one message, may answer it, and leaves.
class Agent
{
  public:
    /**
     * @param endpoint where it is
     * @param answers whether it answers before it leaves
     */
    Agent(const std::string& endpoint, bool answers)
        : m_context(zmq_ctx_new()),
          m_socket(zmq_socket(m_context, ZMQ_REP))
    {
        zmq_bind(m_socket, endpoint.c_str());
        m_thread = std::thread([this, answers] {
            const int timeoutMs = 5000;
            zmq_setsockopt(m_socket, ZMQ_RCVTIMEO, &timeoutMs, sizeof timeoutMs);
            zmq_recv(m_socket, nullptr, 0, 0);
            if (answers)
            {
                zmq_send(m_socket, "last word", 9, 0);
            }
            zmq_close(m_socket);
            zmq_ctx_term(m_context);
        });
    }

    ~Agent()
    {
        m_thread.join();
    }

  private:
    void* m_context;      ///< ZeroMQ context
    void* m_socket;       ///< ZeroMQ socket
    std::thread m_thread; ///< uses both
};

/**
 * @param act what may find that the agent is gone
 * @return what is said of it, or nothing
 */
template <class Act>
std::string
AgentErrorOf(Act act)
{
    try
    {
        act();
    }
    catch (const AgentError& error)
    {
        return error.what();
    }
    return "";
}

/// What an agent says before it leaves counts; that it left ends the simulation, long as it may be.
class LastWordTestCase : public ns3::TestCase
{
  public:
    LastWordTestCase()
        : TestCase("last word")
    {
    }

  private:
    void DoRun() override
    {
        // Again and again, for the answer and the end of the connection race each other.
        for (int i = 0; i < 100; ++i)
        {
            const std::string endpoint = "ipc://" + CreateTempDirFilename("wire");
            Agent agent(endpoint, true);
            AgentLink link(endpoint, 5, 5);
            NS_TEST_EXPECT_MSG_EQ(link.Exchange("request"), "last word", "attempt " << i);
            const std::string said = AgentErrorOf([] {
                ns3::Simulator::Stop(ns3::Seconds(1e7));
                ns3::Simulator::Run();
            });
            NS_TEST_EXPECT_MSG_EQ(said.substr(0, 14), "agent: it left", said);
            ns3::Simulator::Destroy();
        }
    }
};

/// An agent that leaves without an answer is not waited for.
class NoAnswerTestCase : public ns3::TestCase
{
  public:
    NoAnswerTestCase()
        : TestCase("no answer")
    {
    }

  private:
    void DoRun() override
    {
        const auto begin = std::chrono::steady_clock::now();
        const std::string endpoint = "ipc://" + CreateTempDirFilename("wire");
        Agent agent(endpoint, false);
        AgentLink link(endpoint, 600, 600);
        const std::string said = AgentErrorOf([&link] { link.Exchange("request"); });
        NS_TEST_EXPECT_MSG_EQ(said.substr(0, 14), "agent: it left", said);
        const auto spent = std::chrono::steady_clock::now() - begin;
        NS_TEST_EXPECT_MSG_EQ((spent < std::chrono::seconds(5)), true, "waited too long");
        ns3::Simulator::Destroy();
    }
};

/// Nobody is waited for as long as it was said, and no longer.
class NobodyTestCase : public ns3::TestCase
{
  public:
    NobodyTestCase()
        : TestCase("nobody")
    {
    }

  private:
    void DoRun() override
    {
        AgentLink link("ipc://" + CreateTempDirFilename("none"), 600, 0.1);
        const std::string said = AgentErrorOf([&link] { link.Exchange("request"); });
        NS_TEST_EXPECT_MSG_EQ(said.substr(0, 13), "agent: nobody", said);
        ns3::Simulator::Destroy();
    }
};

/// Endpoints on this machine, and others.
class EndpointTestCase : public ns3::TestCase
{
  public:
    EndpointTestCase()
        : TestCase("endpoints")
    {
    }

  private:
    void DoRun() override
    {
        for (const std::string endpoint : {"ipc:///tmp/mlb-none",
                                           "tcp://127.0.0.1:5555",
                                           "tcp://127.1.2.3:5555",
                                           "tcp://localhost:5555"})
        {
            const std::string said = RefusalOf([&endpoint] { AgentLink(endpoint, 1, 1); });
            NS_TEST_EXPECT_MSG_EQ(said, "", endpoint);
        }
        for (const std::string endpoint : {"",
                                           "ipc://",
                                           "tcp://*:5555",
                                           "tcp://10.0.0.1:5555",
                                           "tcp://127.0.0.1",
                                           "tcp://127.0.0.1:5555@10.0.0.1:5555",
                                           "tcp://localhost.example.org:5555",
                                           "tcp://eth0;127.0.0.1:5555",
                                           "udp://127.0.0.1:5555",
                                           "inproc://here"})
        {
            const std::string said = RefusalOf([&endpoint] { AgentLink(endpoint, 1, 1); });
            NS_TEST_EXPECT_MSG_EQ(said.substr(0, 12), "--endpoint: ", endpoint);
        }
        ns3::Simulator::Destroy();
    }
};

/// AgentLink.
class AgentLinkTestSuite : public ns3::TestSuite
{
  public:
    AgentLinkTestSuite()
        : TestSuite("mlb-agent-link")
    {
        AddTestCase(new LastWordTestCase);
        AddTestCase(new NoAnswerTestCase);
        AddTestCase(new NobodyTestCase);
        AddTestCase(new EndpointTestCase);
    }
};

AgentLinkTestSuite g_agentLinkTestSuite; ///< the suite

} // namespace
