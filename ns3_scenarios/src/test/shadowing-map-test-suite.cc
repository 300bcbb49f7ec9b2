// SPDX-License-Identifier: MIT

#include "shadowing-map.h"
#include "test-file.h"

#include "ns3/constant-position-mobility-model.h"
#include "ns3/test.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace mlb;
using namespace ns3;

namespace
{

/// Two sites, 2 rows and 3 columns, each 10 m, from (-5, 20) on.
const std::string GRID = "mlb-shadowing 1 2 2 3 -5.0 20.0 10.0\n";
/// Loss in dB, by site, row and column.
const std::vector<float> LOSS_DB{0, 1, 2, 4, 5, 8, -10, 0, 0, 0, 0, 0};

/**
 * @param lossDb some values
 * @return their bytes
 */
std::string
BytesOf(const std::vector<float>& lossDb)
{
    return {reinterpret_cast<const char*>(lossDb.data()), lossDb.size() * sizeof(float)};
}

/// Values at the points, between them and outside, worked by hand.
class InterpolationTestCase : public TestCase
{
  public:
    InterpolationTestCase()
        : TestCase("bilinear, clamped outside, by site")
    {
    }

  private:
    void DoRun() override
    {
        auto map = CreateObject<ShadowingMap>();
        map->Read(WriteFile(CreateTempDirFilename("map"), GRID + BytesOf(LOSS_DB)), 2);
        const auto expect = [this, &map](uint32_t site, double xM, double yM, double lossDb) {
            NS_TEST_EXPECT_MSG_EQ_TOL(map->GetLossDb(site, xM, yM),
                                      lossDb,
                                      1e-12,
                                      "site " << site << " at " << xM << ", " << yM);
        };
        expect(0, -5, 20, 0);
        expect(0, 15, 30, 8);
        expect(0, 5, 25, 3);
        expect(0, 0, 22.5, 1.5); // 0.75 x 0.5 + 0.25 x 4.5
        expect(0, -100, 0, 0);
        expect(0, 1e6, 1e6, 8);
        expect(1, 0, 20, -5);
        expect(1, 0, 25, -2.5);

        auto cell = CreateObject<ConstantPositionMobilityModel>();
        auto ue = CreateObject<ConstantPositionMobilityModel>();
        ue->SetPosition(Vector(5, 25, 1.5));
        NS_TEST_EXPECT_MSG_EQ(map->CalcRxPower(40, cell, ue), 40, "of no site");
        map->AddCell(cell, 0);
        NS_TEST_EXPECT_MSG_EQ_TOL(map->CalcRxPower(40, cell, ue), 37, 1e-12, "downlink");
        NS_TEST_EXPECT_MSG_EQ_TOL(map->CalcRxPower(40, ue, cell), 37, 1e-12, "uplink");
    }
};

/// A file that is not a whole map of this scenario is refused.
class DamageTestCase : public TestCase
{
  public:
    /**
     * @param content what is in the file
     * @param said part of what is said of it
     */
    DamageTestCase(const std::string& content, const std::string& said)
        : TestCase(said),
          m_content(content),
          m_said(said)
    {
    }

  private:
    void DoRun() override
    {
        const std::string path = WriteFile(CreateTempDirFilename("map"), m_content);
        auto map = CreateObject<ShadowingMap>();
        const std::string refusal = RefusalOf([&] { map->Read(path, 2); });
        NS_TEST_EXPECT_MSG_EQ(refusal.rfind("--shadowing: '" + path, 0), 0U, refusal);
        NS_TEST_EXPECT_MSG_NE(refusal.find(m_said), std::string::npos, refusal);
    }

    std::string m_content; ///< what is in the file
    std::string m_said;    ///< part of what is said of it
};

/// Cells on one spot share a site.
class SitesTestCase : public TestCase
{
  public:
    SitesTestCase()
        : TestCase("sites of cells")
    {
    }

  private:
    void DoRun() override
    {
        const std::vector<Cell> cells{{7, 7, 30, 40, 0, 0},
                                      {1, 2, 30, 40, 0, 0},
                                      {7, 7, 30, 40, 120, 0},
                                      {7, 8, 30, 40, 120, 0}};
        NS_TEST_EXPECT_MSG_EQ((GetSites(cells) == std::vector<uint32_t>{0, 1, 0, 2}), true, "");
    }
};

/// ShadowingMap.
class ShadowingMapTestSuite : public TestSuite
{
  public:
    ShadowingMapTestSuite()
        : TestSuite("mlb-shadowing-map")
    {
        const std::string good = GRID + BytesOf(LOSS_DB);
        const std::string size = "has not the size";
        AddTestCase(new InterpolationTestCase);
        AddTestCase(new SitesTestCase);
        AddTestCase(new DamageTestCase("", "cannot be read"));
        AddTestCase(new DamageTestCase(good.substr(0, 20), "is not a shadowing map"));
        AddTestCase(new DamageTestCase("x" + good, "is not a shadowing map"));
        AddTestCase(new DamageTestCase("mlb-shadowing 1 2 2 -3 0 0 10\n", "is "));
        AddTestCase(new DamageTestCase("mlb-shadowing 1 2 99999999 99999999 0 0 1\n", "too large"));
        AddTestCase(new DamageTestCase("mlb-shadowing 1 3 2 3 0 0 10\n", "is of 3 sites"));
        AddTestCase(new DamageTestCase(good.substr(0, good.size() - 1), size));
        AddTestCase(new DamageTestCase(good + "x", size));
        std::vector<float> lossDb = LOSS_DB;
        lossDb[7] = std::numeric_limits<float>::quiet_NaN();
        AddTestCase(new DamageTestCase(GRID + BytesOf(lossDb), "no loss in dB"));
    }
};

ShadowingMapTestSuite g_shadowingMapTestSuite; ///< the suite

} // namespace
