// SPDX-License-Identifier: MIT

#include "a3-event.h"

#include "ns3/lte-common.h"
#include "ns3/lte-rrc-protocol-ideal.h"
#include "ns3/lte-rrc-protocol-real.h"
#include "ns3/simulator.h"

#include <limits>
#include <utility>

namespace mlb
{

using namespace ns3;

namespace
{

/// a = 1/2^(k/4) with filterCoefficient k = 4, TS 36.331 clause 5.5.3.2.
constexpr double L3_WEIGHT = 0.5;

/// reportInterval, TS 36.331 clause 6.3.5; reportAmount is infinite.
const Time REPORT_INTERVAL = MilliSeconds(240);

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
    const Configuration configuration = GetConfiguration();
    if (configuration != m_configuration)
    {
        m_configuration = configuration;
        m_nextReport.Cancel();
        for (auto& [cellId, measurement] : m_measurements)
        {
            measurement.entered.reset();
            measurement.left.reset();
            measurement.triggered = false;
        }
    }
    const auto serving = m_measurements.find(configuration.servingCellId);
    if (serving == m_measurements.end())
    {
        return;
    }

    const auto& algorithm = *m_enbs.at(configuration.servingCellId - 1).algorithm;
    const double hysteresisDb = algorithm.GetHysteresis();
    const double thresholdDbm = serving->second.l3Dbm + m_offsetDb;
    bool changes = false;
    const auto update = [&changes](std::optional<Time>& since, bool holds) {
        changes |= holds && !since;
        since = holds ? since.value_or(Simulator::Now()) : std::optional<Time>{};
    };
    for (const auto& [cellId, ocnDb] : algorithm.GetOcn())
    {
        if (const auto found = m_measurements.find(cellId); found != m_measurements.end())
        {
            Measurement& neighbor = found->second;
            const double offsetRsrpDbm = neighbor.l3Dbm + ocnDb;
            update(neighbor.entered, offsetRsrpDbm - hysteresisDb > thresholdDbm);
            update(neighbor.left, offsetRsrpDbm + hysteresisDb < thresholdDbm);
        }
    }
    if (changes)
    {
        // Trigger looks whether the conditions still hold, so that nothing needs to be cancelled.
        Simulator::Schedule(algorithm.GetTimeToTrigger(), &A3Event::Trigger, this);
    }
}

void
A3Event::Trigger()
{
    if (m_configuration.servingCellId == 0 || GetConfiguration() != m_configuration)
    {
        return;
    }
    const Time before = Simulator::Now() -
                        m_enbs.at(m_configuration.servingCellId - 1).algorithm->GetTimeToTrigger();
    bool triggers = false;
    for (auto& [cellId, measurement] : m_measurements)
    {
        if (measurement.left && *measurement.left <= before)
        {
            measurement.triggered = false;
        }
        if (measurement.entered && *measurement.entered <= before)
        {
            triggers |= !std::exchange(measurement.triggered, true);
        }
    }
    if (triggers)
    {
        Report();
    }
}

void
A3Event::Report()
{
    m_nextReport.Cancel();
    if (m_configuration.servingCellId == 0 || GetConfiguration() != m_configuration)
    {
        return;
    }
    const auto& algorithm = *m_enbs.at(m_configuration.servingCellId - 1).algorithm;
    uint16_t targetCellId = 0;
    double targetDbm = -std::numeric_limits<double>::infinity();
    for (const auto& [cellId, ocnDb] : algorithm.GetOcn())
    {
        const auto found = m_measurements.find(cellId);
        if (found != m_measurements.end() && found->second.triggered &&
            found->second.l3Dbm + ocnDb > targetDbm)
        {
            targetCellId = cellId;
            targetDbm = found->second.l3Dbm + ocnDb;
        }
    }
    if (targetCellId == 0)
    {
        return;
    }
    LteRrcSap::MeasurementReport report;
    LteRrcSap::MeasResults& results = report.measResults;
    results.measId = algorithm.GetMeasId();
    results.measResultPCell.rsrpResult = EutranMeasurementMapping::Dbm2RsrpRange(
        m_measurements.at(m_configuration.servingCellId).l3Dbm);
    results.measResultPCell.rsrqResult = 0;
    results.haveMeasResultNeighCells = true;
    results.haveMeasResultServFreqList = false;
    LteRrcSap::MeasResultEutra neighbor{};
    neighbor.physCellId = targetCellId;
    neighbor.haveRsrpResult = true;
    neighbor.rsrpResult =
        EutranMeasurementMapping::Dbm2RsrpRange(m_measurements.at(targetCellId).l3Dbm);
    results.measResultListEutra.push_back(neighbor);
    m_nextReport = Simulator::Schedule(REPORT_INTERVAL, &A3Event::Report, this);
    m_rrcProtocol->SendMeasurementReport(report);
}

A3Event::Configuration
A3Event::GetConfiguration() const
{
    if (m_ueRrc->GetState() != LteUeRrc::CONNECTED_NORMALLY)
    {
        return {};
    }
    // The eNB may have released a UE that has not learnt of it yet.
    const uint16_t cellId = m_ueRrc->GetCellId();
    const Enb& enb = m_enbs.at(cellId - 1);
    return enb.rrc->HasUeManager(m_ueRrc->GetRnti())
               ? Configuration{cellId, enb.algorithm->GetConfiguration()}
               : Configuration{};
}

} // namespace mlb
