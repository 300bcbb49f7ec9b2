// SPDX-License-Identifier: MIT

#include "full-buffer-source.h"

#include "ns3/seq-ts-header.h"
#include "ns3/simulator.h"
#include "ns3/uinteger.h"

#include <algorithm>

namespace mlb
{

using namespace ns3;

namespace
{

/// Longer than even a UE with CQI 1 in a crowd waits for a datagram.
const Time PATIENCE = MilliSeconds(500);

} // namespace

NS_OBJECT_ENSURE_REGISTERED(FullBufferSource);

TypeId
FullBufferSource::GetTypeId()
{
    static TypeId tid = TypeId("mlb::FullBufferSource")
                            .SetParent<UdpSource>()
                            .SetGroupName("Applications")
                            .AddConstructor<FullBufferSource>()
                            .AddAttribute("Window",
                                          "Payload on the way at any time, in bytes.",
                                          UintegerValue(20000),
                                          MakeUintegerAccessor(&FullBufferSource::m_window),
                                          MakeUintegerChecker<uint32_t>(1));
    return tid;
}

void
FullBufferSource::ReceiveDelivery(Ptr<const Packet> packet, const Address&)
{
    SeqTsHeader header;
    packet->PeekHeader(header);
    m_expected = std::max(m_expected, header.GetSeq() + 1);
    Fill();
}

void
FullBufferSource::Refill()
{
    m_expected = GetNext();
    Fill();
}

void
FullBufferSource::StartApplication()
{
    UdpSource::StartApplication();
    Fill();
}

void
FullBufferSource::StopApplication()
{
    m_impatience.Cancel();
    UdpSource::StopApplication();
}

void
FullBufferSource::Fill()
{
    if (!IsRunning())
    {
        return;
    }
    while ((GetNext() - m_expected) * GetPacketSize() < m_window)
    {
        Send();
    }
    m_impatience.Cancel();
    m_impatience = Simulator::Schedule(PATIENCE, &FullBufferSource::Refill, this);
}

} // namespace mlb
