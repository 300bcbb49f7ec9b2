// SPDX-License-Identifier: MIT

#include "sector-antenna-model.h"

#include "ns3/double.h"
#include "ns3/test.h"
#include "ns3/vector.h"

#include <cmath>

using namespace ns3;

namespace
{

/// Gains worked by hand from TR 36.814 table A.2.1.1-2.
class GainTestCase : public TestCase
{
  public:
    /**
     * @param where what is special there
     * @param listener where the listener is, in m from the antenna
     * @param gainDb gain expected of an antenna that looks east, 10 degrees down
     */
    GainTestCase(const std::string& where, const Vector& listener, double gainDb)
        : TestCase(where),
          m_listener(listener),
          m_gainDb(gainDb)
    {
    }

  private:
    void DoRun() override
    {
        auto antenna = CreateObject<mlb::SectorAntennaModel>();
        antenna->SetAttribute("Azimuth", DoubleValue(90));
        antenna->SetAttribute("Tilt", DoubleValue(10));
        NS_TEST_EXPECT_MSG_EQ_TOL(antenna->GetGainDb(Angles(m_listener)),
                                  m_gainDb,
                                  1e-9,
                                  "gain " << GetName());
    }

    Vector m_listener; ///< where the listener is
    double m_gainDb;   ///< gain expected
};

/// SectorAntennaModel.
class SectorAntennaModelTestSuite : public TestSuite
{
  public:
    SectorAntennaModelTestSuite()
        : TestSuite("mlb-sector-antenna-model")
    {
        const double down = std::tan(DegreesToRadians(10.0));
        const double aside = std::tan(DegreesToRadians(35.0));
        AddTestCase(new GainTestCase("on the main lobe", Vector(100, 0, -100 * down), 14));
        AddTestCase(new GainTestCase("35 degrees to the north, 3 dB down",
                                     Vector(100, 100 * aside, -100 * std::hypot(1, aside) * down),
                                     11));
        AddTestCase(new GainTestCase("35 degrees to the south, 3 dB down",
                                     Vector(100, -100 * aside, -100 * std::hypot(1, aside) * down),
                                     11));
        AddTestCase(new GainTestCase("5 degrees above the main lobe, 3 dB down",
                                     Vector(100, 0, -100 * std::tan(DegreesToRadians(5.0))),
                                     11));
        AddTestCase(new GainTestCase("on the horizon, 12 dB down", Vector(100, 0, 0), 2));
        AddTestCase(
            new GainTestCase("under the mast, no more than SLA_v", Vector(1e-9, 0, -9), -6));
        AddTestCase(new GainTestCase("behind, no more than A_m", Vector(-100, 0, 0), -11));
    }
};

SectorAntennaModelTestSuite g_sectorAntennaModelTestSuite; ///< the suite

} // namespace
