// SPDX-License-Identifier: MIT

#include "poisson-source.h"

#include "exact-time.h"

#include "ns3/simulator.h"

namespace mlb
{

using namespace ns3;

NS_OBJECT_ENSURE_REGISTERED(PoissonSource);

TypeId
PoissonSource::GetTypeId()
{
    static TypeId tid = TypeId("mlb::PoissonSource")
                            .SetParent<UdpSource>()
                            .SetGroupName("Applications")
                            .AddConstructor<PoissonSource>()
                            .AddAttribute("DataRate",
                                          "Mean rate of the UDP payload.",
                                          DataRateValue(DataRate("200kb/s")),
                                          MakeDataRateAccessor(&PoissonSource::m_rate),
                                          MakeDataRateChecker());
    return tid;
}

PoissonSource::PoissonSource()
    : m_meanOne(CreateObject<ExponentialRandomVariable>())
{
}

int64_t
PoissonSource::AssignStreams(int64_t stream)
{
    m_meanOne->SetStream(stream);
    return 1;
}

void
PoissonSource::StartApplication()
{
    UdpSource::StartApplication();
    ScheduleNext();
}

void
PoissonSource::StopApplication()
{
    m_nextArrival.Cancel();
    UdpSource::StopApplication();
}

void
PoissonSource::ScheduleNext()
{
    const double meanS = 8.0 * GetPacketSize() / static_cast<double>(m_rate.GetBitRate());
    m_nextArrival = Simulator::Schedule(ExactSeconds(meanS * m_meanOne->GetValue()), [this]() {
        Send();
        ScheduleNext();
    });
}

} // namespace mlb
