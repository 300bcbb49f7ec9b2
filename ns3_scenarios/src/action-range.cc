// SPDX-License-Identifier: MIT

#include "action-range.h"

#include "input-error.h"

#include <sstream>

namespace mlb
{

namespace
{

const std::string CURE = "send one CIO in dB for each neighbour pair, then what handover.steer "
                         "names for each cell";

} // namespace

std::vector<ActionRange>
ActionRanges(const Scenario& scenario)
{
    std::vector<ActionRange> ranges;
    const Handover& handover = scenario.handover;
    for (std::size_t pair = 0; pair < scenario.neighborPairs.size(); ++pair)
    {
        ranges.push_back({-handover.cioRangeDb,
                          handover.cioRangeDb,
                          "CIO of pair " + std::to_string(pair),
                          "dB"});
    }
    const auto append = [&](const std::optional<Range>& range, const char* what, const char* unit) {
        for (std::size_t cell = 0; range && cell < scenario.cells.size(); ++cell)
        {
            ranges.push_back(
                {range->low, range->high, what + (" of cell " + std::to_string(cell)), unit});
        }
    };
    append(handover.steeredHysteresisDb, "hysteresis", "dB");
    append(handover.steeredTimeToTriggerMs, "time to trigger", "ms");
    return ranges;
}

void
CheckAction(const std::vector<double>& action, const std::vector<ActionRange>& ranges)
{
    constexpr double FLOAT_ROUNDING = 1e-6;
    if (action.size() != ranges.size())
    {
        throw InputError("action",
                         std::to_string(action.size()) + " values instead of " +
                             std::to_string(ranges.size()),
                         CURE);
    }
    for (std::size_t i = 0; i < action.size(); ++i)
    {
        const auto& [low, high, what, unit] = ranges[i];
        // Written so that NaN fails.
        if (!(action[i] >= low - FLOAT_ROUNDING && action[i] <= high + FLOAT_ROUNDING))
        {
            std::ostringstream message;
            message << what << ": " << action[i] << " " << unit << " is not within " << low
                    << " to " << high << " " << unit;
            throw InputError("action." + std::to_string(i), message.str(), CURE);
        }
    }
}

} // namespace mlb
