// SPDX-License-Identifier: MIT

#include "sector-antenna-model.h"

#include "ns3/double.h"

#include <algorithm>
#include <cmath>

namespace mlb
{

using namespace ns3;

NS_OBJECT_ENSURE_REGISTERED(SectorAntennaModel);

TypeId
SectorAntennaModel::GetTypeId()
{
    static TypeId tid =
        TypeId("mlb::SectorAntennaModel")
            .SetParent<AntennaModel>()
            .SetGroupName("Antenna")
            .AddConstructor<SectorAntennaModel>()
            .AddAttribute("Azimuth",
                          "Direction of the main lobe, clockwise from north (+y), in degrees",
                          DoubleValue(0),
                          MakeDoubleAccessor(&SectorAntennaModel::m_azimuthDeg),
                          MakeDoubleChecker<double>())
            .AddAttribute("Tilt",
                          "Direction of the main lobe, below the horizon, in degrees",
                          DoubleValue(0),
                          MakeDoubleAccessor(&SectorAntennaModel::m_tiltDeg),
                          MakeDoubleChecker<double>(-90, 90))
            .AddAttribute("HorizontalBeamwidth",
                          "Beamwidth in azimuth between the points 3 dB down, in degrees",
                          DoubleValue(70),
                          MakeDoubleAccessor(&SectorAntennaModel::m_horizontalBeamwidthDeg),
                          MakeDoubleChecker<double>(1, 360))
            .AddAttribute("VerticalBeamwidth",
                          "Beamwidth in elevation between the points 3 dB down, in degrees",
                          DoubleValue(10),
                          MakeDoubleAccessor(&SectorAntennaModel::m_verticalBeamwidthDeg),
                          MakeDoubleChecker<double>(1, 180))
            .AddAttribute("MaxAttenuation",
                          "Greatest attenuation in azimuth and of both together, in dB",
                          DoubleValue(25),
                          MakeDoubleAccessor(&SectorAntennaModel::m_maxAttenuationDb),
                          MakeDoubleChecker<double>(0))
            .AddAttribute("SideLobeLimit",
                          "Greatest attenuation in elevation, in dB",
                          DoubleValue(20),
                          MakeDoubleAccessor(&SectorAntennaModel::m_sideLobeLimitDb),
                          MakeDoubleChecker<double>(0))
            .AddAttribute("Gain",
                          "Gain of the main lobe, in dBi",
                          DoubleValue(14),
                          MakeDoubleAccessor(&SectorAntennaModel::m_gainDbi),
                          MakeDoubleChecker<double>());
    return tid;
}

double
SectorAntennaModel::GetGainDb(Angles angles)
{
    // ns-3 counts azimuths from +x counter-clockwise, and inclinations from the zenith.
    const double azimuthDeg = 90 - RadiansToDegrees(angles.GetAzimuth());
    const double downDeg = RadiansToDegrees(angles.GetInclination()) - 90;
    const double asideDeg = std::remainder(azimuthDeg - m_azimuthDeg, 360);
    const double horizontalDb =
        std::min(12 * std::pow(asideDeg / m_horizontalBeamwidthDeg, 2), m_maxAttenuationDb);
    const double verticalDb =
        std::min(12 * std::pow((downDeg - m_tiltDeg) / m_verticalBeamwidthDeg, 2),
                 m_sideLobeLimitDb);
    return m_gainDbi - std::min(horizontalDb + verticalDb, m_maxAttenuationDb);
}

} // namespace mlb
