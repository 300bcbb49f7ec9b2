// SPDX-License-Identifier: MIT

#ifndef FULL_BUFFER_SOURCE_H
#define FULL_BUFFER_SOURCE_H

#include "udp-source.h"

#include "ns3/event-id.h"

#include <cstdint>

namespace mlb
{

/**
 * @brief Keeps the queue of a UE's bearer from running empty, with no more datagrams than that
 * takes.
 *
 * A fixed number of datagrams is on the way at any time; each delivery releases the next ones. RLC
 * UM delivers in order (TS 36.322 clause 5.1.2.2), so a delivery also tells which datagrams before
 * it are lost. If all on the way are lost, as the queue is in a handover, somebody has to tell
 * (Refill), or they are given up after a while.
 *
 * ns-3's saturation mode of RLC needs no datagrams, but there is no throughput above it.
 */
class FullBufferSource : public UdpSource
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static ns3::TypeId GetTypeId();

    /**
     * @brief Sink of the trace Rx of the application that receives the datagrams.
     * @param packet a datagram
     * @param from who sent it
     */
    void ReceiveDelivery(ns3::Ptr<const ns3::Packet> packet, const ns3::Address& from);

    /// Gives up what is on the way and sends as much anew.
    void Refill();

  private:
    void StartApplication() override;
    void StopApplication() override;

    /// Sends until enough is on the way.
    void Fill();

    uint32_t m_window;         ///< bytes of payload on the way
    uint32_t m_expected{0};    ///< number of the datagram that should be delivered next
    ns3::EventId m_impatience; ///< gives up what is on the way
};

} // namespace mlb

#endif // FULL_BUFFER_SOURCE_H
