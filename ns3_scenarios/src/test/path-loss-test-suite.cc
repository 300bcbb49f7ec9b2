// SPDX-License-Identifier: MIT

#include "path-loss.h"

#include "ns3/constant-position-mobility-model.h"
#include "ns3/lte-helper.h"
#include "ns3/node-container.h"
#include "ns3/simulator.h"
#include "ns3/test.h"

using namespace mlb;
using namespace ns3;

namespace
{

/// The loss of the downlink channel that a helper makes, against a value worked by hand.
class LossTestCase : public TestCase
{
  public:
    /**
     * @param name what is special
     * @param earfcn downlink carrier
     * @param cellHeightM height of the cell, in m
     * @param loss the model
     * @param lossDb loss to a UE of 1.5 m height at 1000 m, in dB
     */
    LossTestCase(const std::string& name,
                 uint32_t earfcn,
                 double cellHeightM,
                 const PathLoss& loss,
                 double lossDb)
        : TestCase(name),
          m_lossDb(lossDb)
    {
        m_radio.dlEarfcn = earfcn;
        m_radio.cellHeightM = cellHeightM;
        m_radio.ueHeightM = 1.5;
        m_radio.pathLoss = loss;
    }

  private:
    void DoRun() override
    {
        auto cell = CreateObject<ConstantPositionMobilityModel>();
        cell->SetPosition(Vector(0, 0, m_radio.cellHeightM));
        auto ue = CreateObject<ConstantPositionMobilityModel>();
        ue->SetPosition(Vector(600, 800, m_radio.ueHeightM));
        NodeContainer enb(1);
        enb.Get(0)->AggregateObject(cell);

        auto helper = CreateObject<LteHelper>();
        SetPathLoss(*helper, m_radio);
        helper->SetEnbDeviceAttribute("DlEarfcn", UintegerValue(m_radio.dlEarfcn));
        helper->SetEnbDeviceAttribute("UlEarfcn", UintegerValue(m_radio.dlEarfcn + 18000));
        helper->InstallEnbDevice(enb);
        const auto model = helper->GetDownlinkSpectrumChannel()->GetPropagationLossModel();
        NS_TEST_EXPECT_MSG_EQ_TOL(-model->CalcRxPower(0, cell, ue), m_lossDb, 1e-3, GetName());
        Simulator::Destroy();
    }

    Radio m_radio{}; ///< the path loss and what it depends on
    double m_lossDb; ///< loss expected, in dB
};

/// SetPathLoss; tests/reference/path_loss.csv has the sources of most values.
class PathLossTestSuite : public TestSuite
{
  public:
    PathLossTestSuite()
        : TestSuite("mlb-path-loss")
    {
        // 15.3 + 37.6 log10(1000.406)
        AddTestCase(new LossTestCase("log-distance",
                                     100,
                                     30,
                                     {"log-distance", 3.76, 15.3, "", "", ""},
                                     128.1066));
        AddTestCase(new LossTestCase("Hata at 942.5 MHz",
                                     3625,
                                     40,
                                     {"okumura-hata", 0, 0, "urban", "small", ""},
                                     125.2101));
        AddTestCase(new LossTestCase("COST 231 at 1950 MHz",
                                     800,
                                     30,
                                     {"okumura-hata", 0, 0, "urban", "small", ""},
                                     137.3785));
        // The same, 10 dB more, and a(h) with 1.11 for 1.1: 0.01 x 3.29003 x 1.5 dB less.
        AddTestCase(new LossTestCase("ns-3's COST 231 at 1950 MHz",
                                     800,
                                     30,
                                     {"cost231-hata", 0, 0, "", "", ""},
                                     147.3291));
        AddTestCase(new LossTestCase("UMa LOS", 100, 25, {"uma", 0, 0, "", "", "los"}, 108.9646));
        AddTestCase(new LossTestCase("UMa NLOS", 100, 25, {"uma", 0, 0, "", "", "nlos"}, 137.3114));
        AddTestCase(new LossTestCase("UMi LOS", 100, 10, {"umi", 0, 0, "", "", "los"}, 118.9237));
        AddTestCase(new LossTestCase("UMi NLOS", 100, 10, {"umi", 0, 0, "", "", "nlos"}, 135.2515));
    }
};

PathLossTestSuite g_pathLossTestSuite; ///< the suite

} // namespace
