// SPDX-License-Identifier: MIT

#ifndef UDP_SOURCE_H
#define UDP_SOURCE_H

#include "ns3/address.h"
#include "ns3/application.h"
#include "ns3/packet.h"
#include "ns3/ptr.h"
#include "ns3/socket.h"
#include "ns3/traced-callback.h"

#include <cstdint>

namespace mlb
{

/**
 * @brief Base of our own traffic sources: datagrams of one size to one address.
 *
 * Its trace source Tx fires for each datagram, as that of ns3::OnOffApplication.
 */
class UdpSource : public ns3::Application
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static ns3::TypeId GetTypeId();

    /**
     * @return number of the next datagram, which is the count of those sent
     */
    uint32_t GetNext() const;

  protected:
    void DoDispose() override;
    void StartApplication() override;
    void StopApplication() override;

    /// Sends one datagram; its payload begins with an ns3::SeqTsHeader.
    void Send();

    /**
     * @return UDP payload of a datagram, in bytes
     */
    uint32_t GetPacketSize() const;

    /**
     * @return whether the application has started and not stopped
     */
    bool IsRunning() const;

  private:
    ns3::Address m_remote;                                    ///< address and port to send to
    uint32_t m_packetSize;                                    ///< UDP payload, in bytes
    uint32_t m_next{0};                                       ///< number of the next datagram
    ns3::Ptr<ns3::Socket> m_socket;                           ///< open while it runs
    ns3::TracedCallback<ns3::Ptr<const ns3::Packet>> m_trace; ///< fired for each datagram
};

} // namespace mlb

#endif // UDP_SOURCE_H
