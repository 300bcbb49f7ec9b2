// SPDX-License-Identifier: MIT

#include "gym-bridge.h"

#include "input-error.h"
#include "ns3gym.pb.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <sstream>
#include <unistd.h>

namespace mlb
{

namespace
{

const std::string ACTION_CURE = "send a Box, a number for each component of the action";
const std::array<std::string, 3> LIVE_ACTION{"control", "knots_from_s", "knots_m"};
const std::string LIVE_ACTION_CURE = "send a Dict of the Boxes control, knots_from_s and knots_m";

/**
 * @param shape size of each dimension
 * @param low least value of an element
 * @param high greatest value of an element
 * @return a Box space of doubles
 */
ns3opengym::SpaceDescription
BoxSpace(const std::vector<uint32_t>& shape, double low, double high)
{
    ns3opengym::BoxSpace box;
    box.set_low(static_cast<float>(low));
    box.set_high(static_cast<float>(high));
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
 * @param container a Box as it came
 * @param name what it is
 * @return its values; other clients send a Box declared as double in single precision
 */
std::vector<double>
UnpackBox(const ns3opengym::DataContainer& container, const std::string& name)
{
    ns3opengym::BoxDataContainer box;
    if (container.type() != ns3opengym::Box || !container.data().UnpackTo(&box))
    {
        throw InputError(name, "not a Box", ACTION_CURE);
    }
    if (box.doubledata_size() > 0)
    {
        return {box.doubledata().begin(), box.doubledata().end()};
    }
    return {box.floatdata().begin(), box.floatdata().end()};
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
GymBridge::Initialize(const std::vector<Box>& observation,
                      const std::vector<ActionRange>& ranges,
                      const std::vector<uint32_t>& knotsShape)
{
    m_ranges = ranges;
    m_knotsShape = knotsShape;
    constexpr double INFINITE = std::numeric_limits<double>::infinity();

    ns3opengym::DictSpace dict;
    for (const Box& box : observation)
    {
        *dict.add_element() = BoxSpace(box.shape, -INFINITE, INFINITE);
        dict.mutable_element()->rbegin()->set_name(box.name);
    }
    ns3opengym::SimInitMsg init;
    init.set_simprocessid(getpid());
    init.set_wafshellprocessid(getppid());
    init.mutable_obsspace()->set_type(ns3opengym::Dict);
    init.mutable_obsspace()->mutable_space()->PackFrom(dict);
    // A Box has one range for all components; CheckAction knows the range of each.
    double low = INFINITE;
    double high = -INFINITE;
    for (const ActionRange& range : ranges)
    {
        low = std::min(low, range.low);
        high = std::max(high, range.high);
    }
    *init.mutable_actspace() = BoxSpace({static_cast<uint32_t>(ranges.size())}, low, high);
    if (!knotsShape.empty())
    {
        ns3opengym::DictSpace action;
        *action.add_element() = init.actspace();
        *action.add_element() = BoxSpace({1}, -INFINITE, INFINITE);
        *action.add_element() = BoxSpace(knotsShape, -INFINITE, INFINITE);
        for (std::size_t i = 0; i < LIVE_ACTION.size(); ++i)
        {
            action.mutable_element(static_cast<int>(i))->set_name(LIVE_ACTION[i]);
        }
        init.mutable_actspace()->set_type(ns3opengym::Dict);
        init.mutable_actspace()->mutable_space()->PackFrom(action);
    }
    init.set_canbranch(knotsShape.empty());

    ns3opengym::SimInitAck ack;
    Exchange(init, ack);
    return ack.done() && !ack.stopsimreq();
}

std::optional<Action>
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
    return Unpack(act.actdata());
}

Action
GymBridge::Unpack(const ns3opengym::DataContainer& container) const
{
    Action action;
    if (m_knotsShape.empty())
    {
        action.control = UnpackBox(container, "action");
    }
    else
    {
        ns3opengym::DictDataContainer dict;
        if (container.type() != ns3opengym::Dict || !container.data().UnpackTo(&dict))
        {
            throw InputError("action", "not a Dict", LIVE_ACTION_CURE);
        }
        const auto take = [&dict](const std::string& name, std::size_t size) {
            for (const ns3opengym::DataContainer& element : dict.element())
            {
                if (element.name() == name)
                {
                    std::vector<double> values = UnpackBox(element, "action." + name);
                    if (values.size() == size)
                    {
                        return values;
                    }
                }
            }
            throw InputError("action." + name,
                             "missing, or not of " + std::to_string(size) + " numbers",
                             LIVE_ACTION_CURE);
        };
        action.control = take(LIVE_ACTION[0], m_ranges.size());
        action.knots.fromS = take(LIVE_ACTION[1], 1)[0];
        const std::size_t size = m_knotsShape[0] * m_knotsShape[1] * m_knotsShape[2];
        action.knots.positionsM = take(LIVE_ACTION[2], size);
    }
    CheckAction(action.control, m_ranges);
    return action;
}

ns3opengym::EnvStateMsg
GymBridge::Branch(const ns3opengym::EnvActMsg& request, const Stepper& step) const
{
    if (!m_knotsShape.empty())
    {
        throw InputError("branch", "the UEs are live", "replay their trace, and branch from that");
    }
    if (!(request.branchtimeouts() > 0))
    {
        throw InputError("branchTimeoutS", "not more than 0 s", "give seconds, such as 60");
    }
    std::vector<std::vector<Action>> actions;
    for (const ns3opengym::Branch& branch : request.branch())
    {
        actions.emplace_back();
        for (const ns3opengym::DataContainer& container : branch.actdata())
        {
            actions.back().push_back(Unpack(container));
        }
    }
    const auto simulate = [&actions, &step](uint32_t branch) {
        ns3opengym::Future future;
        for (const Action& action : actions[branch])
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
