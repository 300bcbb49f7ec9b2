// SPDX-License-Identifier: MIT

/**
 * @file
 * mlb-lte: simulates one episode of a scenario in ns-3 LTE, step by step as an agent asks for it.
 *
 * Exit code 0: the episode ended, or the agent stopped it. 1: the agent went away. 2: bad input.
 */

#include "agent-link.h"
#include "fork-pool.h"
#include "gym-bridge.h"
#include "input-error.h"
#include "kpi-collector.h"
#include "scenario.h"
#include "simulation.h"
#include "waypoints.h"

#include "ns3/command-line.h"
#include "ns3/rng-seed-manager.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <iostream>
#include <numeric>
#include <sys/prctl.h>
#include <thread>

using namespace mlb;

namespace
{

/// Command line of the program.
struct Options
{
    std::string scenario;       ///< path of the scenario file
    std::string waypoints;      ///< path of the waypoint file
    std::string endpoint;       ///< ZeroMQ endpoint that the agent binds
    uint64_t seed{1};           ///< run number of ns-3's random streams
    double timeoutS{60};        ///< how long to wait for an answer of the agent, in s
    double connectTimeoutS{60}; ///< how long to wait for the agent to be there, in s
    /// how many branches are simulated at once
    uint32_t branchWorkers{std::max(std::thread::hardware_concurrency(), 1U)};
    bool stock{false}; ///< whether to do all that ns-3 does by default
};

/**
 * @param argc as main has it
 * @param argv as main has it
 * @return the options
 */
Options
ParseCommandLine(int argc, char* argv[])
{
    Options options;
    ns3::CommandLine commandLine(__FILE__);
    commandLine.Usage("Simulates one episode of a scenario in ns-3 LTE, controlled by an agent.");
    commandLine.AddValue("scenario", "scenario file, JSON", options.scenario);
    commandLine.AddValue("waypoints", "waypoint file, CSV", options.waypoints);
    commandLine.AddValue(
        "endpoint",
        "ZeroMQ endpoint that the agent binds, ipc:///path or tcp://127.0.0.1:PORT",
        options.endpoint);
    commandLine.AddValue("seed", "run number of the random streams", options.seed);
    commandLine.AddValue("timeout-s",
                         "how long to wait for an answer of the agent, in s",
                         options.timeoutS);
    commandLine.AddValue("connect-timeout-s",
                         "how long to wait for the agent to be there, in s",
                         options.connectTimeoutS);
    commandLine.AddValue("branch-workers",
                         "how many branches are simulated at once (default: one a core)",
                         options.branchWorkers);
    commandLine.AddValue("stock",
                         "use ns-3's own spectrum channel and CQI period: slower, to compare with",
                         options.stock);
    commandLine.Parse(argc, argv);
    return options;
}

/**
 * @param scenario the scenario
 * @return the observation before anything has been observed: it has the right names and shapes
 */
Kpis
EmptyKpis(const Scenario& scenario)
{
    const std::vector<double> cells(scenario.cells.size());
    const std::vector<double> ues(scenario.ues);
    const std::vector<double> positions(2 * scenario.ues);
    const std::vector<double> links(scenario.ues * scenario.cells.size());
    return {0, cells, cells, cells, cells, positions, ues, links, ues, ues, {}};
}

/**
 * @param kpis KPIs of an interval
 * @return the observation, named as the fields of the Python class StepKpis
 */
std::vector<Box>
Observation(const Kpis& kpis)
{
    const auto cells = static_cast<uint32_t>(kpis.prbUtilization.size());
    const auto ues = static_cast<uint32_t>(kpis.ueServingCell.size());
    const auto rows = static_cast<uint32_t>(kpis.events.size());
    std::vector<double> events;
    for (const Event& event : kpis.events)
    {
        events.insert(events.end(),
                      {event.timeS,
                       static_cast<double>(event.ue),
                       static_cast<double>(event.sourceCell),
                       static_cast<double>(event.targetCell),
                       static_cast<double>(event.kind)});
    }
    return {{"time_s", {1}, {kpis.timeS}},
            {"prb_utilization", {cells}, kpis.prbUtilization},
            {"offered_bps", {cells}, kpis.offeredBps},
            {"served_bps", {cells}, kpis.servedBps},
            {"connected_ues", {cells}, kpis.connectedUes},
            {"ue_position_m", {ues, 2}, kpis.uePositionM},
            {"ue_serving_cell", {ues}, kpis.ueServingCell},
            {"ue_rsrp_dbm", {ues, cells}, kpis.ueRsrpDbm},
            {"ue_sinr_db", {ues}, kpis.ueSinrDb},
            {"ue_throughput_bps", {ues}, kpis.ueThroughputBps},
            {"events", {rows, 5}, events}};
}

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
 * @brief Simulates the episode.
 * @param options the command line
 */
void
RunEpisode(const Options& options)
{
    const Scenario scenario = Scenario::Read(options.scenario);
    const Episode& episode = scenario.episode;
    const std::vector<Track> tracks =
        ReadWaypoints(options.waypoints, scenario.ues, episode.steps * episode.controlIntervalS);
    ns3::RngSeedManager::SetRun(options.seed);
    AgentLink link(options.endpoint, options.timeoutS, options.connectTimeoutS);
    GymBridge bridge(link, ForkPool(options.branchWorkers));
    if (!bridge.Initialize(Observation(EmptyKpis(scenario)),
                           static_cast<uint32_t>(scenario.neighborPairs.size()),
                           scenario.handover.cioRangeDb))
    {
        return;
    }

    Simulation simulation(scenario, tracks, options.stock ? Fidelity::STOCK : Fidelity::FAST);
    const auto stateOf = [&simulation](const Kpis& kpis) {
        return State{Observation(kpis),
                     -StandardDeviation(kpis.prbUtilization),
                     simulation.IsOver(),
                     R"({"ns3_version": ")" NS3_VERSION R"("})"};
    };
    const auto step = [&simulation, &stateOf](const std::vector<double>& cioDb) {
        return stateOf(simulation.Step(cioDb));
    };
    State state = stateOf(simulation.WarmUp());
    while (const auto cioDb = bridge.Step(state, step))
    {
        state = step(*cioDb);
    }
}

} // namespace

int
main(int argc, char* argv[])
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const Options options = ParseCommandLine(argc, argv);
    try
    {
        RunEpisode(options);
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
