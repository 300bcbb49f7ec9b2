// SPDX-License-Identifier: MIT

#ifndef SHADOWING_MAP_H
#define SHADOWING_MAP_H

#include "scenario.h"

#include "ns3/mobility-model.h"
#include "ns3/propagation-loss-model.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mlb
{

/**
 * @brief Shadowing between sites and places, read from a map.
 *
 * Bilinear between the points of the map, clamped outside, as in the analytic engine. Links that
 * do not begin or end at a known cell are not shadowed.
 */
class ShadowingMap : public ns3::PropagationLossModel
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static ns3::TypeId GetTypeId();

    /**
     * @brief Reads the map of some sites.
     *
     * @param path a file of the Python class ShadowingMap: a line "mlb-shadowing 1", number of
     *        sites, rows and columns, x and y of the south-west point and distance of the points in
     *        m; then, by site, row from the south and column from the west, the loss in dB as
     *        little-endian 32-bit floats
     * @param sites number of sites that it must have
     * @throws InputError if it cannot be read, is damaged or has other sites
     */
    void Read(const std::string& path, uint32_t sites);

    /**
     * @brief Makes a cell known.
     * @param cell where the cell is
     * @param site index of its site
     */
    void AddCell(ns3::Ptr<const ns3::MobilityModel> cell, uint32_t site);

    /**
     * @param site index of a site
     * @param xM east, in m
     * @param yM north, in m
     * @return loss between the site and this place, in dB
     */
    double GetLossDb(uint32_t site, double xM, double yM) const;

  protected:
    void DoDispose() override;

  private:
    // inherited from PropagationLossModel
    double DoCalcRxPower(double txPowerDbm,
                         ns3::Ptr<ns3::MobilityModel> a,
                         ns3::Ptr<ns3::MobilityModel> b) const override;
    int64_t DoAssignStreams(int64_t stream) override;

    uint32_t m_rows{0};          ///< points from south to north
    uint32_t m_columns{0};       ///< points from west to east
    double m_westM{0};           ///< x of the first column, in m
    double m_southM{0};          ///< y of the first row, in m
    double m_gridM{1};           ///< distance of the points, in m
    std::vector<float> m_lossDb; ///< by site, row and column, in dB
    std::map<ns3::Ptr<const ns3::MobilityModel>, uint32_t> m_siteOf; ///< by cell
};

/**
 * @param cells the cells of a scenario
 * @return the site of each cell; sites are counted as they first occur
 */
std::vector<uint32_t> GetSites(const std::vector<Cell>& cells);

} // namespace mlb

#endif // SHADOWING_MAP_H
