// SPDX-License-Identifier: MIT

#include "udp-source.h"

#include "ns3/seq-ts-header.h"
#include "ns3/trace-source-accessor.h"
#include "ns3/udp-socket-factory.h"
#include "ns3/uinteger.h"

namespace mlb
{

using namespace ns3;

NS_OBJECT_ENSURE_REGISTERED(UdpSource);

TypeId
UdpSource::GetTypeId()
{
    static TypeId tid = TypeId("mlb::UdpSource")
                            .SetParent<Application>()
                            .SetGroupName("Applications")
                            .AddAttribute("Remote",
                                          "Address and port to send to.",
                                          AddressValue(),
                                          MakeAddressAccessor(&UdpSource::m_remote),
                                          MakeAddressChecker())
                            .AddAttribute("PacketSize",
                                          "UDP payload of a datagram, in bytes.",
                                          UintegerValue(1000),
                                          MakeUintegerAccessor(&UdpSource::m_packetSize),
                                          MakeUintegerChecker<uint32_t>(12, 65507))
                            .AddTraceSource("Tx",
                                            "A datagram is sent.",
                                            MakeTraceSourceAccessor(&UdpSource::m_trace),
                                            "ns3::Packet::TracedCallback");
    return tid;
}

uint32_t
UdpSource::GetNext() const
{
    return m_next;
}

void
UdpSource::DoDispose()
{
    m_socket = nullptr;
    Application::DoDispose();
}

void
UdpSource::StartApplication()
{
    m_socket = Socket::CreateSocket(GetNode(), UdpSocketFactory::GetTypeId());
    m_socket->Bind();
    m_socket->Connect(m_remote);
    m_socket->ShutdownRecv();
}

void
UdpSource::StopApplication()
{
    m_socket->Close();
    m_socket = nullptr;
}

void
UdpSource::Send()
{
    SeqTsHeader header;
    header.SetSeq(m_next++);
    auto packet = Create<Packet>(m_packetSize - header.GetSerializedSize());
    packet->AddHeader(header);
    m_trace(packet);
    m_socket->Send(packet);
}

uint32_t
UdpSource::GetPacketSize() const
{
    return m_packetSize;
}

bool
UdpSource::IsRunning() const
{
    return m_socket != nullptr;
}

} // namespace mlb
