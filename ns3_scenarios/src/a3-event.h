// SPDX-License-Identifier: MIT

#ifndef A3_EVENT_H
#define A3_EVENT_H

#include "cio-handover-algorithm.h"

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
 * Ocn, Hys and timeToTrigger are those of the serving cell. timeToTrigger, as it was when the UE
 * entered, after the instant of entering, if the UE has not left since, the UE reports the
 * neighbour with the greatest Mn + Ocn, and anew at each measurement instant until it is handed
 * over or leaves the event. A change of the serving cell starts afresh, on the same filters.
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
        double l1Dbm;                     ///< last L1 measurement, in dBm
        double l3Dbm;                     ///< filtered, in dBm
        std::optional<ns3::Time> dueAt{}; ///< when its time to trigger ends, if it has entered
    };

    /// Evaluates the entering and leaving conditions of all neighbours.
    void Evaluate();

    /// Reports if the time to trigger of a neighbour is over.
    void Fire();

    /// Sends a measurement report, TS 36.331 clause 5.5.5, that names one neighbour.
    void Report(uint16_t cellId);

    /// @return cell ID of the cell that serves the UE, 0 if none can hand it over now
    uint16_t GetServingCellId() const;

    const double m_offsetDb;                        ///< Off, in dB
    const ns3::Ptr<ns3::LteUeRrc> m_ueRrc;          ///< the UE
    ns3::LteUeRrcSapUser* m_rrcProtocol;            ///< sends the UE's messages
    const std::vector<Enb> m_enbs;                  ///< all eNBs
    std::map<uint16_t, Measurement> m_measurements; ///< by cell ID
    uint16_t m_servingCellId{0};                    ///< at the last evaluation
    bool m_evaluationPending{false};                ///< whether Evaluate is scheduled
};

} // namespace mlb

#endif // A3_EVENT_H
