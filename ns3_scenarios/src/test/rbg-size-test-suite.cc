// SPDX-License-Identifier: MIT

#include "rbg-size.h"

#include "ns3/test.h"

#include <utility>

namespace
{

/// TS 36.213 table 7.1.6.1-1, at both ends of each row.
class RbgSizeTestCase : public ns3::TestCase
{
  public:
    RbgSizeTestCase()
        : TestCase("RBs in an RBG")
    {
    }

  private:
    void DoRun() override
    {
        for (const auto& [bandwidthRb, sizeRb] : {std::pair{6U, 1U},
                                                  {10U, 1U},
                                                  {11U, 2U},
                                                  {26U, 2U},
                                                  {27U, 3U},
                                                  {63U, 3U},
                                                  {64U, 4U},
                                                  {110U, 4U}})
        {
            NS_TEST_EXPECT_MSG_EQ(mlb::RbgSizeRb(bandwidthRb), sizeRb, bandwidthRb << " RBs");
        }
    }
};

/// What needs no simulation.
class RbgSizeTestSuite : public ns3::TestSuite
{
  public:
    RbgSizeTestSuite()
        : TestSuite("mlb-rbg-size")
    {
        AddTestCase(new RbgSizeTestCase);
    }
};

RbgSizeTestSuite g_rbgSizeTestSuite; ///< the suite

} // namespace
