// SPDX-License-Identifier: MIT

#include "scenario.h"
#include "test-file.h"

#include "ns3/test.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

using namespace mlb;
using nlohmann::json;

namespace
{

/// @return a scenario in which every number is another
json
Document()
{
    return json::parse(R"({
        "mobility": {"ues": 7},
        "radio": {"technology": "lte", "dl_earfcn": 800, "dl_bandwidth_rb": 50,
                  "ue_height_m": 1.5, "cell_height_m": 28,
                  "path_loss": {"model": "log-distance", "exponent": 3.76,
                                "reference_loss_db": 15.3},
                  "shadowing": {},
                  "antenna": {"pattern": "sector", "horizontal_beamwidth_deg": 70,
                              "vertical_beamwidth_deg": 10, "max_attenuation_db": 25,
                              "side_lobe_limit_db": 20, "gain_dbi": 14},
                  "ue_noise_figure_db": 9, "scheduler": "rr", "rrc": "real", "cqi": "pdsch"},
        "handover": {"a3_offset_db": -1, "hysteresis_db": 2, "time_to_trigger_ms": 256,
                     "cio_range_db": 6, "steer": ["hysteresis", "time-to-trigger"],
                     "hysteresis_range_db": [1, 4], "time_to_trigger_range_ms": [80, 640]},
        "radio_link": {"n310": 8, "n311": 5, "t310_ms": 500},
        "traffic": {"arrivals": {"model": "on-off", "mean_on_s": 0.25, "mean_off_s": 0.75},
                    "offered_bps": 2e5, "ue_weights": [1, 1, 1, 1, 1, 1, 8], "uplink_bps": 5e4,
                    "packet_bytes": 1000},
        "episode": {"steps": 40, "control_interval_s": 0.6, "warmup_s": 3},
        "cells": [{"x_m": -10, "y_m": 20, "height_m": 30, "tx_power_dbm": 40,
                   "azimuth_deg": 0, "tilt_deg": 0},
                  {"x_m": 500, "y_m": 600, "height_m": 25, "tx_power_dbm": 43,
                   "azimuth_deg": 120, "tilt_deg": 6}],
        "neighbor_pairs": [[0, 1], [1, 0]]})");
}

/// Every field arrives where it belongs.
class ReadTestCase : public ns3::TestCase
{
  public:
    ReadTestCase()
        : TestCase("all fields")
    {
    }

