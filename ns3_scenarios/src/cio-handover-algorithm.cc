// SPDX-License-Identifier: MIT

#include "cio-handover-algorithm.h"

#include <utility>

namespace mlb
{

using namespace ns3;

NS_OBJECT_ENSURE_REGISTERED(CioHandoverAlgorithm);

TypeId
CioHandoverAlgorithm::GetTypeId()
{
    static TypeId tid = TypeId("mlb::CioHandoverAlgorithm")
                            .SetParent<LteHandoverAlgorithm>()
                            .SetGroupName("Lte")
                            .AddConstructor<CioHandoverAlgorithm>();
    return tid;
}

CioHandoverAlgorithm::CioHandoverAlgorithm()
    : m_sapProvider(
          std::make_unique<MemberLteHandoverManagementSapProvider<CioHandoverAlgorithm>>(this))
{
}

CioHandoverAlgorithm::~CioHandoverAlgorithm() = default;

void
CioHandoverAlgorithm::SetOcn(uint16_t cellId, double ocnDb)
{
    Configure(m_ocnDb[cellId], ocnDb);
}

const std::map<uint16_t, double>&
CioHandoverAlgorithm::GetOcn() const
{
    return m_ocnDb;
}

void
CioHandoverAlgorithm::SetHysteresis(double hysteresisDb)
{
    Configure(m_hysteresisDb, hysteresisDb);
}

double
CioHandoverAlgorithm::GetHysteresis() const
{
    return m_hysteresisDb;
}

void
CioHandoverAlgorithm::SetTimeToTrigger(Time timeToTrigger)
{
    Configure(m_timeToTrigger, timeToTrigger);
}

Time
CioHandoverAlgorithm::GetTimeToTrigger() const
{
    return m_timeToTrigger;
}

uint32_t
CioHandoverAlgorithm::GetConfiguration() const
{
    return m_configuration;
}

template <typename T>
void
CioHandoverAlgorithm::Configure(T& parameter, T value)
{
    if (std::exchange(parameter, value) != value)
    {
        ++m_configuration;
    }
}

uint8_t
CioHandoverAlgorithm::GetMeasId() const
{
    return m_measId;
}

void
CioHandoverAlgorithm::SetLteHandoverManagementSapUser(LteHandoverManagementSapUser* user)
{
    m_sapUser = user;
}

LteHandoverManagementSapProvider*
CioHandoverAlgorithm::GetLteHandoverManagementSapProvider()
{
    return m_sapProvider.get();
}

void
CioHandoverAlgorithm::DoInitialize()
{
    // A measId to report under, with an event that hardly occurs: serving cell below -140 dBm.
    LteRrcSap::ReportConfigEutra never;
    never.eventId = LteRrcSap::ReportConfigEutra::EVENT_A2;
    never.threshold1.choice = LteRrcSap::ThresholdEutra::THRESHOLD_RSRP;
    never.threshold1.range = 0;
    m_measId = m_sapUser->AddUeMeasReportConfigForHandover(never).at(0);
    LteHandoverAlgorithm::DoInitialize();
}

void
CioHandoverAlgorithm::DoReportUeMeas(uint16_t rnti, LteRrcSap::MeasResults measResults)
{
    // A report of the event above, of a UE that hears next to nothing, names no neighbour.
    if (!measResults.measResultListEutra.empty())
    {
        m_sapUser->TriggerHandover(rnti, measResults.measResultListEutra.front().physCellId);
    }
}

} // namespace mlb
