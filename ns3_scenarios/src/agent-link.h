// SPDX-License-Identifier: MIT

#ifndef AGENT_LINK_H
#define AGENT_LINK_H

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/types.h>

namespace mlb
{

/// The agent does not answer, or not in the language of the protocol. Ends the program with code 1.
class AgentError : public std::runtime_error
{
  public:
    using std::runtime_error::runtime_error;
};

/**
 * @brief The connection to an agent on this machine: ZeroMQ REQ, one message for one answer.
 *
 * An agent may take its time, but if it is gone this notices at once: while it waits for an answer,
 * and every 100 ms of simulated time while the simulation runs. An agent never comes back, for
 * another one would not know what the first was told.
 */
class AgentLink
{
  public:
    /**
     * @brief Connects to the agent; it need not be there yet.
     * @param endpoint ZeroMQ endpoint that the agent binds, ipc:// or tcp:// of the loopback
     * @param timeoutS how long to wait for any answer, in s
     * @param connectTimeoutS how long to wait for the agent to be there, in s
     * @throws InputError the endpoint is elsewhere or none, or a time is not a time
     */
    AgentLink(const std::string& endpoint, double timeoutS, double connectTimeoutS);
    ~AgentLink();

    AgentLink(const AgentLink&) = delete;
    AgentLink& operator=(const AgentLink&) = delete;

    /**
     * @brief Sends a message and waits for the answer.
     * @param request the message
     * @return the answer
     * @throws AgentError the agent is gone or does not answer in time
     */
    std::string Exchange(const std::string& request);

    /// Throws AgentError if the agent is gone.
    void CheckAgent();

  private:
    using Clock = std::chrono::steady_clock;

    /// Throws AgentError if the agent is gone; else looks again later in the simulation.
    void Watch();

    /// @return whether the agent has been there and is gone, as ZeroMQ tells
    bool IsAgentGone();

    /**
     * @brief Takes an answer if one is there.
     * @param answer set to it
     * @return whether there was one
     * @throws AgentError it has several parts
     */
    bool Receive(std::string& answer);

    /**
     * @param since when the wait for an answer began
     * @return time left until it is given up, in ms
     * @throws AgentError none
     */
    long RemainingMs(Clock::time_point since) const;

    const std::string m_endpoint;                     ///< where the agent is
    const double m_timeoutS;                          ///< for any answer, in s
    const double m_connectTimeoutS;                   ///< for the agent to be there, in s
    const pid_t m_owner;                              ///< a forked copy may not use the sockets
    bool m_isConnected{false};                        ///< whether the agent has been there
    bool m_isGone{false};                             ///< whether it left
    std::unique_ptr<void, void (*)(void*)> m_context; ///< ZeroMQ context
    std::unique_ptr<void, void (*)(void*)> m_socket;  ///< ZeroMQ socket, of type REQ
    std::unique_ptr<void, void (*)(void*)> m_monitor; ///< tells of the connection, of type PAIR
};

} // namespace mlb

#endif // AGENT_LINK_H
