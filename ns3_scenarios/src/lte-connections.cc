// SPDX-License-Identifier: MIT

#include "lte-connections.h"

#include "ns3/abort.h"
#include "ns3/callback.h"

#include <string>
#include <utility>

namespace mlb
{

using namespace ns3;

namespace
{

/// Sink of ns-3's traces of a UE's connection, by IMSI, cell ID and RNTI in the trace's order.
using UeSink = Callback<void, uint64_t, uint16_t, uint16_t>;

/**
 * @param source an object
 * @param trace name of its trace
 * @param sink what the trace calls
 */
template <typename Source, typename Sink>
void
Connect(Ptr<Source> source, const std::string& trace, const Sink& sink)
{
    NS_ABORT_MSG_UNLESS(source->TraceConnectWithoutContext(trace, sink), "no trace " << trace);
}

} // namespace

uint32_t
UeOf(uint64_t imsi)
{
    return static_cast<uint32_t>(imsi - 1);
}

void
ReportConnections(Ptr<LteUeRrc> rrc, RadioNetwork::Listener& listener)
{
    Connect(rrc,
            "HandoverStart",
            Callback<void, uint64_t, uint16_t, uint16_t, uint16_t>(
                [&listener](uint64_t imsi, uint16_t, uint16_t, uint16_t) {
                    listener.ReceiveHandoverCommand(UeOf(imsi));
                }));
    Connect(rrc, "RadioLinkFailure", UeSink([&listener](uint64_t imsi, uint16_t cellId, uint16_t) {
                listener.ReceiveRadioLinkFailure(UeOf(imsi), cellId - 1);
            }));
    Connect(rrc,
            "ConnectionEstablished",
            UeSink([&listener](uint64_t imsi, uint16_t cellId, uint16_t) {
                listener.ReceiveConnectionEstablished(UeOf(imsi), cellId - 1);
            }));
}

void
ReportHandovers(Ptr<LteEnbRrc> rrc, RadioNetwork::Listener& listener)
{
    Connect(rrc,
            "HandoverStart",
            Callback<void, uint64_t, uint16_t, uint16_t, uint16_t>(
                [&listener](uint64_t imsi, uint16_t sourceId, uint16_t, uint16_t targetId) {
                    listener.ReceiveHandoverStart(UeOf(imsi), sourceId - 1, targetId - 1);
                }));
    Connect(rrc, "HandoverEndOk", UeSink([&listener](uint64_t imsi, uint16_t, uint16_t) {
                listener.ReceiveHandoverOk(UeOf(imsi));
            }));
    Connect(rrc,
            "HandoverFailureNoPreamble",
            UeSink([&listener](uint64_t imsi, uint16_t, uint16_t targetId) {
                listener.ReceiveHandoverRefusal(UeOf(imsi), targetId - 1);
            }));
    for (const auto& [trace, cause] :
         {std::pair("HandoverFailureMaxRach", EventKind::HANDOVER_FAILED_MAX_RACH),
          std::pair("HandoverFailureLeaving", EventKind::HANDOVER_FAILED_LEAVING),
          std::pair("HandoverFailureJoining", EventKind::HANDOVER_FAILED_JOINING)})
    {
        Connect(rrc, trace, UeSink([&listener, cause = cause](uint64_t imsi, uint16_t, uint16_t) {
                    listener.ReceiveHandoverFailure(UeOf(imsi), cause);
                }));
    }
}

} // namespace mlb
