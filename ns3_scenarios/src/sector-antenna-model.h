// SPDX-License-Identifier: MIT

#ifndef SECTOR_ANTENNA_MODEL_H
#define SECTOR_ANTENNA_MODEL_H

#include "ns3/angles.h"
#include "ns3/antenna-model.h"

namespace mlb
{

/**
 * @brief The antenna of a sector, in azimuth and elevation: TR 36.814 table A.2.1.1-2.
 *
 * ns3::ParabolicAntennaModel has the same pattern in azimuth, but knows no elevation and no tilt.
 */
class SectorAntennaModel : public ns3::AntennaModel
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static ns3::TypeId GetTypeId();

    // inherited from AntennaModel
    double GetGainDb(ns3::Angles angles) override;

  private:
    double m_azimuthDeg;             ///< of the main lobe, clockwise from north (+y), in degrees
    double m_tiltDeg;                ///< of the main lobe, below the horizon, in degrees
    double m_horizontalBeamwidthDeg; ///< between the points 3 dB down, in degrees
    double m_verticalBeamwidthDeg;   ///< between the points 3 dB down, in degrees
    double m_maxAttenuationDb;       ///< A_m, in dB
    double m_sideLobeLimitDb;        ///< SLA_v, in dB
    double m_gainDbi;                ///< of the main lobe, in dBi
};

} // namespace mlb

#endif // SECTOR_ANTENNA_MODEL_H
