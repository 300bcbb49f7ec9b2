// SPDX-License-Identifier: MIT

#include "waypoints.h"

#include "input-error.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace mlb
{

namespace
{

const std::string CURE = "make the trace anew with 'mlb mobility'";

/**
 * @param line one line of the file
 * @param ue set to the UE
 * @param knot set to the knot
 * @return whether the line holds four numbers, all finite
 */
bool
ParseLine(const std::string& line, uint32_t& ue, Knot& knot)
{
    char rest = 0;
    const int fields =
        std::sscanf(line.c_str(), "%u,%lf,%lf,%lf %c", &ue, &knot.timeS, &knot.xM, &knot.yM, &rest);
    return fields == 4 && std::isfinite(knot.timeS) && std::isfinite(knot.xM) &&
           std::isfinite(knot.yM);
}

} // namespace

std::vector<Track>
ReadWaypoints(const std::string& path, uint32_t ues, double durationS)
{
    constexpr double TOLERANCE_S = 1e-6;
    std::ifstream file(path);
    if (!file)
    {
        throw InputError("--waypoints", "cannot read '" + path + "'", CURE);
    }
    std::string line;
    std::getline(file, line);
    if (line != "ue_id,time_s,x_m,y_m")
    {
        throw InputError("--waypoints",
                         "line 1 of '" + path + "' is not the header ue_id,time_s,x_m,y_m",
                         CURE);
    }

    std::vector<Track> tracks(ues);
    for (uint64_t number = 2; std::getline(file, line); ++number)
    {
        const std::string where = "waypoints line " + std::to_string(number);
        uint32_t ue = 0;
        Knot knot{};
        if (!ParseLine(line, ue, knot))
        {
            throw InputError(where, "'" + line + "' is not four finite numbers", CURE);
        }
        if (ue >= ues)
        {
            throw InputError(where,
                             "ue_id " + std::to_string(ue) + ", but mobility.ues is " +
                                 std::to_string(ues),
                             CURE);
        }
        Track& track = tracks[ue];
        if (track.empty() ? knot.timeS != 0 : knot.timeS <= track.back().timeS)
        {
            throw InputError(where, "time_s must start at 0 and rise for each UE", CURE);
        }
        track.push_back(knot);
    }

    for (uint32_t ue = 0; ue < ues; ++ue)
    {
        const std::string who = "waypoints ue_id " + std::to_string(ue);
        if (tracks[ue].empty())
        {
            throw InputError(who, "missing", CURE);
        }
        if (tracks[ue].back().timeS < durationS - TOLERANCE_S)
        {
            std::ostringstream what;
            what << "ends at " << tracks[ue].back().timeS << " s, but the episode lasts "
                 << durationS << " s";
            throw InputError(who, what.str(), CURE);
        }
    }
    return tracks;
}

} // namespace mlb
