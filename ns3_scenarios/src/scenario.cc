// SPDX-License-Identifier: MIT

#include "scenario.h"

#include "input-error.h"

#include "ns3/lte-spectrum-value-helper.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>

namespace mlb
{

namespace
{

using nlohmann::json;

const std::string CURE = "write the scenario anew with 'mlb scenario'";

/**
 * @param value a value that is wrong
 * @return it, or what it is if it may be long
 */
std::string
Shown(const json& value)
{
    constexpr std::size_t LONGEST = 60;
    const std::string text = value.is_structured() ? "" : value.dump();
    return value.is_structured() || text.size() > LONGEST ? std::string("an ") + value.type_name()
                                                          : text;
}

/// Reads fields by their dotted path and checks their ranges.
class FieldReader
{
  public:
    /**
     * @param root the whole document
     */
    explicit FieldReader(const json& root)
        : m_root(root)
    {
    }

    /**
     * @param path dotted path, such as "cells.0.x_m"
     * @param low lowest value allowed
     * @param high greatest value allowed
     * @return the value, finite and within the range
     */
    double Number(const std::string& path, double low, double high) const
    {
        const json& value = At(path);
        if (!value.is_number() || !std::isfinite(value.get<double>()))
        {
            throw InputError(path, "not a number but " + Shown(value), CURE);
        }
        const auto number = value.get<double>();
        if (number < low || number > high)
        {
            std::ostringstream what;
            what << number << " is not within " << low << " to " << high;
            throw InputError(path, what.str(), CURE);
        }
        return number;
    }

    /**
     * @param path dotted path
     * @param low lowest value allowed
     * @param high greatest value allowed
     * @return the value, an integer within the range
     */
    uint32_t Integer(const std::string& path, uint32_t low, uint32_t high) const
    {
        const double number = Number(path, low, high);
        if (number != std::floor(number))
        {
            throw InputError(path, "not an integer but " + Shown(At(path)), CURE);
        }
        return static_cast<uint32_t>(number);
    }

    /**
     * @param path dotted path of a value of UE-TimersAndConstants
     * @param values those that a network can signal
     * @return the value, one of them
     */
    uint32_t Signalled(const std::string& path, const std::vector<uint32_t>& values) const
    {
        const uint32_t value = Integer(path, values.front(), values.back());
        if (std::count(values.begin(), values.end(), value) == 0)
        {
            throw InputError(path,
                             std::to_string(value) + " is no value of TS 36.331 clause 6.3.6",
                             CURE);
        }
        return value;
    }

    /**
     * @param path dotted path
     * @return whether the value, which may be null, is an object
     */
    bool HasObject(const std::string& path) const
    {
        const json& value = At(path);
        if (!value.is_object() && !value.is_null())
        {
            throw InputError(path, "neither null nor an object but " + Shown(value), CURE);
        }
        return value.is_object();
    }

    /**
     * @param path dotted path
     * @param choices values allowed
     * @return the value, one of them
     */
    std::string Choice(const std::string& path, const std::vector<std::string>& choices) const
    {
        const json& value = At(path);
        if (!value.is_string() ||
            std::count(choices.begin(), choices.end(), value.get<std::string>()) == 0)
        {
            std::string what = Shown(value) + " is not one of";
            for (const std::string& choice : choices)
            {
                what += " " + choice;
            }
            throw InputError(path, what, CURE);
        }
        return value.get<std::string>();
    }

    /**
     * @param path dotted path
     * @param least fewest elements allowed
     * @return number of elements of the array
     */
    uint32_t Length(const std::string& path, std::size_t least) const
    {
        const json& value = At(path);
        if (!value.is_array() || value.size() < least)
        {
            throw InputError(path,
                             "not an array of at least " + std::to_string(least) + " elements",
                             CURE);
        }
        return static_cast<uint32_t>(value.size());
    }

  private:
    /**
     * @param path dotted path
     * @return the value there
     */
    const json& At(const std::string& path) const
    {
        std::string pointer = "/" + path;
        std::replace(pointer.begin(), pointer.end(), '.', '/');
        const json::json_pointer where(pointer);
        if (!m_root.contains(where))
        {
            throw InputError(path, "missing", CURE);
        }
        return m_root.at(where);
    }

