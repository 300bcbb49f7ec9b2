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

} // namespace mlb

#endif // WAYPOINTS_H
