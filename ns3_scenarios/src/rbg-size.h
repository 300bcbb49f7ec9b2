// SPDX-License-Identifier: MIT

#ifndef RBG_SIZE_H
#define RBG_SIZE_H

#include <cstdint>

namespace mlb
{

/**
 * @brief Size of a resource block group, TS 36.213 table 7.1.6.1-1.
 * @param bandwidthRb downlink bandwidth, in RBs
 * @return RBs in one RBG
 */
constexpr uint32_t
RbgSizeRb(uint32_t bandwidthRb)
{
    return bandwidthRb <= 10 ? 1 : bandwidthRb <= 26 ? 2 : bandwidthRb <= 63 ? 3 : 4;
}

} // namespace mlb

#endif // RBG_SIZE_H
