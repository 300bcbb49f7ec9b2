// SPDX-License-Identifier: MIT

#include "radio-network.h"

#include "lte-network.h"

#include "ns3/abort.h"

namespace mlb
{

std::unique_ptr<RadioNetwork>
RadioNetwork::Create(const Scenario& scenario,
                     const ns3::NodeContainer& ueNodes,
                     Fidelity fidelity,
                     ns3::Ptr<ShadowingMap> shadowing)
{
    switch (scenario.radio.technology)
    {
    case Technology::LTE:
        return std::make_unique<LteNetwork>(scenario, ueNodes, fidelity, shadowing);
    }
    NS_ABORT_MSG("a technology that has no network");
}

} // namespace mlb
