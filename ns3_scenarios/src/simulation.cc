// SPDX-License-Identifier: MIT

#include "simulation.h"

#include "exact-time.h"

#include "ns3/simulator.h"

#include <algorithm>

namespace mlb
{

namespace
{

/// Time in which the UEs attach and the traffic begins, of which no KPI is made, in s.
constexpr double ATTACHMENT_S = 1;

/**
 * @brief Simulates until just after an instant: all that happens at the instant is part of it.
 * @param instant simulation time
 */
void
RunThrough(ns3::Time instant)
{
    ns3::Simulator::Stop(instant + ns3::NanoSeconds(1) - ns3::Simulator::Now());
    ns3::Simulator::Run();
}

} // namespace

Simulation::Simulation(const Scenario& scenario,
                       const std::vector<Track>& tracks,
                       Fidelity fidelity,
                       ns3::Ptr<ShadowingMap> shadowing,
                       EventLogWriter* eventLog)
    : m_scenario(scenario),
      m_ues(scenario, tracks),
      m_network(RadioNetwork::Create(scenario, m_ues.GetNodes(), fidelity, shadowing)),
      m_collector(scenario, m_ues, *m_network),
      m_eventLog(eventLog)
{
    if (m_eventLog)
    {
        m_eventLog->Connect(scenario, *m_network);
    }
}

Simulation::~Simulation()
{
    ns3::Simulator::Destroy();
}

Kpis
Simulation::WarmUp()
{
    const Episode& episode = m_scenario.episode;
    // As Episode.first_interval_s in Python.
    const double firstS = std::min(episode.controlIntervalS, episode.warmupS - ATTACHMENT_S);
    RunThrough(ExactSeconds(episode.warmupS - firstS));
    m_collector.Take(-firstS);
    RunThrough(ExactSeconds(episode.warmupS));
    return Take(0);
}

Kpis
Simulation::Step(const std::vector<double>& action)
{
    m_network->SetControl(action);
    const double timeS = ++m_step * m_scenario.episode.controlIntervalS;
    RunThrough(ExactSeconds(m_scenario.episode.warmupS + timeS));
    return Take(timeS);
}

Kpis
Simulation::Take(double timeS)
{
    Kpis kpis = m_collector.Take(timeS);
    if (m_eventLog)
    {
        m_eventLog->Write(kpis.events);
    }
    return kpis;
}

void
Simulation::Move(std::vector<Track>& tracks, const Knots& knots, double stepS)
{
    const Episode& episode = m_scenario.episode;
    const uint32_t next = m_step + 1;
    const double untilS = next * episode.controlIntervalS;
    m_ues.AddKnots(AppendKnots(tracks, knots, stepS, untilS, next == episode.steps));
}

bool
Simulation::IsOver() const
{
    return m_step == m_scenario.episode.steps;
}

} // namespace mlb
