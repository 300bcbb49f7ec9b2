// SPDX-License-Identifier: MIT

#ifndef OPTIONS_H
#define OPTIONS_H

#include <algorithm>
#include <cstdint>
#include <string>
#include <thread>

namespace mlb
{

/// Command line of the program.
struct Options
{
    /**
     * @brief Reads the command line; --help ends the program.
     * @param argc as main has it
     * @param argv as main has it
     * @return the options
     * @throws InputError a number is none, or does not fit
     */
    static Options Parse(int argc, char* argv[]);

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

} // namespace mlb

#endif // OPTIONS_H
