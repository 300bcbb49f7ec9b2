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
#include "scenario.h"
#include "shadowing-map.h"
#include "simulation.h"
#include "waypoints.h"

#include "ns3/command-line.h"
#include "ns3/rng-seed-manager.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <sstream>
#include <sys/prctl.h>
#include <system_error>
#include <thread>
#include <type_traits>

using namespace mlb;

namespace
{

/// Command line of the program.
struct Options
{
    std::string scenario;       ///< path of the scenario file
    std::string waypoints;      ///< path of the waypoint file
    std::string shadowing;      ///< path of the shadowing map, if the scenario has shadowing
    std::string endpoint;       ///< ZeroMQ endpoint that the agent binds
    uint64_t seed{1};           ///< run number of ns-3's random streams
    double timeoutS{60};        ///< how long to wait for an answer of the agent, in s
    double connectTimeoutS{60}; ///< how long to wait for the agent to be there, in s
    /// how many branches are simulated at once
    uint32_t branchWorkers{std::max(std::thread::hardware_concurrency(), 1U)};
    double liveStepS{0};  ///< time between the knots of live UEs, in s; 0: UEs are not live
    bool stock{false};    ///< whether to do all that ns-3 does by default
    std::string eventLog; ///< directory for the event log, or none
};

/**
 * @brief Adds an option that is a number: ns-3's own way ends the program with its usage and
 * code 1.
 * @param commandLine the command line
 * @param name of the option
 * @param help what it is
 * @param value where it goes, the default before
 */
template <typename T>
void
AddNumber(ns3::CommandLine& commandLine, const std::string& name, const std::string& help, T& value)
{
    const auto read = [name, &value](const std::string& text) {
        const char* end = text.data() + text.size();
        const auto [rest, error] = std::from_chars(text.data(), end, value);
        if (error != std::errc() || rest != end)
        {
            throw InputError("--" + name,
                             "'" + text + "' is not a number that fits",
                             std::is_integral_v<T> ? "give a whole number, 0 or more"
                                                   : "give a number");
        }
        return true;
    };
    std::ostringstream byDefault;
    byDefault << value;
    commandLine.AddValue(name,
                         help,
                         ns3::Callback<bool, const std::string&>(read),
                         byDefault.str());
}

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
    commandLine.Usage(
        "Simulates one episode of a scenario in ns-3 LTE, controlled by an agent.\n\nThe "
        "agent binds the endpoint and may be any client of the ns3-gym protocol, such as "
        "ns3-gym's own Ns3Env(port=5555, startSim=False) with "
        "--endpoint=tcp://127.0.0.1:5555.");
    commandLine.AddValue("scenario", "scenario file, JSON", options.scenario);
    commandLine.AddValue("waypoints", "waypoint file, CSV", options.waypoints);
    commandLine.AddValue("shadowing",
                         "shadowing map, for a scenario with radio.shadowing",
                         options.shadowing);
    commandLine.AddValue(
        "endpoint",
        "ZeroMQ endpoint that the agent binds, ipc:///path or tcp://127.0.0.1:PORT",
        options.endpoint);
    AddNumber(commandLine, "seed", "run number of the random streams", options.seed);
    AddNumber(commandLine,
              "timeout-s",
              "how long to wait for an answer of the agent, in s",
              options.timeoutS);
    AddNumber(commandLine,
              "connect-timeout-s",
              "how long to wait for the agent to be there, in s",
              options.connectTimeoutS);
    AddNumber(commandLine,
              "branch-workers",
              "how many branches are simulated at once (default: one a core)",
              options.branchWorkers);
    commandLine.AddValue("stock",
                         "use ns-3's own spectrum channel and CQI period: slower, to compare with",
                         options.stock);
    AddNumber(commandLine,
              "live-step-s",
              "time between the knots of UEs that the agent drives, in s: the waypoint file has "
              "the first two, and each action brings those up to the one after its interval (0: "
              "all are in the file)",
              options.liveStepS);
    commandLine.AddValue("event-log",
                         "existing directory for events.csv and dl_dci.csv (default: none)",
                         options.eventLog);
    commandLine.Parse(argc, argv);
    return options;
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

    // LteSpectrumChannel withholds from a UE the data frames of others, which a CQI from PDSCH
    // measures.
    const bool isStock = options.stock || scenario.radio.cqi == "pdsch";
    Simulation simulation(scenario,
                          tracks,
                          isStock ? Fidelity::STOCK : Fidelity::FAST,
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
        RunEpisode(ParseCommandLine(argc, argv));
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
