// SPDX-License-Identifier: MIT

#ifndef KPI_OBSERVATION_H
#define KPI_OBSERVATION_H

#include "gym-bridge.h"
#include "kpi-collector.h"
#include "scenario.h"

#include <vector>

namespace mlb
{

/**
 * @param kpis KPIs of an interval
 * @return the observation: the KPIs under the names and with the axes of kpis.json, and the events
 */
std::vector<Box> Observation(const Kpis& kpis);

/**
 * @param scenario the scenario
 * @return an observation of the right names and shapes, before anything has been observed
 */
std::vector<Box> EmptyObservation(const Scenario& scenario);

} // namespace mlb

#endif // KPI_OBSERVATION_H
