// SPDX-License-Identifier: MIT

#include "kpi-observation.h"

#include "kpi-table.h"

namespace mlb
{

std::vector<Box>
Observation(const Kpis& kpis)
{
    const auto cells = static_cast<uint32_t>(kpis.prbUtilization.size());
    const auto ues = static_cast<uint32_t>(kpis.ueServingCell.size());
    const auto box = [cells, ues](const KpiField& field, const std::vector<double>& values) {
        std::vector<uint32_t> shape;
        for (const char* axis = field.axes; *axis != '\0'; ++axis)
        {
            shape.push_back(*axis == 'C' ? cells : *axis == 'U' ? ues : *axis - '0');
        }
        if (shape.empty())
        {
            shape.push_back(1);
        }
        return Box{field.name, shape, values};
    };
    std::vector<double> events;
    for (const Event& event : kpis.events)
    {
        events.insert(events.end(),
                      {event.timeS,
                       static_cast<double>(event.ue),
                       static_cast<double>(event.sourceCell),
                       static_cast<double>(event.targetCell),
                       static_cast<double>(event.kind)});
    }
    const auto rows = static_cast<uint32_t>(kpis.events.size());
    return {box(kpi::TIME_S, {kpis.timeS}),
            box(kpi::PRB_UTILIZATION, kpis.prbUtilization),
            box(kpi::OFFERED_BPS, kpis.offeredBps),
            box(kpi::SERVED_BPS, kpis.servedBps),
            box(kpi::CONNECTED_UES, kpis.connectedUes),
            box(kpi::UE_POSITION_M, kpis.uePositionM),
            box(kpi::UE_SERVING_CELL, kpis.ueServingCell),
            box(kpi::UE_RSRP_DBM, kpis.ueRsrpDbm),
            box(kpi::UE_SINR_DB, kpis.ueSinrDb),
            box(kpi::UE_THROUGHPUT_BPS, kpis.ueThroughputBps),
            {"events", {rows, kpi::EVENT_COLUMNS}, events}};
}

std::vector<Box>
EmptyObservation(const Scenario& scenario)
{
    const std::vector<double> cells(scenario.cells.size());
    const std::vector<double> ues(scenario.ues);
    const std::vector<double> positions(2 * scenario.ues);
    const std::vector<double> links(scenario.ues * scenario.cells.size());
    return Observation({0, cells, cells, cells, cells, positions, ues, links, ues, ues, ues, {}});
}

} // namespace mlb
