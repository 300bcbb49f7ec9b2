// SPDX-License-Identifier: MIT

#ifndef ACTION_RANGE_H
#define ACTION_RANGE_H

#include "scenario.h"

#include <string>
#include <vector>

namespace mlb
{

/// What one component of an action may be.
struct ActionRange
{
    double low;       ///< least value
    double high;      ///< greatest value
    std::string what; ///< what it sets
    std::string unit; ///< its unit
};

/**
 * @param scenario the scenario
 * @return components of an action: CIO of every neighbour pair, and what handover.steer names
 */
std::vector<ActionRange> ActionRanges(const Scenario& scenario);

/**
 * @brief Checks an action before anything uses it.
 * @param action the action
 * @param ranges its components
 * @throws InputError it has another length, or a value that is out of range or no number
 */
void CheckAction(const std::vector<double>& action, const std::vector<ActionRange>& ranges);

} // namespace mlb

#endif // ACTION_RANGE_H
