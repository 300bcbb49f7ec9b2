// SPDX-License-Identifier: MIT

#include "a3-event.h"

#include "ns3/lte-common.h"
#include "ns3/lte-rrc-protocol-ideal.h"
#include "ns3/lte-rrc-protocol-real.h"
#include "ns3/simulator.h"

#include <limits>

namespace mlb
{

using namespace ns3;

namespace
{

/// a = 1/2^(k/4) with filterCoefficient k = 4, TS 36.331 clause 5.5.3.2.
constexpr double L3_WEIGHT = 0.5;

/**
 * @param ueRrc RRC of a UE that LteHelper has installed
 * @return what carries its messages, ideally or over the air
 */
LteUeRrcSapUser*
GetRrcProtocol(Ptr<LteUeRrc> ueRrc)
{
    if (auto ideal = ueRrc->GetObject<LteUeRrcProtocolIdeal>())
    {
        return ideal->GetLteUeRrcSapUser();
    }
    return ueRrc->GetObject<LteUeRrcProtocolReal>()->GetLteUeRrcSapUser();
}

} // namespace

A3Event::A3Event(double offsetDb, Ptr<LteUeRrc> ueRrc, std::vector<Enb> enbs)
    : m_offsetDb(offsetDb),
      m_ueRrc(ueRrc),
      m_rrcProtocol(GetRrcProtocol(ueRrc)),
      m_enbs(std::move(enbs))
{
}

void
A3Event::ReceiveMeasurement(uint16_t, uint16_t cellId, double rsrpDbm, double, bool, uint8_t)
{
    const auto [found, isFirst] = m_measurements.try_emplace(cellId, Measurement{rsrpDbm, rsrpDbm});
    if (!isFirst)
    {
        Measurement& measurement = found->second;
        measurement.l1Dbm = rsrpDbm;
        measurement.l3Dbm = (1 - L3_WEIGHT) * measurement.l3Dbm + L3_WEIGHT * rsrpDbm;
    }
    if (!m_evaluationPending)
    {
        m_evaluationPending = true;
        Simulator::ScheduleNow(&A3Event::Evaluate, this);
    }
}

double
A3Event::GetRsrpDbm(uint16_t cellId) const
{
    const auto found = m_measurements.find(cellId);
    return found == m_measurements.end() ? -std::numeric_limits<double>::infinity()
                                         : found->second.l1Dbm;
}

void
A3Event::Evaluate()
{
    m_evaluationPending = false;
    const uint16_t servingCellId = GetServingCellId();
    if (servingCellId != m_servingCellId)
    {
        m_servingCellId = servingCellId;
        for (auto& [cellId, measurement] : m_measurements)
        {
            measurement.dueAt.reset();
        }
    }
    const auto serving = m_measurements.find(servingCellId);
    if (serving == m_measurements.end())
    {
        return;
    }

    const auto& algorithm = *m_enbs.at(servingCellId - 1).algorithm;
    const double hysteresisDb = algorithm.GetHysteresis();
    const double thresholdDbm = serving->second.l3Dbm + m_offsetDb;
    bool hasEntered = false;
    for (const auto& [cellId, ocnDb] : algorithm.GetOcn())
    {
        const auto neighbor = m_measurements.find(cellId);
        if (neighbor == m_measurements.end())
        {
            continue;
        }
        Measurement& measurement = neighbor->second;
        const double offsetRsrpDbm = measurement.l3Dbm + ocnDb;
        if (offsetRsrpDbm + hysteresisDb < thresholdDbm)
        {
            measurement.dueAt.reset();
        }
        else if (offsetRsrpDbm - hysteresisDb > thresholdDbm && !measurement.dueAt)
        {
            measurement.dueAt = Simulator::Now() + algorithm.GetTimeToTrigger();
            hasEntered = true;
        }
    }
    if (hasEntered)
    {
        // Fire checks that a neighbour is still due, so that nothing needs to be cancelled.
        Simulator::Schedule(algorithm.GetTimeToTrigger(), &A3Event::Fire, this);
    }
    Fire();
}

void
A3Event::Fire()
{
    if (m_servingCellId == 0 || GetServingCellId() != m_servingCellId)
    {
        return;
    }
    const Enb& enb = m_enbs.at(m_servingCellId - 1);
    uint16_t targetCellId = 0;
    double targetDbm = -std::numeric_limits<double>::infinity();
    for (const auto& [cellId, ocnDb] : enb.algorithm->GetOcn())
    {
        const auto neighbor = m_measurements.find(cellId);
        if (neighbor == m_measurements.end() || !neighbor->second.dueAt ||
            *neighbor->second.dueAt > Simulator::Now())
        {
            continue;
        }
        if (neighbor->second.l3Dbm + ocnDb > targetDbm)
        {
            targetCellId = cellId;
            targetDbm = neighbor->second.l3Dbm + ocnDb;
        }
    }
    if (targetCellId != 0)
    {
        Report(targetCellId);
    }
}

void
A3Event::Report(uint16_t cellId)
{
    LteRrcSap::MeasurementReport report;
    LteRrcSap::MeasResults& results = report.measResults;
    results.measId = m_enbs.at(m_servingCellId - 1).algorithm->GetMeasId();
    results.measResultPCell.rsrpResult =
        EutranMeasurementMapping::Dbm2RsrpRange(m_measurements.at(m_servingCellId).l3Dbm);
    results.measResultPCell.rsrqResult = 0;
    results.haveMeasResultNeighCells = true;
    results.haveMeasResultServFreqList = false;
    LteRrcSap::MeasResultEutra neighbor{};
    neighbor.physCellId = cellId;
    neighbor.haveRsrpResult = true;
    neighbor.rsrpResult = EutranMeasurementMapping::Dbm2RsrpRange(m_measurements.at(cellId).l3Dbm);
    results.measResultListEutra.push_back(neighbor);
    m_rrcProtocol->SendMeasurementReport(report);
}

uint16_t
A3Event::GetServingCellId() const
{
    if (m_ueRrc->GetState() != LteUeRrc::CONNECTED_NORMALLY)
    {
        return 0;
    }
    // The eNB may have released a UE that has not learnt of it yet.
    const uint16_t cellId = m_ueRrc->GetCellId();
    return m_enbs.at(cellId - 1).rrc->HasUeManager(m_ueRrc->GetRnti()) ? cellId : 0;
}

} // namespace mlb
