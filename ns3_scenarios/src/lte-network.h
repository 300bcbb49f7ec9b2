// SPDX-License-Identifier: MIT

#ifndef LTE_NETWORK_H
#define LTE_NETWORK_H

#include "a3-event.h"
#include "prb-counting-scheduler.h"
#include "radio-network.h"
#include "scenario.h"
#include "shadowing-map.h"
#include "traffic-flows.h"

#include "ns3/lte-enb-rrc.h"
#include "ns3/lte-helper.h"
#include "ns3/lte-ue-net-device.h"
#include "ns3/lte-ue-phy.h"
#include "ns3/lte-ue-rrc.h"
#include "ns3/net-device-container.h"
#include "ns3/node-container.h"
#include "ns3/point-to-point-epc-helper.h"

#include <memory>
#include <vector>

namespace mlb
{

/**
 * @brief The LTE network of a scenario: eNBs, EPC, and the devices of its UEs.
 *
 * One eNB a cell with X2 to its neighbours; every UE attaches to the strongest cell during the
 * first part of the warm-up, as idle mode selection would have it, and then receives its traffic.
 * ns-3's cell ID is the cell's index + 1.
 */
class LteNetwork final : public RadioNetwork
{
  public:
    /**
     * @brief Builds the network; the simulation must not have started.
     * @param scenario the scenario
     * @param ueNodes the UEs at their index, which have their mobility
     * @param fidelity what to spend time on
     * @param shadowing the shadowing of all links, null if there is none
     */
    LteNetwork(const Scenario& scenario,
               const ns3::NodeContainer& ueNodes,
               Fidelity fidelity,
               ns3::Ptr<ShadowingMap> shadowing);

    // inherited from RadioNetwork
    void Listen(Listener& listener) override;
    void ListenToDlDcis(const std::function<void(const DlDci&)>& sink) override;
    void SetControl(const std::vector<double>& action) override;
    int GetServingCell(uint32_t ue) const override;
    double GetRsrpDbm(uint32_t ue, uint32_t cell) const override;
    double GetSinrDb(uint32_t ue) const override;
    double TakePrbUtilization(uint32_t cell, ns3::Time length) override;
    const TrafficFlows& GetFlows() const override;

  private:
    /// Creates the eNBs, their handover algorithms, and X2 between neighbours.
    void InstallCells(const Scenario& scenario);

    /**
     * @brief Adds shadowing to the path loss between cells and UEs.
     * @param shadowing the shadowing
     * @param sites the site of each cell
     */
    void AddShadowing(ns3::Ptr<ShadowingMap> shadowing, const std::vector<uint32_t>& sites);

    /**
     * @brief Creates the eNB of a cell.
     * @param radio bandwidth and antenna
     * @param cell the cell
     */
    void InstallCell(const Radio& radio, const Cell& cell);

    /// Creates the UEs' devices and connects their measurements to event A3.
    void InstallUes(Fidelity fidelity);

    /**
     * @brief Attaches each UE to its strongest cell, one after the other.
     * @param scenario the scenario
     */
    void ScheduleAttachment(const Scenario& scenario);

    /**
     * @param cell index of the cell
     * @param txPowerDbm its power, in dBm
     * @param ueMobility where a UE is
     * @return the power that the UE receives, in dBm
     */
    double GetRxPowerDbm(uint32_t cell,
                         double txPowerDbm,
                         ns3::Ptr<ns3::MobilityModel> ueMobility) const;

    /**
     * @param ue index of the UE
     * @return its physical layer
     */
    ns3::Ptr<ns3::LteUePhy> GetUePhy(uint32_t ue) const;

    /**
     * @param ue index of the UE
     * @return its RRC
     */
    ns3::Ptr<ns3::LteUeRrc> GetUeRrc(uint32_t ue) const;

    /**
     * @param cell index of the cell
     * @return its scheduler
     */
    ns3::Ptr<PrbCountingScheduler> GetScheduler(uint32_t cell) const;

    /// Sink of the trace of a UE's SINR; bound to the UE's index.
    void ReceiveSinr(uint32_t ue, uint16_t, uint16_t, double, double sinr, uint8_t);

    /// Sink of the traces of a UE that has connected or handed over: requests a CQI report.
    void ReceiveConnected(uint64_t imsi, uint16_t cellId, uint16_t rnti);

    /// Sink of the trace of a UE's RRC states: cleans up after ns-3 when the UE has lost its cell.
    void ReceiveStateTransition(uint64_t imsi,
                                uint16_t cellId,
                                uint16_t rnti,
                                ns3::LteUeRrc::State oldState,
                                ns3::LteUeRrc::State newState);

    std::vector<std::pair<uint32_t, uint32_t>> m_neighborPairs; ///< as in the scenario
    uint8_t m_dlBandwidthRb;                                    ///< as in the scenario
    Handover m_handover;                                        ///< as in the scenario
    ns3::Ptr<ns3::LteHelper> m_lteHelper;                       ///< keeps the channels alive
    ns3::Ptr<ns3::PointToPointEpcHelper> m_epcHelper;           ///< the core network
    ns3::NodeContainer m_enbNodes;                              ///< at the cell's index
    ns3::NodeContainer m_ueNodes;                               ///< at the UE's index
    ns3::NetDeviceContainer m_enbDevices;                       ///< at the cell's index
    ns3::NetDeviceContainer m_ueDevices;                        ///< at the UE's index
    std::unique_ptr<TrafficFlows> m_flows;                      ///< from and to the UEs
    std::vector<A3Event::Enb> m_enbs;                           ///< at the cell's index
    std::vector<std::unique_ptr<A3Event>> m_a3Events;           ///< at the UE's index
    std::vector<double> m_sinr; ///< at the UE's index, linear, 1 at first
};

} // namespace mlb

#endif // LTE_NETWORK_H
