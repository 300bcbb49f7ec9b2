// SPDX-License-Identifier: MIT

/**
 * @file
 * Prints as JSON what a model of ns-3's LTE downlink needs from ns-3 itself: RBG sizes, transport
 * block sizes, the SINR at which adaptive modulation and coding moves to the next CQI and MCS, how
 * often a UE misses the control region, and how often it cannot decode a block.
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
 * @param bandwidthRb downlink bandwidth in RBs
 * @param sinrDb SINR in dB
 * @return the same SINR on all RBs
 */
SpectrumValue
FlatSinr(int bandwidthRb, double sinrDb)
{
    constexpr uint32_t EARFCN = 100;
    SpectrumValue sinr(LteSpectrumValueHelper::GetSpectrumModel(EARFCN, bandwidthRb));
    sinr = std::pow(10.0, sinrDb / 10.0);
    return sinr;
}

/**
 * CQI for the same SINR on all RBs.
 *
 * @param amc adaptive modulation and coding
 * @param bandwidthRb downlink bandwidth in RBs
 * @param reportRb RBs that share a CQI: an RBG in an A30 report, the bandwidth in a P10 report
 * @param sinrDb SINR in dB
 * @return CQI, 0 to 15
 */
int
FlatCqi(LteAmc& amc, int bandwidthRb, int reportRb, double sinrDb)
{
    return amc.CreateCqiFeedbacks(FlatSinr(bandwidthRb, sinrDb), reportRb).front();
}

/**
 * Lowest flat SINR at which a CQI is reported, by bisection to below 1e-6 dB.
 *
 * @param amc adaptive modulation and coding
 * @param bandwidthRb downlink bandwidth in RBs
 * @param reportRb RBs that share a CQI
 * @param cqi the CQI, at least 1
 * @return SINR in dB
 */
double
ThresholdDb(LteAmc& amc, int bandwidthRb, int reportRb, int cqi)
{
    double belowDb = -20.0;
    double aboveDb = 40.0;
    while (aboveDb - belowDb > 1e-7)
    {
        const double middleDb = (belowDb + aboveDb) / 2.0;
        (FlatCqi(amc, bandwidthRb, reportRb, middleDb) >= cqi ? aboveDb : belowDb) = middleDb;
    }
    return aboveDb;
}

/**
 * The tables of one bandwidth.
 *
 * @param amc adaptive modulation and coding
 * @param bandwidthRb downlink bandwidth in RBs
 * @return {"rbg_size_rb", "tbs_bits": [mcs][rb - 1],
 *          "cqi": [{"cqi", "mcs", "sinr_db", "wideband_sinr_db"}]}
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
        thresholds.push_back(
            {{"cqi", cqi},
             {"mcs", amc.GetMcsFromCqi(cqi)},
             {"sinr_db", ThresholdDb(amc, bandwidthRb, RbgSizeRb(bandwidthRb), cqi)},
             {"wideband_sinr_db", ThresholdDb(amc, bandwidthRb, bandwidthRb, cqi)}});
    }
    return {{"rbg_size_rb", RbgSizeRb(bandwidthRb)}, {"tbs_bits", tbsBits}, {"cqi", thresholds}};
}

/**
 * @brief The steps of a curve over flat SINR.
 * @param curve the curve
 * @param name what to call its values
 * @return [{"sinr_db", name}]; each value holds from its SINR on
 */
template <typename Curve>
nlohmann::ordered_json
Steps(Curve curve, const char* name)
{
    constexpr int BANDWIDTH_RB = 25;
    nlohmann::ordered_json steps = nlohmann::ordered_json::array();
    double last = -1;
    for (int hundredthsDb = -2000; hundredthsDb <= 4000; ++hundredthsDb)
    {
        const double value = curve(FlatSinr(BANDWIDTH_RB, hundredthsDb / 100.0));
        if (value != last)
        {
            steps.push_back({{"sinr_db", hundredthsDb / 100.0}, {name, value}});
            last = value;
        }
    }
    return steps;
}

/**
 * @brief How often a UE misses PCFICH and PDCCH, and with them its grant, by flat SINR.
 * @return [{"sinr_db", "error_rate"}], the steps of the curve; each rate holds from its SINR on
 */
nlohmann::ordered_json
ControlErrors()
{
    return Steps(
        [](const SpectrumValue& sinr) { return LteMiErrorModel::GetPcfichPdcchError(sinr); },
        "error_rate");
}

/**
 * @brief The mutual information of a modulation, by flat SINR.
 * @param mcs one of its MCS
 * @return [{"sinr_db", "mutual_information"}]
 */
nlohmann::ordered_json
MutualInformation(uint8_t mcs)
{
    return Steps([mcs](const SpectrumValue& sinr) { return LteMiErrorModel::Mib(sinr, {0}, mcs); },
                 "mutual_information");
}

/**
 * @brief Where the block error rate of a code falls to a value, by bisection.
 * @param curve ns-3's number of the code rate, ordered by modulation
 * @param bits size of the code block
 * @param errorRate the value
 * @return mutual information
 */
double
MutualInformationAt(uint8_t curve, uint16_t bits, double errorRate)
{
    double below = -1;
    double above = 3;
    while (above - below > 1e-9)
    {
        const double middle = (below + above) / 2;
        (LteMiErrorModel::MappingMiBler(middle, curve, bits) <= errorRate ? above : below) = middle;
    }
    return above;
}

/**
 * @brief The block error rate of each code, 1/2 erfc((mutual information - mean) / (sqrt(2) std)).
 * @return [code block size][code rate] {"mean", "std"}
 */
nlohmann::ordered_json
CodeErrors()
{
    constexpr int CURVES = 38;
    const double oneStd = std::erfc(1 / std::sqrt(2)) / 2;
    nlohmann::ordered_json sizes = nlohmann::ordered_json::array();
    for (int bits : {40, 104, 160, 256, 512, 1024, 2560, 4032, 6144})
    {
        nlohmann::ordered_json curves = nlohmann::ordered_json::array();
        for (int curve = 0; curve < CURVES; ++curve)
        {
            const double mean = MutualInformationAt(curve, bits, 0.5);
            curves.push_back(
                {{"mean", mean}, {"std", MutualInformationAt(curve, bits, oneStd) - mean}});
        }
        sizes.push_back({{"bits", bits}, {"curves", curves}});
    }
    return sizes;
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
                                        {"control_error", ControlErrors()},
                                        {"mutual_information",
                                         {{"qpsk", MutualInformation(0)},
                                          {"16qam", MutualInformation(10)},
                                          {"64qam", MutualInformation(17)}}},
                                        {"code_error", CodeErrors()}}
                     .dump(1)
              << '\n';
    return 0;
}
