// SPDX-License-Identifier: MIT

#ifndef EXACT_TIME_H
#define EXACT_TIME_H

#include "ns3/nstime.h"

#include <cmath>

namespace mlb
{

/**
 * @brief Rounds to the nearest nanosecond; ns3::Seconds truncates, so that 0.6 s may lose one.
 * @param seconds time in s
 * @return the time
 */
inline ns3::Time
ExactSeconds(double seconds)
{
    return ns3::NanoSeconds(std::llround(seconds * 1e9));
}

} // namespace mlb

#endif // EXACT_TIME_H
