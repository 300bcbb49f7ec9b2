// SPDX-License-Identifier: MIT

#include "options.h"

#include "input-error.h"

#include "ns3/command-line.h"

#include <charconv>
#include <sstream>
#include <system_error>
#include <type_traits>

namespace mlb
{

namespace
{

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

} // namespace

Options
Options::Parse(int argc, char* argv[])
{
    Options options;
    ns3::CommandLine commandLine("mlb-lte.cc");
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

} // namespace mlb
