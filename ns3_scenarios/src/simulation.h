// SPDX-License-Identifier: MIT

#ifndef SIMULATION_H
#define SIMULATION_H

#include "event-log-writer.h"
#include "kpi-collector.h"
#include "radio-network.h"
#include "scenario.h"
#include "ue-mobility.h"
#include "waypoints.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace mlb
{

/**
 * @brief One episode: the network of a scenario, simulated from control step to control step.
 *
 * A process can hold one at a time, since ns-3 has one simulator.
 */
class Simulation
{
  public:
    /**
     * @brief Builds the network.
     * @param scenario the scenario, which must outlive the simulation
     * @param tracks the knots of each UE, in trace time
     * @param fidelity what to spend time on
     * @param shadowing of all links, null if there is none
     * @param eventLog where to write events and DCIs, or nullptr; must outlive the simulation
     */
    Simulation(const Scenario& scenario,
               const std::vector<Track>& tracks,
               Fidelity fidelity,
               ns3::Ptr<ShadowingMap> shadowing,
               EventLogWriter* eventLog);
    ~Simulation();

    Simulation(const Simulation&) = delete;
    Simulation& operator=(const Simulation&) = delete;

    /**
     * @brief Simulates up to trace time 0.
     * @return KPIs of the last control interval of the warm-up, or of all that comes after its
     * first second if this is shorter
     */
    Kpis WarmUp();

    /**
     * @brief Simulates one control interval.
     * @param action what RadioNetwork::SetControl takes
     * @return its KPIs
     */
    Kpis Step(const std::vector<double>& action);

    /**
     * @brief Lets the UEs move through the next control interval.
     * @param tracks the knots of each UE so far, in trace time; those that follow are appended
     * @param knots those that follow
     * @param stepS time between them, in s
     * @throws InputError as AppendKnots
     */
    void Move(std::vector<Track>& tracks, const Knots& knots, double stepS);

    /**
     * @return whether all steps of the episode have been simulated
     */
    bool IsOver() const;

  private:
    /**
     * @param timeS trace time of the end of an interval, in s
     * @return its KPIs, whose events are logged
     */
    Kpis Take(double timeS);

    const Scenario& m_scenario;              ///< the scenario
    UeMobility m_ues;                        ///< its UEs
    std::unique_ptr<RadioNetwork> m_network; ///< its network
    KpiCollector m_collector;                ///< of the network
    EventLogWriter* m_eventLog;              ///< where to write events and DCIs, or nullptr
    uint32_t m_step{0};                      ///< control steps simulated
};

} // namespace mlb

#endif // SIMULATION_H
