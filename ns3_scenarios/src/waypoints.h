// SPDX-License-Identifier: MIT

#ifndef WAYPOINTS_H
#define WAYPOINTS_H

#include <cstdint>
#include <string>
#include <vector>

namespace mlb
{

/// A position at a time; UEs move in straight lines between knots.
struct Knot
{
    double timeS; ///< trace time, in s
    double xM;    ///< east, in m
    double yM;    ///< north, in m
};

/// The knots of one UE, in order of time.
using Track = std::vector<Knot>;

/**
 * @brief Reads a waypoint file: "ue_id,time_s,x_m,y_m", UE by UE, times rising from 0.
 *
 * @param path a CSV file, as the Python class MobilityTrace writes it
 * @param ues number of UEs that must be in it
 * @param durationS trace time that every UE must reach, in s
 * @return one track a UE
 * @throws InputError naming the line or the UE; it also refuses jumps, faster than 1000 m/s
 */
std::vector<Track> ReadWaypoints(const std::string& path, uint32_t ues, double durationS);

/// Knots of all UEs at equal steps of time, as an agent sends them.
struct Knots
{
    double fromS;                   ///< trace time of the first, in s
    std::vector<double> positionsM; ///< knot by knot, in each UE by UE, east and north, in m
};

/**
 * @brief Appends knots to tracks, but for those that are there already.
 *
 * @param tracks one a UE, none empty
 * @param knots what to append
 * @param stepS time between knots, in s
 * @param untilS end of the control interval, in trace time, in s
 * @param isLast whether the tracks may end there; else they must go on, for where a UE heads
 *        must be known while it is at a knot
 * @return what was appended, one track a UE
 * @throws InputError the knots do not reach so far, are not finite, or jump as in ReadWaypoints
 */
std::vector<Track> AppendKnots(std::vector<Track>& tracks,
                               const Knots& knots,
                               double stepS,
                               double untilS,
                               bool isLast);

} // namespace mlb

#endif // WAYPOINTS_H
