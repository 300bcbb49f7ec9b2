// SPDX-License-Identifier: MIT

/**
 * @file
 * mlb-lte: simulates one episode of a scenario in ns-3 LTE, step by step as an agent asks for it.
 *
 * Exit code 0: the episode ended, or the agent stopped it. 1: the agent went away. 2: bad input.
 */

#include "action-range.h"
#include "agent-link.h"
#include "event-log-writer.h"
#include "fork-pool.h"
#include "gym-bridge.h"
#include "input-error.h"
#include "kpi-collector.h"
#include "kpi-observation.h"
#include "options.h"
#include "scenario.h"
#include "shadowing-map.h"
#include "simulation.h"
#include "waypoints.h"

#include "ns3/rng-seed-manager.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <sys/prctl.h>

using namespace mlb;

namespace
{

/**
 * @param values some values
 * @return their standard deviation, as of a whole population
 */
double
StandardDeviation(const std::vector<double>& values)
{
    const double mean = std::accumulate(values.begin(), values.end(), 0.0) / values.size();
    double squares = 0;
    for (const double value : values)
    {
        squares += (value - mean) * (value - mean);
    }
    return std::sqrt(squares / values.size());
}

/**
 * @param path of the shadowing map; may be empty
 * @param scenario the scenario
 * @return its shadowing, null if it has none
 */
ns3::Ptr<ShadowingMap>
ReadShadowing(const std::string& path, const Scenario& scenario)
{
    if (path.empty() == scenario.radio.hasShadowing)
    {
        throw InputError("--shadowing",
                         path.empty() ? "missing" : "the scenario has no shadowing",
                         "give it if, and only if, the scenario has radio.shadowing");
    }
    if (path.empty())
    {
        return nullptr;
    }
    const std::vector<uint32_t> sites = GetSites(scenario.cells);
    auto shadowing = ns3::CreateObject<ShadowingMap>();
    shadowing->Read(path, *std::max_element(sites.begin(), sites.end()) + 1);
    return shadowing;
}

/**
 * @param kpis KPIs of an interval
 * @param hasUplink whether there is uplink traffic
 * @return what is not part of the observation, JSON
 */
std::string
Info(const Kpis& kpis, bool hasUplink)
{
    nlohmann::json info{{"ns3_version", NS3_VERSION}};
    if (hasUplink)
    {
        info["ue_uplink_bps"] = kpis.ueUplinkBps;
    }
    return info.dump();
}

/**
 * @param stepS time between the knots of live UEs, in s; 0: UEs are not live
 * @param scenario the scenario
 * @return shape of the knots that an action brings; empty if UEs are not live
 */
std::vector<uint32_t>
KnotsShape(double stepS, const Scenario& scenario)
{
    constexpr double TOLERANCE = 1e-9;
    if (stepS == 0)
    {
        return {};
    }
    if (!(stepS >= 0.1 && stepS <= 60))
    {
        throw InputError("--live-step-s", "not within 0.1 to 60 s", "give seconds, such as 1");
    }
    const double count = std::ceil(scenario.episode.controlIntervalS / stepS - TOLERANCE);
    return {static_cast<uint32_t>(count), scenario.ues, 2};
}

/**
 * @brief Simulates the episode.
 * @param options the command line
 */
void
RunEpisode(const Options& options)
{
    const Scenario scenario = Scenario::Read(options.scenario);
    const Episode& episode = scenario.episode;
    const std::vector<uint32_t> knotsShape = KnotsShape(options.liveStepS, scenario);
    std::vector<Track> tracks = ReadWaypoints(
        options.waypoints,
        scenario.ues,
        options.liveStepS > 0 ? options.liveStepS : episode.steps * episode.controlIntervalS);
    const auto shadowing = ReadShadowing(options.shadowing, scenario);
    ns3::RngSeedManager::SetRun(options.seed);
    std::optional<EventLogWriter> eventLog;
    if (!options.eventLog.empty())
    {
        eventLog.emplace(options.eventLog);
    }
    AgentLink link(options.endpoint, options.timeoutS, options.connectTimeoutS);
    GymBridge bridge(link, ForkPool(options.branchWorkers));
    if (!bridge.Initialize(EmptyObservation(scenario), ActionRanges(scenario), knotsShape))
    {
        return;
    }

    Simulation simulation(scenario,
                          tracks,
                          options.stock ? Fidelity::STOCK : Fidelity::FAST,
                          shadowing,
                          eventLog ? &*eventLog : nullptr);
    const bool hasUplink = scenario.traffic.uplinkBps > 0;
    const auto stateOf = [&simulation, hasUplink](const Kpis& kpis) {
        return State{Observation(kpis),
                     -StandardDeviation(kpis.prbUtilization),
                     simulation.IsOver(),
                     Info(kpis, hasUplink)};
    };
    const auto step = [&](const Action& action) {
        if (options.liveStepS > 0)
        {
            simulation.Move(tracks, action.knots, options.liveStepS);
        }
        return stateOf(simulation.Step(action.control));
    };
    State state = stateOf(simulation.WarmUp());
    while (const auto action = bridge.Step(state, step))
    {
        state = step(*action);
    }
}

} // namespace

int
main(int argc, char* argv[])
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    try
    {
        RunEpisode(Options::Parse(argc, argv));
        return 0;
    }
    catch (const InputError& error)
    {
        std::cerr << "error: " << error.what() << std::endl;
        return 2;
    }
    catch (const AgentError& error)
    {
        std::cerr << "error: " << error.what() << std::endl;
        return 1;
    }
}
