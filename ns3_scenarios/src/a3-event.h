// SPDX-License-Identifier: MIT

#ifndef A3_EVENT_H
#define A3_EVENT_H

#include "cio-handover-algorithm.h"

#include "ns3/event-id.h"
#include "ns3/lte-enb-rrc.h"
#include "ns3/lte-ue-rrc.h"
#include "ns3/nstime.h"

#include <map>
#include <optional>
#include <vector>

namespace mlb
{

/**
 * @brief Event A3 of one UE, "neighbour becomes offset better than PCell", with live parameters.
 *
 * TS 36.331 clause 5.5.4.4 on L3-filtered (clause 5.5.3.2, k = 4), unquantised RSRP: it is the UE
 * that evaluates the event, before it maps anything to the reported index of 1 dB steps (TS 36.133
 * clause 9.1.4), which only the measurement report would carry. Ofn = Ofp = 0, since there is one
 * carrier; the CIO of the pair stands for Ocn - Ocp, Ocp = 0. Evaluated at each L1 measurement
 * instant, after the measurements of all cells are in:
 *
 *     entering:  Mn + Ocn - Hys > Ms + Off
 *     leaving:   Mn + Ocn + Hys < Ms + Off
 *
 * Ocn, Hys and timeToTrigger are those of the serving cell. A neighbour triggers when the entering
 * condition held at all measurements during timeToTrigger (clause 5.5.4.1), and no longer does when
 * the leaving condition held for as long. The UE reports when a neighbour triggers, and again each
 * reportInterval while one does; of those that do, it names the one with the greatest Mn + Ocn,
 * which is the one that the eNB would choose. Modified measurements start afresh, on the same
 * filters: when the serving cell's parameters change (clauses 5.5.2.5 and 5.5.2.7), and when the
 * serving cell itself does (clause 5.5.6.1).
 */
class A3Event
{
  public:
    /// An eNB as seen from here.
    struct Enb
    {
        ns3::Ptr<ns3::LteEnbRrc> rrc;             ///< knows which UEs it serves
        ns3::Ptr<CioHandoverAlgorithm> algorithm; ///< its parameters
    };

    /**
     * @param offsetDb Off, the a3-Offset of all cells, in dB
     * @param ueRrc the UE
     * @param enbs all eNBs, at the index of their cell ID - 1
     */
    A3Event(double offsetDb, ns3::Ptr<ns3::LteUeRrc> ueRrc, std::vector<Enb> enbs);

    /// Sink of the trace ns3::LteUePhy::ReportUeMeasurements, one call a cell and instant.
    void ReceiveMeasurement(uint16_t rnti,
                            uint16_t cellId,
                            double rsrpDbm,
                            double rsrqDb,
                            bool isServingCell,
                            uint8_t componentCarrierId);

    /**
     * @param cellId ns-3's cell ID
     * @return the last L1 measurement of that cell, in dBm
     */
    double GetRsrpDbm(uint16_t cellId) const;

  private:
    /// What the UE knows of a cell.
    struct Measurement
    {
        double l1Dbm;                       ///< last L1 measurement, in dBm
        double l3Dbm;                       ///< filtered, in dBm
        std::optional<ns3::Time> entered{}; ///< since when the entering condition holds
        std::optional<ns3::Time> left{};    ///< since when the leaving condition holds
        bool triggered{false};              ///< whether it is in the cellsTriggeredList
    };

    /// What the measurements are configured by: a change starts them afresh.
    struct Configuration
    {
        uint16_t servingCellId{0}; ///< cell ID of the serving cell, 0 if none can hand the UE over
        uint32_t number{0};        ///< of its algorithm's configurations

        /// @return whether both are the same
        bool operator==(const Configuration&) const = default;
    };

    /// Evaluates the entering and leaving conditions of all neighbours.
    void Evaluate();

    /// Looks which neighbours trigger and which no longer do, and reports if one does anew.
    void Trigger();

    /// Sends a measurement report, TS 36.331 clause 5.5.5, if a neighbour has triggered.
    void Report();

    /// @return the configuration that is in force now
    Configuration GetConfiguration() const;

    const double m_offsetDb;                        ///< Off, in dB
    const ns3::Ptr<ns3::LteUeRrc> m_ueRrc;          ///< the UE
    ns3::LteUeRrcSapUser* m_rrcProtocol;            ///< sends the UE's messages
    const std::vector<Enb> m_enbs;                  ///< all eNBs
    std::map<uint16_t, Measurement> m_measurements; ///< by cell ID
    Configuration m_configuration;                  ///< at the last evaluation
    ns3::EventId m_nextReport;                      ///< at the end of reportInterval
    bool m_evaluationPending{false};                ///< whether Evaluate is scheduled
};

} // namespace mlb

#endif // A3_EVENT_H
