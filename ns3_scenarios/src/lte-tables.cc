// SPDX-License-Identifier: MIT

/**
 * @file
 * Prints as JSON what a model of ns-3's LTE downlink needs from ns-3 itself: RBG sizes, transport
 * block sizes, the SINR at which adaptive modulation and coding moves to the next CQI and MCS, and
 * how often a UE misses the control region.
 */

#include "rbg-size.h"

#include "ns3/lte-amc.h"
#include "ns3/lte-mi-error-model.h"
#include "ns3/lte-spectrum-value-helper.h"

#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

using namespace ns3;
using mlb::RbgSizeRb;

namespace
{

constexpr int MAX_MCS = 28;
constexpr int MAX_CQI = 15;

/**
 * CQI of the first RBG for the same SINR on all RBs, as a UE reports it in an A30 report.
 *
 * @param amc adaptive modulation and coding
 * @param bandwidthRb downlink bandwidth in RBs
 * @param sinrDb SINR in dB
 * @return CQI, 0 to 15
 */
int
FlatCqi(LteAmc& amc, int bandwidthRb, double sinrDb)
{
    constexpr uint32_t EARFCN = 100;
    SpectrumValue sinr(LteSpectrumValueHelper::GetSpectrumModel(EARFCN, bandwidthRb));
    sinr = std::pow(10.0, sinrDb / 10.0);
    return amc.CreateCqiFeedbacks(sinr, RbgSizeRb(bandwidthRb)).front();
}

/**
 * Lowest flat SINR at which a CQI is reported, by bisection to below 1e-6 dB.
 *
 * @param amc adaptive modulation and coding
 * @param bandwidthRb downlink bandwidth in RBs
 * @param cqi the CQI, at least 1
 * @return SINR in dB
 */
double
ThresholdDb(LteAmc& amc, int bandwidthRb, int cqi)
{
    double belowDb = -20.0;
    double aboveDb = 40.0;
    while (aboveDb - belowDb > 1e-7)
    {
        const double middleDb = (belowDb + aboveDb) / 2.0;
        (FlatCqi(amc, bandwidthRb, middleDb) >= cqi ? aboveDb : belowDb) = middleDb;
    }
    return aboveDb;
}

/**
 * The tables of one bandwidth.
 *
 * @param amc adaptive modulation and coding
 * @param bandwidthRb downlink bandwidth in RBs
 * @return {"rbg_size_rb", "tbs_bits": [mcs][rb - 1], "cqi": [{"cqi", "mcs", "sinr_db"}]}
 */
nlohmann::ordered_json
BandwidthTables(LteAmc& amc, int bandwidthRb)
{
    std::vector<std::vector<int>> tbsBits(MAX_MCS + 1);
    for (int mcs = 0; mcs <= MAX_MCS; ++mcs)
    {
        for (int rbs = 1; rbs <= bandwidthRb; ++rbs)
        {
            tbsBits[mcs].push_back(amc.GetDlTbSizeFromMcs(mcs, rbs));
        }
    }
    nlohmann::ordered_json thresholds = nlohmann::ordered_json::array();
    for (int cqi = 1; cqi <= MAX_CQI; ++cqi)
    {
        thresholds.push_back({{"cqi", cqi},
                              {"mcs", amc.GetMcsFromCqi(cqi)},
                              {"sinr_db", ThresholdDb(amc, bandwidthRb, cqi)}});
    }
    return {{"rbg_size_rb", RbgSizeRb(bandwidthRb)}, {"tbs_bits", tbsBits}, {"cqi", thresholds}};
}

/**
 * @brief How often a UE misses PCFICH and PDCCH, and with them its grant, by flat SINR.
 * @return [{"sinr_db", "error_rate"}], the steps of the curve; each rate holds from its SINR on
 */
nlohmann::ordered_json
ControlErrors()
{
    constexpr int BANDWIDTH_RB = 25;
    constexpr uint32_t EARFCN = 100;
    SpectrumValue sinr(LteSpectrumValueHelper::GetSpectrumModel(EARFCN, BANDWIDTH_RB));
    nlohmann::ordered_json steps = nlohmann::ordered_json::array();
    double last = -1;
    for (int hundredthsDb = -2000; hundredthsDb <= 4000; ++hundredthsDb)
    {
        sinr = std::pow(10.0, hundredthsDb / 1000.0);
        const double rate = LteMiErrorModel::GetPcfichPdcchError(sinr);
        if (rate != last)
        {
            steps.push_back({{"sinr_db", hundredthsDb / 100.0}, {"error_rate", rate}});
            last = rate;
        }
    }
    return steps;
}

} // namespace

int
main()
{
    auto amc = CreateObject<LteAmc>();
    nlohmann::ordered_json tables;
    for (int bandwidthRb : {25, 50, 100})
    {
        tables[std::to_string(bandwidthRb)] = BandwidthTables(*amc, bandwidthRb);
    }
    std::cout << nlohmann::ordered_json{{"amc_model", "MiErrorModel"},
                                        {"bandwidth_rb", tables},
                                        {"control_error", ControlErrors()}}
                     .dump(1)
              << '\n';
    return 0;
}
