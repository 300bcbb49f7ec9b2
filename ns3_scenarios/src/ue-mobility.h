// SPDX-License-Identifier: MIT

#ifndef UE_MOBILITY_H
#define UE_MOBILITY_H

#include "scenario.h"
#include "waypoints.h"

#include "ns3/node-container.h"
#include "ns3/vector.h"

#include <cstdint>
#include <vector>

namespace mlb
{

/// The UEs of a scenario as nodes that move along their tracks.
class UeMobility
{
  public:
    /**
     * @brief Creates the nodes.
     * @param scenario the scenario, which must outlive this
     * @param tracks the knots of each UE, in trace time
     */
    UeMobility(const Scenario& scenario, const std::vector<Track>& tracks);

    /**
     * @brief Lets the UEs move further.
     * @param tracks the knots that follow those of each UE, in trace time
     */
    void AddKnots(const std::vector<Track>& tracks);

    /**
     * @return the nodes, each at its UE's index
     */
    const ns3::NodeContainer& GetNodes() const;

    /**
     * @param ue index of the UE
     * @return where it is now, in m
     */
    ns3::Vector GetPosition(uint32_t ue) const;

  private:
    const Scenario& m_scenario; ///< the scenario
    ns3::NodeContainer m_nodes; ///< at the UE's index
};

} // namespace mlb

#endif // UE_MOBILITY_H
