// SPDX-License-Identifier: MIT

#include "gym-bridge.h"

#include "input-error.h"
#include "ns3gym.pb.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <unistd.h>

namespace mlb
{

namespace
{

const std::string ACTION_CURE = "send one CIO in dB for each neighbour pair";

/**
 * @param shape size of each dimension
 * @param limit greatest absolute value of an element
 * @return a Box space of doubles
 */
ns3opengym::SpaceDescription
BoxSpace(const std::vector<uint32_t>& shape, double limit)
{
    ns3opengym::BoxSpace box;
    box.set_low(static_cast<float>(-limit));
    box.set_high(static_cast<float>(limit));
    box.set_dtype(ns3opengym::DOUBLE);
    box.mutable_shape()->Assign(shape.begin(), shape.end());
    ns3opengym::SpaceDescription description;
    description.set_type(ns3opengym::Box);
    description.mutable_space()->PackFrom(box);
    return description;
}

/**
 * @param observation the arrays
 * @return them as a Dict of Boxes
 */
ns3opengym::DataContainer
Pack(const std::vector<Box>& observation)
{
    ns3opengym::DictDataContainer dict;
    for (const Box& box : observation)
    {
        ns3opengym::BoxDataContainer data;
        data.set_dtype(ns3opengym::DOUBLE);
        data.mutable_shape()->Assign(box.shape.begin(), box.shape.end());
        data.mutable_doubledata()->Assign(box.values.begin(), box.values.end());
        ns3opengym::DataContainer* element = dict.add_element();
        element->set_type(ns3opengym::Box);
        element->set_name(box.name);
        element->mutable_data()->PackFrom(data);
    }
    ns3opengym::DataContainer container;
    container.set_type(ns3opengym::Dict);
    container.mutable_data()->PackFrom(dict);
    return container;
}

/**
 * @param container an action as it came
 * @return its values; other clients send a Box declared as double in single precision
 */
std::vector<double>
Unpack(const ns3opengym::DataContainer& container)
{
    ns3opengym::BoxDataContainer box;
    if (container.type() != ns3opengym::Box || !container.data().UnpackTo(&box))
    {
        throw InputError("action", "not a Box", ACTION_CURE);
    }
    if (box.doubledata_size() > 0)
    {
        return {box.doubledata().begin(), box.doubledata().end()};
    }
    return {box.floatdata().begin(), box.floatdata().end()};
}

/**
 * @brief Checks an action before anything uses it.
 * @param action the action
 * @param length its length
 * @param limit greatest absolute value of a component
 */
void
Check(const std::vector<double>& action, uint32_t length, double limit)
{
    constexpr double FLOAT_ROUNDING = 1e-6;
    if (action.size() != length)
    {
        throw InputError("action",
                         std::to_string(action.size()) + " values instead of " +
                             std::to_string(length),
                         ACTION_CURE);
    }
    for (std::size_t i = 0; i < action.size(); ++i)
    {
        // Written so that NaN fails.
        if (!(std::abs(action[i]) <= limit + FLOAT_ROUNDING))
        {
            std::ostringstream what;
            what << action[i] << " dB is not within " << -limit << " to " << limit << " dB";
            throw InputError("action." + std::to_string(i), what.str(), ACTION_CURE);
        }
    }
}

/**
 * @param state a state
 * @return it as a message
 */
ns3opengym::EnvStateMsg
Pack(const State& state)
{
    ns3opengym::EnvStateMsg message;
    *message.mutable_obsdata() = Pack(state.observation);
    message.set_reward(static_cast<float>(state.reward));
    message.set_isgameover(state.isOver);
    message.set_reason(ns3opengym::EnvStateMsg::SimulationEnd);
    message.set_info(state.info);
    return message;
}

} // namespace

GymBridge::GymBridge(AgentLink& link, const ForkPool& branches)
    : m_link(link),
      m_branches(branches)
{
}

bool
GymBridge::Initialize(const std::vector<Box>& observation, uint32_t actions, double limit)
{
    m_actions = actions;
    m_limit = limit;

    ns3opengym::DictSpace dict;
    for (const Box& box : observation)
    {
        *dict.add_element() = BoxSpace(box.shape, std::numeric_limits<double>::infinity());
        dict.mutable_element()->rbegin()->set_name(box.name);
    }
    ns3opengym::SimInitMsg init;
    init.set_simprocessid(getpid());
    init.set_wafshellprocessid(getppid());
    init.mutable_obsspace()->set_type(ns3opengym::Dict);
    init.mutable_obsspace()->mutable_space()->PackFrom(dict);
    *init.mutable_actspace() = BoxSpace({actions}, limit);
    init.set_canbranch(true);

    ns3opengym::SimInitAck ack;
    Exchange(init, ack);
    return ack.done() && !ack.stopsimreq();
}

std::optional<std::vector<double>>
GymBridge::Step(const State& state, const Stepper& step)
{
    ns3opengym::EnvActMsg act;
    Exchange(Pack(state), act);
    while (!state.isOver && !act.stopsimreq() && act.branch_size() > 0)
    {
        Exchange(Branch(act, step), act);
    }
    if (state.isOver || act.stopsimreq())
    {
        return std::nullopt;
    }
    std::vector<double> action = Unpack(act.actdata());
    Check(action, m_actions, m_limit);
    return action;
}

ns3opengym::EnvStateMsg
GymBridge::Branch(const ns3opengym::EnvActMsg& request, const Stepper& step) const
{
    std::vector<std::vector<std::vector<double>>> actions;
    for (const ns3opengym::Branch& branch : request.branch())
    {
        actions.emplace_back();
        for (const ns3opengym::DataContainer& container : branch.actdata())
        {
            actions.back().push_back(Unpack(container));
            Check(actions.back().back(), m_actions, m_limit);
        }
    }
    const auto simulate = [&actions, &step](uint32_t branch) {
        ns3opengym::Future future;
        for (const std::vector<double>& action : actions[branch])
        {
            const State state = step(action);
            *future.add_state() = Pack(state);
            if (state.isOver)
            {
                break;
            }
        }
        return future.SerializeAsString();
    };
    ns3opengym::EnvStateMsg reply;
    const auto count = static_cast<uint32_t>(actions.size());
    const auto check = [this] { m_link.CheckAgent(); };
    for (const auto& [output, error] :
         m_branches.Run(count, request.branchtimeouts(), simulate, check))
    {
        ns3opengym::Future* future = reply.add_future();
        if (!error.empty() || !future->ParseFromString(output))
        {
            future->set_error(error.empty() ? "wrote what is no Future" : error);
        }
    }
    return reply;
}

void
GymBridge::Exchange(const google::protobuf::Message& request, google::protobuf::Message& reply)
{
    if (!reply.ParseFromString(m_link.Exchange(request.SerializeAsString())))
    {
        throw AgentError("agent: the answer is not a " + reply.GetTypeName() +
                         "; cure: use a client of the ns3-gym protocol");
    }
}

} // namespace mlb