    const json& m_root; ///< the whole document
};

/**
 * @param path a JSON file
 * @return the document
 */
json
ReadJson(const std::string& path)
{
    std::ifstream file(path);
    if (!file)
    {
        throw InputError("--scenario", "cannot read '" + path + "'", CURE);
    }
    json document = json::parse(file, nullptr, false);
    if (document.is_discarded() || !document.is_object())
    {
        throw InputError("--scenario", "'" + path + "' is not a JSON object", CURE);
    }
    return document;
}

/**
 * @param fields the scenario
 * @return its path loss model
 */
PathLoss
ReadPathLoss(const FieldReader& fields)
{
    const std::string path = "radio.path_loss.";
    PathLoss loss{};
    loss.model = fields.Choice(path + "model",
                               {"log-distance", "okumura-hata", "cost231-hata", "uma", "umi"});
    if (loss.model == "log-distance")
    {
        loss.exponent = fields.Number(path + "exponent", 0.1, 10);
        loss.referenceLossDb = fields.Number(path + "reference_loss_db", 0, 200);
    }
    else if (loss.model == "okumura-hata")
    {
        loss.environment = fields.Choice(path + "environment", {"urban", "suburban", "open"});
        loss.citySize = fields.Choice(path + "city_size", {"small", "large"});
    }
    else if (loss.model == "uma" || loss.model == "umi")
    {
        loss.condition = fields.Choice(path + "condition", {"los", "nlos"});
    }
    return loss;
}

/**
 * @param fields the scenario
 * @return the antenna pattern of its cells
 */
Antenna
ReadAntenna(const FieldReader& fields)
{
    const std::string path = "radio.antenna.";
    Antenna antenna{};
    antenna.pattern = fields.Choice(path + "pattern", {"omni", "sector"});
    if (antenna.pattern == "sector")
    {
        antenna.horizontalBeamwidthDeg = fields.Number(path + "horizontal_beamwidth_deg", 1, 360);
        antenna.verticalBeamwidthDeg = fields.Number(path + "vertical_beamwidth_deg", 1, 180);
        antenna.maxAttenuationDb = fields.Number(path + "max_attenuation_db", 0, 100);
        antenna.sideLobeLimitDb = fields.Number(path + "side_lobe_limit_db", 0, 100);
        antenna.gainDbi = fields.Number(path + "gain_dbi", -50, 50);
    }
    return antenna;
}

/**
 * @param fields the scenario
 * @return its carrier, propagation, noise, and how cells are scheduled
 */
Radio
ReadRadio(const FieldReader& fields)
{
    fields.Choice("radio.technology", {"lte"});
    // Downlink EARFCNs are below 7000 in ns-3, whose table TS 36.101 5.7.3-1 has gaps.
    const uint32_t earfcn = fields.Integer("radio.dl_earfcn", 0, 6999);
    if (ns3::LteSpectrumValueHelper::GetDownlinkCarrierFrequency(earfcn) <= 0)
    {
        throw InputError("radio.dl_earfcn", std::to_string(earfcn) + " is in no band", CURE);
    }
    const uint32_t bandwidthRb = fields.Integer("radio.dl_bandwidth_rb", 25, 100);
    if (bandwidthRb != 25 && bandwidthRb != 50 && bandwidthRb != 100)
    {
        throw InputError("radio.dl_bandwidth_rb",
                         std::to_string(bandwidthRb) + " is not 25, 50 or 100",
                         CURE);
    }
    return {Technology::LTE,
            earfcn,
            static_cast<uint8_t>(bandwidthRb),
            fields.Number("radio.ue_height_m", 0, 1000),
            fields.Number("radio.cell_height_m", 0, 1000),
            ReadPathLoss(fields),
            fields.HasObject("radio.shadowing"),
            ReadAntenna(fields),
            fields.Number("radio.ue_noise_figure_db", 0, 50),
            fields.Choice("radio.scheduler", {"pf", "rr"}),
            fields.Choice("radio.rrc", {"ideal", "real"}),
            fields.Choice("radio.cqi", {"control", "pdsch"})};
}

/**
 * @param fields the document
 * @param ues number of UEs
 * @return the section "traffic"
 */
Traffic
ReadTraffic(const FieldReader& fields, uint32_t ues)
{
    const std::vector<std::string> models{"cbr", "poisson", "on-off", "full-buffer"};
    const std::string name = fields.Choice("traffic.arrivals.model", models);
    const auto index = std::find(models.begin(), models.end(), name) - models.begin();

    Traffic traffic{};
    traffic.model = static_cast<TrafficModel>(index);
    if (traffic.model == TrafficModel::ON_OFF)
    {
        traffic.meanOnS = fields.Number("traffic.arrivals.mean_on_s", 1e-3, 3600);
        traffic.meanOffS = fields.Number("traffic.arrivals.mean_off_s", 1e-3, 3600);
    }
    traffic.uplinkBps = fields.Number("traffic.uplink_bps", 0, 1e9);
    traffic.packetBytes = fields.Integer("traffic.packet_bytes", 20, 1472);

    const std::string weightsPath = "traffic.ue_weights";
    const uint32_t count = fields.Length(weightsPath, 0);
    if (count != 0 && count != ues)
    {
        throw InputError(weightsPath,
                         std::to_string(count) + " weights for " + std::to_string(ues) + " UEs",
                         CURE);
    }
    std::vector<double> weights(ues, 1.0);
    for (uint32_t ue = 0; ue < count; ++ue)
    {
        weights[ue] = fields.Number(weightsPath + "." + std::to_string(ue), 1e-3, 1e3);
    }
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    const double offeredBps = fields.Number("traffic.offered_bps", 1, 1e9);
    for (const double weight : weights)
    {
        traffic.ueOfferedBps.push_back(std::max(1.0, offeredBps * weight * (ues / sum)));
    }
    return traffic;
}

} // namespace

Scenario
Scenario::Read(const std::string& path)
{
    constexpr double FAR_M = 1e7;
    const json document = ReadJson(path);
    const FieldReader fields(document);

    Scenario scenario{};
    // All may be in one cell, where each needs an SRS resource: one a subframe, at the longest
    // period of 320 ms (TS 36.213 table 8.2-1).
    scenario.ues = fields.Integer("mobility.ues", 1, 320);

    scenario.radio = ReadRadio(fields);
    scenario.handover = {fields.Number("handover.a3_offset_db", -30, 30),
                         fields.Number("handover.hysteresis_db", 0, 30),
                         fields.Integer("handover.time_to_trigger_ms", 0, 10000),
                         fields.Number("handover.cio_range_db", 0, 24),
                         {},
                         {}};
    for (uint32_t i = 0; i < fields.Length("handover.steer", 0); ++i)
    {
        const auto range = [&fields](const std::string& path, double high) {
            fields.Length(path, 2);
            return Range{fields.Number(path + ".0", 0, high), fields.Number(path + ".1", 0, high)};
        };
        if (fields.Choice("handover.steer." + std::to_string(i),
                          {"hysteresis", "time-to-trigger"}) == "hysteresis")
        {
            scenario.handover.steeredHysteresisDb = range("handover.hysteresis_range_db", 30);
        }
        else
        {
            scenario.handover.steeredTimeToTriggerMs =
                range("handover.time_to_trigger_range_ms", 10000);
        }
    }
    scenario.radioLink = {
        fields.Signalled("radio_link.n310", {1, 2, 3, 4, 6, 8, 10, 20}),
        fields.Signalled("radio_link.n311", {1, 2, 3, 4, 5, 6, 8, 10}),
        fields.Signalled("radio_link.t310_ms", {0, 50, 100, 200, 500, 1000, 2000})};
    scenario.traffic = ReadTraffic(fields, scenario.ues);
    scenario.episode = {fields.Integer("episode.steps", 1, 1000000),
                        fields.Number("episode.control_interval_s", 0.2, 3600),
                        fields.Number("episode.warmup_s", 1.2, 3600)};

    for (uint32_t i = 0; i < fields.Length("cells", 1); ++i)
    {
        const std::string cell = "cells." + std::to_string(i);
        scenario.cells.push_back({fields.Number(cell + ".x_m", -FAR_M, FAR_M),
                                  fields.Number(cell + ".y_m", -FAR_M, FAR_M),
                                  fields.Number(cell + ".height_m", 0, 1000),
                                  fields.Number(cell + ".tx_power_dbm", -30, 80),
                                  fields.Number(cell + ".azimuth_deg", 0, 360),
                                  fields.Number(cell + ".tilt_deg", -90, 90)});
        const Cell& here = scenario.cells.back();
        const bool isAlone = std::none_of(scenario.cells.begin(),
                                          scenario.cells.end() - 1,
                                          [&here, &scenario](const Cell& other) {
                                              return here.xM == other.xM && here.yM == other.yM &&
                                                     (here.azimuthDeg == other.azimuthDeg ||
                                                      scenario.radio.antenna.pattern == "omni");
                                          });
        if (!isAlone)
        {
            throw InputError(cell, "stands on the spot of another cell, and looks its way", CURE);
        }
    }
    const auto last = static_cast<uint32_t>(scenario.cells.size()) - 1;
    for (uint32_t i = 0; i < fields.Length("neighbor_pairs", 1); ++i)
    {
        const std::string pair = "neighbor_pairs." + std::to_string(i);
        const uint32_t serving = fields.Integer(pair + ".0", 0, last);
        const uint32_t neighbor = fields.Integer(pair + ".1", 0, last);
        if (serving == neighbor)
        {
            throw InputError(pair, "a cell cannot be its own neighbour", CURE);
        }
        const auto found = std::pair(serving, neighbor);
        if (i > 0 && found <= scenario.neighborPairs.back())
        {
            throw InputError(pair, "pairs must be sorted and without repetition", CURE);
        }
        scenario.neighborPairs.push_back(found);
    }
    return scenario;
}

} // namespace mlb
