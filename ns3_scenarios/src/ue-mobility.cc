// SPDX-License-Identifier: MIT

#include "ue-mobility.h"

#include "exact-time.h"

#include "ns3/boolean.h"
#include "ns3/waypoint-mobility-model.h"

namespace mlb
{

using namespace ns3;

UeMobility::UeMobility(const Scenario& scenario, const std::vector<Track>& tracks)
    : m_scenario(scenario)
{
    m_nodes.Create(scenario.ues);
    for (uint32_t ue = 0; ue < scenario.ues; ++ue)
    {
        auto mobility = CreateObject<WaypointMobilityModel>();
        mobility->SetAttribute("LazyNotify", BooleanValue(true));
        m_nodes.Get(ue)->AggregateObject(mobility);
    }
    AddKnots(tracks);
}

void
UeMobility::AddKnots(const std::vector<Track>& tracks)
{
    for (uint32_t ue = 0; ue < tracks.size(); ++ue)
    {
        auto mobility = m_nodes.Get(ue)->GetObject<WaypointMobilityModel>();
        for (const Knot& knot : tracks[ue])
        {
            mobility->AddWaypoint({ExactSeconds(m_scenario.episode.warmupS + knot.timeS),
                                   Vector(knot.xM, knot.yM, m_scenario.radio.ueHeightM)});
        }
    }
}

const NodeContainer&
UeMobility::GetNodes() const
{
    return m_nodes;
}

Vector
UeMobility::GetPosition(uint32_t ue) const
{
    return m_nodes.Get(ue)->GetObject<MobilityModel>()->GetPosition();
}

} // namespace mlb