  private:
    void DoRun() override
    {
        const std::string path = CreateTempDirFilename("scenario.json");
        const Scenario scenario = Scenario::Read(WriteFile(path, Document().dump()));
        NS_TEST_EXPECT_MSG_EQ(scenario.ues, 7U, "mobility.ues");
        NS_TEST_EXPECT_MSG_EQ((scenario.radio.technology == Technology::LTE), true, "technology");
        NS_TEST_EXPECT_MSG_EQ(+scenario.radio.dlBandwidthRb, 50, "radio.dl_bandwidth_rb");
        NS_TEST_EXPECT_MSG_EQ(scenario.radio.dlEarfcn, 800U, "radio.dl_earfcn");
        NS_TEST_EXPECT_MSG_EQ(scenario.radio.ueHeightM, 1.5, "radio.ue_height_m");
        NS_TEST_EXPECT_MSG_EQ(scenario.radio.cellHeightM, 28, "radio.cell_height_m");
        const PathLoss& loss = scenario.radio.pathLoss;
        NS_TEST_EXPECT_MSG_EQ(loss.model, "log-distance", "radio.path_loss.model");
        NS_TEST_EXPECT_MSG_EQ(loss.exponent, 3.76, "radio.path_loss.exponent");
        NS_TEST_EXPECT_MSG_EQ(loss.referenceLossDb, 15.3, "radio.path_loss.reference_loss_db");
        NS_TEST_EXPECT_MSG_EQ(scenario.radio.hasShadowing, true, "radio.shadowing");
        const Antenna& antenna = scenario.radio.antenna;
        NS_TEST_EXPECT_MSG_EQ(antenna.pattern, "sector", "radio.antenna.pattern");
        NS_TEST_EXPECT_MSG_EQ(antenna.horizontalBeamwidthDeg, 70, "radio.antenna");
        NS_TEST_EXPECT_MSG_EQ(antenna.verticalBeamwidthDeg, 10, "radio.antenna");
        NS_TEST_EXPECT_MSG_EQ(antenna.maxAttenuationDb, 25, "radio.antenna.max_attenuation_db");
        NS_TEST_EXPECT_MSG_EQ(antenna.sideLobeLimitDb, 20, "radio.antenna.side_lobe_limit_db");
        NS_TEST_EXPECT_MSG_EQ(antenna.gainDbi, 14, "radio.antenna.gain_dbi");
        NS_TEST_EXPECT_MSG_EQ(scenario.radio.scheduler, "rr", "radio.scheduler");
        NS_TEST_EXPECT_MSG_EQ(scenario.radio.cqi, "pdsch", "radio.cqi");
        NS_TEST_EXPECT_MSG_EQ(scenario.radio.ueNoiseFigureDb, 9, "radio.ue_noise_figure_db");
        NS_TEST_EXPECT_MSG_EQ(scenario.handover.a3OffsetDb, -1, "handover.a3_offset_db");
        NS_TEST_EXPECT_MSG_EQ(scenario.handover.hysteresisDb, 2, "handover.hysteresis_db");
        NS_TEST_EXPECT_MSG_EQ(scenario.handover.timeToTriggerMs,
                              256,
                              "handover.time_to_trigger_ms");
        NS_TEST_EXPECT_MSG_EQ(scenario.handover.cioRangeDb, 6, "handover.cio_range_db");
        NS_TEST_EXPECT_MSG_EQ(scenario.handover.steeredHysteresisDb->low, 1, "hysteresis_range_db");
        NS_TEST_EXPECT_MSG_EQ(scenario.handover.steeredHysteresisDb->high,
                              4,
                              "hysteresis_range_db");
        NS_TEST_EXPECT_MSG_EQ(scenario.handover.steeredTimeToTriggerMs->low,
                              80,
                              "time_to_trigger_range_ms");
        NS_TEST_EXPECT_MSG_EQ(scenario.handover.steeredTimeToTriggerMs->high,
                              640,
                              "time_to_trigger_range_ms");
        NS_TEST_EXPECT_MSG_EQ(scenario.radioLink.n310, 8U, "radio_link.n310");
        NS_TEST_EXPECT_MSG_EQ(scenario.radioLink.n311, 5U, "radio_link.n311");
        NS_TEST_EXPECT_MSG_EQ(scenario.radioLink.t310Ms, 500, "radio_link.t310_ms");
        const Traffic& traffic = scenario.traffic;
        NS_TEST_EXPECT_MSG_EQ((traffic.model == TrafficModel::ON_OFF), true, "traffic.arrivals");
        NS_TEST_EXPECT_MSG_EQ(traffic.meanOnS, 0.25, "traffic.arrivals.mean_on_s");
        NS_TEST_EXPECT_MSG_EQ(traffic.meanOffS, 0.75, "traffic.arrivals.mean_off_s");
        NS_TEST_ASSERT_MSG_EQ(traffic.ueOfferedBps.size(), 7U, "traffic.ue_weights");
        NS_TEST_EXPECT_MSG_EQ_TOL(traffic.ueOfferedBps[0], 1e5, 1e-6, "traffic.offered_bps");
        NS_TEST_EXPECT_MSG_EQ_TOL(traffic.ueOfferedBps[6], 8e5, 1e-6, "traffic.ue_weights.6");
        NS_TEST_EXPECT_MSG_EQ(traffic.uplinkBps, 5e4, "traffic.uplink_bps");
        NS_TEST_EXPECT_MSG_EQ(traffic.packetBytes, 1000U, "traffic.packet_bytes");
        NS_TEST_EXPECT_MSG_EQ(scenario.episode.steps, 40U, "episode.steps");
        NS_TEST_EXPECT_MSG_EQ(scenario.episode.controlIntervalS, 0.6, "episode.control_interval_s");
        NS_TEST_EXPECT_MSG_EQ(scenario.episode.warmupS, 3, "episode.warmup_s");
        NS_TEST_ASSERT_MSG_EQ(scenario.cells.size(), 2U, "cells");
        NS_TEST_EXPECT_MSG_EQ(scenario.cells[1].xM, 500, "cells.1.x_m");
        NS_TEST_EXPECT_MSG_EQ(scenario.cells[1].yM, 600, "cells.1.y_m");
        NS_TEST_EXPECT_MSG_EQ(scenario.cells[1].heightM, 25, "cells.1.height_m");
        NS_TEST_EXPECT_MSG_EQ(scenario.cells[1].txPowerDbm, 43, "cells.1.tx_power_dbm");
        NS_TEST_EXPECT_MSG_EQ(scenario.cells[1].azimuthDeg, 120, "cells.1.azimuth_deg");
        NS_TEST_EXPECT_MSG_EQ(scenario.cells[1].tiltDeg, 6, "cells.1.tilt_deg");
        NS_TEST_ASSERT_MSG_EQ(scenario.neighborPairs.size(), 2U, "neighbor_pairs");
        NS_TEST_EXPECT_MSG_EQ(scenario.neighborPairs[1].first, 1U, "neighbor_pairs.1.0");
        NS_TEST_EXPECT_MSG_EQ(scenario.neighborPairs[1].second, 0U, "neighbor_pairs.1.1");
    }
};

