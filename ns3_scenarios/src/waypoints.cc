// SPDX-License-Identifier: MIT

#include "waypoints.h"

#include "input-error.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>

namespace mlb
{

namespace
{

const std::string CURE = "make the trace anew with 'mlb mobility make'";
const std::string LIVE_CURE =
    "send where each UE is in the coming interval and at the knot after it";
constexpr double TOLERANCE_S = 1e-6;

/**
 * @param line one line of the file
 * @param ue set to the UE
 * @param knot set to the knot
 * @return whether the line holds four numbers, all finite, and nothing else
 */
bool
ParseLine(const std::string& line, uint32_t& ue, Knot& knot)
{
    const char* rest = line.data();
    const char* const end = rest + line.size();
    const auto take = [&rest, end](auto& value) {
        const auto [after, error] = std::from_chars(rest, end, value);
        rest = after;
        return error == std::errc();
    };
    const auto takeFinite = [&rest, end, &take](double& value) {
        return rest != end && *rest++ == ',' && take(value) && std::isfinite(value);
    };
    return take(ue) && takeFinite(knot.timeS) && takeFinite(knot.xM) && takeFinite(knot.yM) &&
           rest == end;
}

/**
 * @param line a line that is wrong
 * @return its beginning, for a message
 */
std::string
Shown(const std::string& line)
{
    constexpr std::size_t LONGEST = 60;
    std::string shown = line.substr(0, LONGEST);
    std::replace_if(
        shown.begin(),
        shown.end(),
        [](unsigned char character) { return !std::isprint(character); },
        '?');
    return shown;
}

/**
 * @param where the knot's line
 * @param track the knots before it
 * @param knot a knot
 */
void
CheckSpeed(const std::string& where, const Track& track, const Knot& knot)
{
    constexpr double FASTEST_MPS = 1000; // as in the Python class MobilityTrace
    if (track.empty())
    {
        return;
    }
    const Knot& last = track.back();
    const double movedM = std::hypot(knot.xM - last.xM, knot.yM - last.yM);
    if (!(movedM <= FASTEST_MPS * (knot.timeS - last.timeS)))
    {
        std::ostringstream what;
        what << "the UE jumps by " << movedM << " m, faster than " << FASTEST_MPS << " m/s";
        throw InputError(where, what.str(), CURE);
    }
}

} // namespace

std::vector<Track>
ReadWaypoints(const std::string& path, uint32_t ues, double durationS)
{
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
            throw InputError(where, "'" + Shown(line) + "' is not four finite numbers", CURE);
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
        CheckSpeed(where, track, knot);
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

std::vector<Track>
AppendKnots(std::vector<Track>& tracks,
            const Knots& knots,
            double stepS,
            double untilS,
            bool isLast)
{
    const std::size_t ues = tracks.size();
    std::vector<Track> appended(ues);
    for (std::size_t i = 0; i < knots.positionsM.size() / 2; ++i)
    {
        const std::size_t ue = i % ues;
        const Knot knot{knots.fromS + (i / ues) * stepS,
                        knots.positionsM[2 * i],
                        knots.positionsM[2 * i + 1]};
        if (knot.timeS <= tracks[ue].back().timeS + TOLERANCE_S)
        {
            continue;
        }
        const std::string where = "action.knots_m of UE " + std::to_string(ue);
        if (!std::isfinite(knot.timeS) || !std::isfinite(knot.xM) || !std::isfinite(knot.yM))
        {
            throw InputError(where, "not finite", LIVE_CURE);
        }
        CheckSpeed(where, tracks[ue], knot);
        tracks[ue].push_back(knot);
        appended[ue].push_back(knot);
    }
    const double endS = tracks.front().back().timeS;
    if (endS < untilS + (isLast ? -TOLERANCE_S : TOLERANCE_S))
    {
        std::ostringstream what;
        what << "they end at " << endS << " s, but the interval at " << untilS << " s";
        throw InputError("action.knots_m", what.str(), LIVE_CURE);
    }
    return appended;
}

} // namespace mlb
