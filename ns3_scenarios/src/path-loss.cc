// SPDX-License-Identifier: MIT

#include "path-loss.h"

#include "ns3/boolean.h"
#include "ns3/channel-condition-model.h"
#include "ns3/double.h"
#include "ns3/pointer.h"
#include "ns3/string.h"

#include <map>

namespace mlb
{

using namespace ns3;

namespace
{

/**
 * @param condition los or nlos
 * @return the same condition on all links, outdoors
 */
Ptr<ChannelConditionModel>
MakeCondition(const std::string& condition)
{
    if (condition == "los")
    {
        return CreateObject<AlwaysLosChannelConditionModel>();
    }
    return CreateObject<NeverLosChannelConditionModel>();
}

} // namespace

void
SetPathLoss(LteHelper& helper, const Radio& radio)
{
    static const std::map<std::string, std::string> TYPES{
        {"log-distance", "ns3::LogDistancePropagationLossModel"},
        {"okumura-hata", "ns3::OkumuraHataPropagationLossModel"},
        {"cost231-hata", "ns3::Cost231PropagationLossModel"},
        {"uma", "ns3::ThreeGppUmaPropagationLossModel"},
        {"umi", "ns3::ThreeGppUmiStreetCanyonPropagationLossModel"},
    };
    static const std::map<std::string, std::string> ENVIRONMENTS{
        {"urban", "Urban"},
        {"suburban", "SubUrban"},
        {"open", "OpenAreas"},
    };
    const PathLoss& loss = radio.pathLoss;
    helper.SetPathlossModelType(TypeId::LookupByName(TYPES.at(loss.model)));
    if (loss.model == "log-distance")
    {
        helper.SetPathlossModelAttribute("Exponent", DoubleValue(loss.exponent));
        helper.SetPathlossModelAttribute("ReferenceLoss", DoubleValue(loss.referenceLossDb));
    }
    else if (loss.model == "okumura-hata")
    {
        helper.SetPathlossModelAttribute("Environment",
                                         StringValue(ENVIRONMENTS.at(loss.environment)));
        helper.SetPathlossModelAttribute("CitySize",
                                         StringValue(loss.citySize == "large" ? "Large" : "Small"));
    }
    else if (loss.model == "cost231-hata")
    {
        helper.SetPathlossModelAttribute("BSAntennaHeight", DoubleValue(radio.cellHeightM));
        helper.SetPathlossModelAttribute("SSAntennaHeight", DoubleValue(radio.ueHeightM));
    }
    else
    {
        helper.SetPathlossModelAttribute("ShadowingEnabled", BooleanValue(false));
        helper.SetPathlossModelAttribute("BuildingPenetrationLossesEnabled", BooleanValue(false));
        helper.SetPathlossModelAttribute("ChannelConditionModel",
                                         PointerValue(MakeCondition(loss.condition)));
    }
}

} // namespace mlb
