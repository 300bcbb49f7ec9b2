// SPDX-License-Identifier: MIT

#ifndef POISSON_SOURCE_H
#define POISSON_SOURCE_H

#include "udp-source.h"

#include "ns3/data-rate.h"
#include "ns3/event-id.h"
#include "ns3/random-variable-stream.h"

namespace mlb
{

/**
 * @brief Sends datagrams at the times of a Poisson process: the gaps are exponential.
 *
 * ns-3 has no such application: UdpClient's gap is constant, and OnOffApplication draws the lengths
 * of its periods, not the gaps between packets.
 */
class PoissonSource : public UdpSource
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static ns3::TypeId GetTypeId();

    PoissonSource();

    /**
     * @brief Fixes the random stream; an override where ns3::Application has the method (3.44).
     * @param stream number of the stream
     * @return number of streams used
     */
    int64_t AssignStreams(int64_t stream);

  private:
    void StartApplication() override;
    void StopApplication() override;

    /// Waits for the next arrival.
    void ScheduleNext();

    ns3::DataRate m_rate;                               ///< mean, of UDP payload
    ns3::Ptr<ns3::ExponentialRandomVariable> m_meanOne; ///< gaps in units of their mean
    ns3::EventId m_nextArrival;                         ///< pending while it runs
};

} // namespace mlb

#endif // POISSON_SOURCE_H
