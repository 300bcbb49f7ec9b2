// SPDX-License-Identifier: MIT

#include "signalling-cqi.h"

#include "ns3/lte-common.h"

#include <algorithm>

namespace mlb
{

using namespace ns3;

namespace
{

/// Just above the SINR below which the uplink of ns-3's schedulers sees CQI 0, -2.2 dB.
constexpr double LOWEST_UPLINK_SINR_DB = -2;

} // namespace

bool
Raise(CqiListElement_s& report)
{
    bool wasOutOfRange = true;
    const auto raise = [&wasOutOfRange](uint8_t& cqi) {
        wasOutOfRange = wasOutOfRange && cqi == 0;
        cqi = std::max<uint8_t>(cqi, 1);
    };
    std::for_each(report.m_wbCqi.begin(), report.m_wbCqi.end(), raise);
    for (auto& subband : report.m_sbMeasResult.m_higherLayerSelected)
    {
        std::for_each(subband.m_sbCqi.begin(), subband.m_sbCqi.end(), raise);
    }
    return wasOutOfRange;
}

bool
Raise(FfMacSchedSapProvider::SchedUlCqiInfoReqParameters& report)
{
    bool wasOutOfRange = false;
    for (uint16_t& sinr : report.m_ulCqi.m_sinr)
    {
        if (LteFfConverter::fpS11dot3toDouble(sinr) < LOWEST_UPLINK_SINR_DB)
        {
            wasOutOfRange = true;
            sinr = LteFfConverter::double2fpS11dot3(LOWEST_UPLINK_SINR_DB);
        }
    }
    return wasOutOfRange;
}

} // namespace mlb
