// SPDX-License-Identifier: MIT

#include "agent-link.h"

#include "input-error.h"

#include "ns3/nstime.h"
#include "ns3/simulator.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <regex>
#include <sstream>
#include <unistd.h>
#include <zmq.h>

namespace mlb
{

namespace
{

const std::string ENDPOINT_CURE = "give ipc:///path or tcp://127.0.0.1:PORT";
/// The longest message that is taken; an agent that sends a longer one is disconnected.
constexpr int64_t MAX_MESSAGE_BYTES = 256 << 20;

/**
 * @param option its name
 * @param timeS a time-out, in s
 * @return it
 */
double
CheckedTime(const std::string& option, double timeS)
{
    constexpr double LONGEST_S = 1e6;
    if (!(timeS > 0 && timeS <= LONGEST_S))
    {
        throw InputError(option, "not within 0 to 1e6 s", "give seconds, such as 60");
    }
    return timeS;
}

/**
 * @param endpoint a ZeroMQ endpoint
 * @return it; nothing outside this machine may steer the simulation
 */
const std::string&
CheckedEndpoint(const std::string& endpoint)
{
    static const std::regex LOCAL(R"(ipc://.+|tcp://(127(\.\d{1,3}){3}|localhost):\d+)");
    if (!std::regex_match(endpoint, LOCAL))
    {
        throw InputError("--endpoint", "'" + endpoint + "' is not on this machine", ENDPOINT_CURE);
    }
    return endpoint;
}

/// Closes a ZeroMQ socket.
void
Close(void* socket)
{
    zmq_close(socket);
}

} // namespace

AgentLink::AgentLink(const std::string& endpoint, double timeoutS, double connectTimeoutS)
    : m_endpoint(CheckedEndpoint(endpoint)),
      m_timeoutS(CheckedTime("--timeout-s", timeoutS)),
      m_connectTimeoutS(CheckedTime("--connect-timeout-s", connectTimeoutS)),
      m_owner(getpid()),
      m_context(zmq_ctx_new(), [](void* context) { zmq_ctx_term(context); }),
      m_socket(zmq_socket(m_context.get(), ZMQ_REQ), Close),
      m_monitor(zmq_socket(m_context.get(), ZMQ_PAIR), Close)
{
    const int lingerMs = 0;
    zmq_setsockopt(m_socket.get(), ZMQ_LINGER, &lingerMs, sizeof lingerMs);
    zmq_setsockopt(m_socket.get(), ZMQ_MAXMSGSIZE, &MAX_MESSAGE_BYTES, sizeof MAX_MESSAGE_BYTES);
    zmq_socket_monitor(m_socket.get(),
                       "inproc://monitor",
                       ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
    zmq_connect(m_monitor.get(), "inproc://monitor");
    if (zmq_connect(m_socket.get(), endpoint.c_str()) != 0)
    {
        throw InputError("--endpoint",
                         "'" + endpoint + "': " + zmq_strerror(zmq_errno()),
                         ENDPOINT_CURE);
    }
    ns3::Simulator::ScheduleNow(&AgentLink::Watch, this);
}

AgentLink::~AgentLink() = default;

std::string
AgentLink::Exchange(const std::string& request)
{
    CheckAgent();
    // Never blocks: a REQ socket queues its one message until the agent is there.
    if (zmq_send(m_socket.get(), request.data(), request.size(), ZMQ_DONTWAIT) < 0)
    {
        throw AgentError("agent: cannot send to " + m_endpoint + ": " + zmq_strerror(zmq_errno()));
    }
    const auto since = Clock::now();
    while (true)
    {
        // In this order, for what the agent said before it left counts.
        const bool isGone = IsAgentGone();
        if (std::string answer; Receive(answer))
        {
            return answer;
        }
        if (isGone)
        {
            CheckAgent();
        }
        std::array<zmq_pollitem_t, 2> items{
            {{m_socket.get(), 0, ZMQ_POLLIN, 0}, {m_monitor.get(), 0, ZMQ_POLLIN, 0}}};
        zmq_poll(items.data(), items.size(), RemainingMs(since));
    }
}

void
AgentLink::Watch()
{
    if (getpid() == m_owner)
    {
        CheckAgent();
        ns3::Simulator::Schedule(ns3::MilliSeconds(100), &AgentLink::Watch, this);
    }
}

void
AgentLink::CheckAgent()
{
    if (IsAgentGone())
    {
        throw AgentError("agent: it left " + m_endpoint +
                         " before the end; cure: look why, and start both again");
    }
}

bool
AgentLink::IsAgentGone()
{
    // An event is a message of two parts: its number (16 bit) and a value, and the address.
    std::array<char, 6> number{};
    while (zmq_recv(m_monitor.get(), number.data(), number.size(), ZMQ_DONTWAIT) >= 0)
    {
        zmq_recv(m_monitor.get(), nullptr, 0, 0);
        uint16_t event = 0;
        std::memcpy(&event, number.data(), sizeof event);
        m_isConnected = true;
        m_isGone |= event == ZMQ_EVENT_DISCONNECTED;
    }
    return m_isGone;
}

bool
AgentLink::Receive(std::string& answer)
{
    zmq_msg_t message;
    zmq_msg_init(&message);
    const std::unique_ptr<zmq_msg_t, void (*)(zmq_msg_t*)> closer(
        &message,
        [](zmq_msg_t* received) { zmq_msg_close(received); });
    if (zmq_msg_recv(&message, m_socket.get(), ZMQ_DONTWAIT) < 0)
    {
        return false;
    }
    if (zmq_msg_more(&message) != 0)
    {
        throw AgentError("agent: the answer has several parts; cure: use a client of the ns3-gym "
                         "protocol");
    }
    answer.assign(static_cast<const char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
    return true;
}

long
AgentLink::RemainingMs(Clock::time_point since) const
{
    const double limitS = m_isConnected ? m_timeoutS : std::min(m_connectTimeoutS, m_timeoutS);
    const double waitedS = std::chrono::duration<double>(Clock::now() - since).count();
    if (waitedS >= limitS)
    {
        std::ostringstream what;
        what << "agent: " << (m_isConnected ? "no answer from " : "nobody at ") << m_endpoint
             << " within " << limitS << " s; cure: "
             << (m_isConnected ? "raise --timeout-s if it is slow"
                               : "start the agent first, or raise --connect-timeout-s");
        throw AgentError(what.str());
    }
    return std::lround(std::ceil((limitS - waitedS) * 1e3));
}

} // namespace mlb