/// Whatever field is taken away or becomes something else, it is the one that is named.
class RefusalTestCase : public ns3::TestCase
{
  public:
    /**
     * @param pointer a JSON pointer
     * @param value what is there instead; null: nothing
     * @param field the field that is to be named
     */
    RefusalTestCase(const std::string& pointer, const json& value, const std::string& field)
        : TestCase(field),
          m_document(Document()),
          m_field(field)
    {
        const json::json_pointer where(pointer);
        if (value.is_null())
        {
            m_document.at(where.parent_pointer()).erase(where.back());
        }
        else
        {
            m_document[where] = value;
        }
    }

  private:
    void DoRun() override
    {
        const std::string path =
            WriteFile(CreateTempDirFilename("scenario.json"), m_document.dump());
        const std::string said = RefusalOf([&path] { Scenario::Read(path); });
        NS_TEST_EXPECT_MSG_EQ(said.substr(0, said.find(": ")),
                              m_field,
                              m_document.dump() << " gave " << said);
        NS_TEST_EXPECT_MSG_NE(said.find("; cure: "), std::string::npos, "no cure in " << said);
        NS_TEST_EXPECT_MSG_LT(said.size(), 300, "too long for a message");
    }

    json m_document;     ///< the scenario
    std::string m_field; ///< the field that is to be named
};

/// Scenario::Read.
class ScenarioTestSuite : public ns3::TestSuite
{
  public:
    ScenarioTestSuite()
        : TestSuite("mlb-scenario")
    {
        AddTestCase(new ReadTestCase);
        const json document = Document();
        for (const std::string section : {"radio",
                                          "radio.path_loss",
                                          "radio.antenna",
                                          "handover",
                                          "radio_link",
                                          "traffic",
                                          "traffic.arrivals",
                                          "episode"})
        {
            std::string parent = "/" + section;
            std::replace(parent.begin(), parent.end(), '.', '/');
            for (const auto& [name, value] : document.at(json::json_pointer(parent)).items())
            {
                if (value.is_object())
                {
                    continue;
                }
                const std::string pointer = parent + "/" + name;
                const std::string field = section + "." + name;
                AddTestCase(new RefusalTestCase(pointer, nullptr, field));
                AddTestCase(new RefusalTestCase(pointer, "x", field));
                AddTestCase(new RefusalTestCase(pointer, -1e9, field));
                AddTestCase(new RefusalTestCase(pointer, 1e12, field));
            }
        }
        json twin = document.at("/cells/0"_json_pointer);
        twin["height_m"] = 15;
        AddTestCase(new RefusalTestCase("/cells/1", twin, "cells.1"));
        AddTestCase(new RefusalTestCase("/radio", 3, "radio.technology"));
        AddTestCase(new RefusalTestCase("/radio/dl_bandwidth_rb", 75, "radio.dl_bandwidth_rb"));
        AddTestCase(new RefusalTestCase("/radio/dl_earfcn", 4990, "radio.dl_earfcn"));
        AddTestCase(new RefusalTestCase("/radio/path_loss",
                                        {{"model", "okumura-hata"}},
                                        "radio.path_loss.environment"));
        AddTestCase(new RefusalTestCase("/radio/path_loss",
                                        {{"model", "umi"}},
                                        "radio.path_loss.condition"));
        AddTestCase(new RefusalTestCase("/radio/shadowing", 8, "radio.shadowing"));
        const std::string longText(9000, 'x');
        for (const std::string field : {"radio.shadowing", "radio.scheduler", "episode.warmup_s"})
        {
            std::string pointer = "/" + field;
            std::replace(pointer.begin(), pointer.end(), '.', '/');
            AddTestCase(new RefusalTestCase(pointer, longText, field));
        }
        AddTestCase(new RefusalTestCase("/radio_link/n310", 0, "radio_link.n310"));
        AddTestCase(new RefusalTestCase("/radio_link/n311", 7, "radio_link.n311"));
        AddTestCase(new RefusalTestCase("/radio_link/t310_ms", 300, "radio_link.t310_ms"));
        AddTestCase(new RefusalTestCase("/mobility/ues", 0.5, "mobility.ues"));
        AddTestCase(new RefusalTestCase("/mobility/ues", 321, "mobility.ues"));
        AddTestCase(new RefusalTestCase("/episode/warmup_s", 1, "episode.warmup_s"));
        AddTestCase(new RefusalTestCase("/cells", json::array(), "cells"));
        AddTestCase(new RefusalTestCase("/cells/1/x_m", 1e9, "cells.1.x_m"));
        AddTestCase(new RefusalTestCase("/neighbor_pairs", 4, "neighbor_pairs"));
        AddTestCase(new RefusalTestCase("/neighbor_pairs/0/1", 2, "neighbor_pairs.0.1"));
        AddTestCase(new RefusalTestCase("/neighbor_pairs/0/1", 0, "neighbor_pairs.0"));
        AddTestCase(new RefusalTestCase("/neighbor_pairs/1", json{0, 1}, "neighbor_pairs.1"));
    }
};

ScenarioTestSuite g_scenarioTestSuite; ///< the suite

} // namespace
