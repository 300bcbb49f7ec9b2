// SPDX-License-Identifier: MIT

#include "traffic-flows.h"

#include "exact-time.h"
#include "full-buffer-source.h"
#include "poisson-source.h"

#include "ns3/config.h"
#include "ns3/inet-socket-address.h"
#include "ns3/internet-stack-helper.h"
#include "ns3/ipv4-address-helper.h"
#include "ns3/ipv4-static-routing-helper.h"
#include "ns3/object-factory.h"
#include "ns3/onoff-application.h"
#include "ns3/packet-sink-helper.h"
#include "ns3/point-to-point-helper.h"
#include "ns3/pointer.h"
#include "ns3/random-variable-stream.h"
#include "ns3/string.h"

#include <cmath>

namespace mlb
{

using namespace ns3;

namespace
{

/// Start of the first packet interval, when all UEs are connected.
const Time START = MilliSeconds(500);
/// UDP port of the UEs' sinks; the remote host has one port a UE, from here on.
constexpr uint16_t PORT = 4000;
/// Random streams of a flow: OnOffApplication uses two.
constexpr int64_t STREAMS = 2;

/**
 * @param meanS mean, in s
 * @return an exponential random variable
 */
Ptr<RandomVariableStream>
Exponential(double meanS)
{
    auto variable = CreateObject<ExponentialRandomVariable>();
    variable->SetAttribute("Mean", DoubleValue(meanS));
    return variable;
}

/**
 * @param rateBps rate, in bit/s
 * @return makes sources of constant bit rate
 */
ObjectFactory
ConstantBitRate(double rateBps)
{
    ObjectFactory factory("ns3::OnOffApplication");
    factory.Set("DataRate", DataRateValue(DataRate(std::llround(rateBps))));
    factory.Set("OnTime", StringValue("ns3::ConstantRandomVariable[Constant=1000]"));
    factory.Set("OffTime", StringValue("ns3::ConstantRandomVariable[Constant=0]"));
    return factory;
}

/**
 * @param scenario the scenario
 * @param windowBytes UDP payload under way that keeps a full buffer full, in bytes
 * @param ue index of a UE
 * @return makes the source of its downlink flow
 */
ObjectFactory
DownlinkSource(const Scenario& scenario, uint32_t windowBytes, uint32_t ue)
{
    const Traffic& traffic = scenario.traffic;
    const double rateBps = traffic.ueOfferedBps[ue];
    ObjectFactory factory;
    switch (traffic.model)
    {
    case TrafficModel::CONSTANT_BIT_RATE:
        factory = ConstantBitRate(rateBps);
        break;
    case TrafficModel::POISSON:
        factory.SetTypeId(PoissonSource::GetTypeId());
        factory.Set("DataRate", DataRateValue(DataRate(std::llround(rateBps))));
        break;
    case TrafficModel::ON_OFF: {
        const double onShare = traffic.meanOnS / (traffic.meanOnS + traffic.meanOffS);
        factory.SetTypeId("ns3::OnOffApplication");
        factory.Set("DataRate", DataRateValue(DataRate(std::llround(rateBps / onShare))));
        factory.Set("OnTime", PointerValue(Exponential(traffic.meanOnS)));
        factory.Set("OffTime", PointerValue(Exponential(traffic.meanOffS)));
        break;
    }
    case TrafficModel::FULL_BUFFER:
        factory.SetTypeId(FullBufferSource::GetTypeId());
        factory.Set("Window", UintegerValue(windowBytes));
        break;
    }
    return factory;
}

/**
 * @brief Installs a source.
 * @param factory makes it
 * @param packetBytes UDP payload of a packet, in bytes
 * @param node where it is
 * @param remote where it sends to
 * @param start when its first packet may come
 * @return it
 */
Ptr<Application>
Install(ObjectFactory factory,
        uint32_t packetBytes,
        Ptr<Node> node,
        const Address& remote,
        Time start)
{
    factory.Set("PacketSize", UintegerValue(packetBytes));
    factory.Set("Remote", AddressValue(remote));
    auto source = factory.Create<Application>();
    source->SetStartTime(start);
    node->AddApplication(source);
    return source;
}

/**
 * @param traffic the traffic
 * @param rateBps rate, in bit/s
 * @return time from packet to packet at that rate
 */
Time
Interval(const Traffic& traffic, double rateBps)
{
    return ExactSeconds(8.0 * traffic.packetBytes / rateBps);
}

} // namespace

TrafficFlows::TrafficFlows(const Scenario& scenario, const IpAccess& access, uint32_t windowBytes)
{
    m_remoteHost = CreateObject<Node>();
    InternetStackHelper().Install(m_remoteHost);
    PointToPointHelper link;
    link.SetDeviceAttribute("DataRate", StringValue("100Gb/s"));
    link.SetChannelAttribute("Delay", TimeValue(MilliSeconds(1)));
    Ipv4AddressHelper addresses("1.0.0.0", "255.0.0.0");
    const Ipv4InterfaceContainer interfaces =
        addresses.Assign(link.Install(access.gateway, m_remoteHost));
    Ipv4StaticRoutingHelper()
        .GetStaticRouting(m_remoteHost->GetObject<Ipv4>())
        ->AddNetworkRouteTo("7.0.0.0", "255.0.0.0", 1);

    InstallDownlink(scenario, access, windowBytes);
    if (scenario.traffic.uplinkBps > 0)
    {
        for (uint32_t ue = 0; ue < scenario.ues; ++ue)
        {
            Ipv4StaticRoutingHelper()
                .GetStaticRouting(access.ueNodes.Get(ue)->GetObject<Ipv4>())
                ->SetDefaultRoute(access.ueGateway, 1);
        }
        InstallUplink(scenario, access.ueNodes, interfaces.GetAddress(1));
    }
}

void
TrafficFlows::InstallDownlink(const Scenario& scenario,
                              const IpAccess& access,
                              uint32_t windowBytes)
{
    const Traffic& traffic = scenario.traffic;
    auto phase = CreateObject<UniformRandomVariable>();
    for (uint32_t ue = 0; ue < scenario.ues; ++ue)
    {
        const InetSocketAddress address(access.ueInterfaces.GetAddress(ue), PORT);
        m_sinks.Add(
            PacketSinkHelper("ns3::UdpSocketFactory", address).Install(access.ueNodes.Get(ue)));

        const bool isRegular = traffic.model == TrafficModel::CONSTANT_BIT_RATE;
        const Time wait =
            isRegular ? Interval(traffic, traffic.ueOfferedBps[ue]) * phase->GetValue() : Time();
        const auto source = Install(DownlinkSource(scenario, windowBytes, ue),
                                    traffic.packetBytes,
                                    m_remoteHost,
                                    address,
                                    START + wait);
        m_sources.Add(source);
        if (auto poisson = DynamicCast<PoissonSource>(source))
        {
            poisson->AssignStreams(STREAMS * ue);
        }
        else if (auto onOff = DynamicCast<OnOffApplication>(source))
        {
            onOff->AssignStreams(STREAMS * ue);
        }
        else if (auto fullBuffer = DynamicCast<FullBufferSource>(source))
        {
            m_sinks.Get(ue)->TraceConnectWithoutContext(
                "Rx",
                MakeCallback(&FullBufferSource::ReceiveDelivery, fullBuffer));
        }
    }
}

void
TrafficFlows::InstallUplink(const Scenario& scenario,
                            const NodeContainer& ueNodes,
                            const Ipv4Address& remoteHost)
{
    const Traffic& traffic = scenario.traffic;
    auto phase = CreateObject<UniformRandomVariable>();
    phase->SetStream(STREAMS * scenario.ues);
    for (uint32_t ue = 0; ue < scenario.ues; ++ue)
    {
        const InetSocketAddress address(remoteHost, PORT + ue);
        m_uplinkSinks.Add(PacketSinkHelper("ns3::UdpSocketFactory", address).Install(m_remoteHost));
        Install(ConstantBitRate(traffic.uplinkBps),
                traffic.packetBytes,
                ueNodes.Get(ue),
                address,
                START + Interval(traffic, traffic.uplinkBps) * phase->GetValue());
    }
}

Ptr<Application>
TrafficFlows::GetSource(uint32_t ue) const
{
    return m_sources.Get(ue);
}

Ptr<Application>
TrafficFlows::GetSink(uint32_t ue) const
{
    return m_sinks.Get(ue);
}

Ptr<Application>
TrafficFlows::GetUplinkSink(uint32_t ue) const
{
    return ue < m_uplinkSinks.GetN() ? m_uplinkSinks.Get(ue) : nullptr;
}

void
TrafficFlows::RefillBuffer(uint32_t ue) const
{
    if (auto source = DynamicCast<FullBufferSource>(m_sources.Get(ue)))
    {
        source->Refill();
    }
}

} // namespace mlb
