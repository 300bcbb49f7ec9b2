// SPDX-License-Identifier: MIT

#ifndef GYM_BRIDGE_H
#define GYM_BRIDGE_H

#include "action-range.h"
#include "agent-link.h"
#include "fork-pool.h"
#include "waypoints.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace google::protobuf
{
class Message;
}

namespace ns3opengym
{
class DataContainer;
class EnvActMsg;
class EnvStateMsg;
} // namespace ns3opengym

namespace mlb
{

/// A named array of numbers, one entry of the observation.
struct Box
{
    std::string name;            ///< key in the observation
    std::vector<uint32_t> shape; ///< size of each dimension
    std::vector<double> values;  ///< row by row
};

/// What the agent learns after a step.
struct State
{
    std::vector<Box> observation; ///< names, shapes and values
    double reward;                ///< the reward
    bool isOver;                  ///< whether this is the last state
    std::string info;             ///< extra information, JSON
};

/// What an agent sends for a step.
struct Action
{
    std::vector<double> control; ///< a number for each ActionRange
    Knots knots;                 ///< of live UEs, else without meaning
};

/// Simulates one step with an action and returns the state after it.
using Stepper = std::function<State(const Action& action)>;

/**
 * @brief The simulator's end of the ns3-gym protocol.
 *
 * Beyond the protocol, an agent may ask for branches instead of acting: the futures of the state
 * it has just received, one for each sequence of actions it names. An action is a Box of what is
 * controlled; if UEs are live, a Dict of that, "control", and their knots in the coming interval:
 * "knots_from_s" and "knots_m". There are then no branches, for the agent's traffic has none.
 */
class GymBridge
{
  public:
    /**
     * @param link the connection to the agent, which must outlive this
     * @param branches runs the branches
     */
    GymBridge(AgentLink& link, const ForkPool& branches);

    /**
     * @brief Announces the spaces.
     * @param observation names and shapes of the observation; the values do not matter
     * @param ranges components of what is controlled
     * @param knotsShape number of knots in an action, of UEs, and 2, if UEs are live; else empty
     * @return whether the agent wants to go on
     * @throws AgentError no answer in time
     */
    bool Initialize(const std::vector<Box>& observation,
                    const std::vector<ActionRange>& ranges,
                    const std::vector<uint32_t>& knotsShape);

    /**
     * @brief Sends a state and waits for the action; serves requests for branches until it comes.
     * @param state the state; the answer to the last one counts for nothing
     * @param step simulates a step; only called in forked copies of the process
     * @return the action, or nothing if the agent asks to stop or the episode is over
     * @throws AgentError no answer in time
     * @throws InputError the action has the wrong length or a value out of range
     */
    std::optional<Action> Step(const State& state, const Stepper& step);

  private:
    /**
     * @param container an action as it came
     * @return it
     * @throws InputError it has the wrong form or length, or a value out of range
     */
    Action Unpack(const ns3opengym::DataContainer& container) const;

    /**
     * @brief Simulates the branches that an agent asks for.
     * @param request their actions
     * @param step simulates a step
     * @return what became of each
     * @throws InputError an action has the wrong length or a value out of range, there is no
     * time-out, or UEs are live
     */
    ns3opengym::EnvStateMsg Branch(const ns3opengym::EnvActMsg& request, const Stepper& step) const;

    /**
     * @brief Sends a message and waits for the answer.
     * @param request the message
     * @param reply set to the answer
     */
    void Exchange(const google::protobuf::Message& request, google::protobuf::Message& reply);

    AgentLink& m_link;                  ///< the connection to the agent
    ForkPool m_branches;                ///< runs the branches
    std::vector<ActionRange> m_ranges;  ///< components of what is controlled
    std::vector<uint32_t> m_knotsShape; ///< as in Initialize
};

} // namespace mlb

#endif // GYM_BRIDGE_H
