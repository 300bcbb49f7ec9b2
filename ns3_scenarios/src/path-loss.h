// SPDX-License-Identifier: MIT

#ifndef PATH_LOSS_H
#define PATH_LOSS_H

#include "scenario.h"

#include "ns3/lte-helper.h"

namespace mlb
{

/**
 * @brief Has a helper create ns-3's own model of a path loss for its channels.
 *
 * The helper sets the carrier frequency itself, that of the link's direction. 3GPP's models are
 * without shadow fading and building penetration loss.
 *
 * @param helper the helper; it must not have created its channels yet
 * @param radio the path loss and the heights of antennas
 */
void SetPathLoss(ns3::LteHelper& helper, const Radio& radio);

} // namespace mlb

#endif // PATH_LOSS_H
