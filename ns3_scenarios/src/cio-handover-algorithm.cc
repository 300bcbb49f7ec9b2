// SPDX-License-Identifier: MIT

#include "cio-handover-algorithm.h"

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
    m_ocnDb[cellId] = ocnDb;
}

const std::map<uint16_t, double>&
CioHandoverAlgorithm::GetOcn() const
{
    return m_ocnDb;
}

void
CioHandoverAlgorithm::SetHysteresis(double hysteresisDb)
{
    m_hysteresisDb = hysteresisDb;
}

double
CioHandoverAlgorithm::GetHysteresis() const
{
    return m_hysteresisDb;
}

void
CioHandoverAlgorithm::SetTimeToTrigger(Time timeToTrigger)
{
    m_timeToTrigger = timeToTrigger;
}

Time
CioHandoverAlgorithm::GetTimeToTrigger() const
{
    return m_timeToTrigger;
}

void
CioHandoverAlgorithm::RequestHandover(uint16_t rnti, uint16_t targetCellId)
{
    m_sapUser->TriggerHandover(rnti, targetCellId);
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
CioHandoverAlgorithm::DoReportUeMeas(uint16_t, LteRrcSap::MeasResults)
{
    // No report is configured: A3Event works on the unquantised measurements in the UE.
}

} // namespace mlb
