// SPDX-License-Identifier: MIT

#ifndef CIO_HANDOVER_ALGORITHM_H
#define CIO_HANDOVER_ALGORITHM_H

#include "ns3/lte-handover-algorithm.h"
#include "ns3/lte-handover-management-sap.h"
#include "ns3/nstime.h"

#include <map>
#include <memory>

namespace mlb
{

/**
 * @brief The parameters of event A3 while one cell serves, and its door to handover.
 *
 * ns3::LteUeRrc takes Ocn for 0 dB in event A3, and measurements cannot be reconfigured once a
 * simulation runs. A3Event therefore evaluates the event with these parameters, where TS 36.331
 * puts it, in the UE, which then sends its measurement report, and here the eNB acts on it.
 */
class CioHandoverAlgorithm : public ns3::LteHandoverAlgorithm
{
  public:
    /**
     * @brief Get the type ID.
     * @return the object TypeId
     */
    static ns3::TypeId GetTypeId();

    CioHandoverAlgorithm();
    ~CioHandoverAlgorithm() override;

    /**
     * @brief Sets Ocn (TS 36.331 clause 5.5.4.4) of a neighbour while this cell serves.
     * @param cellId ns-3's cell ID of the neighbour
     * @param ocnDb cell individual offset, in dB
     */
    void SetOcn(uint16_t cellId, double ocnDb);

    /**
     * @return Ocn of every neighbour by ns-3's cell ID, in dB
     */
    const std::map<uint16_t, double>& GetOcn() const;

    /**
     * @brief Sets Hys (TS 36.331 clause 5.5.4.4) while this cell serves.
     * @param hysteresisDb hysteresis, in dB
     */
    void SetHysteresis(double hysteresisDb);

    /**
     * @return Hys, in dB
     */
    double GetHysteresis() const;

    /**
     * @brief Sets timeToTrigger (TS 36.331 clause 6.3.5) while this cell serves.
     * @param timeToTrigger the time
     */
    void SetTimeToTrigger(ns3::Time timeToTrigger);

    /**
     * @return timeToTrigger
     */
    ns3::Time GetTimeToTrigger() const;

    /**
     * @brief Tells one measurement configuration from the next.
     *
     * Whoever changes a value is taken to send one RRCConnectionReconfiguration to the UEs that
     * the cell serves, at once; one that sets what is set already sends none.
     *
     * @return a number that grows with each change
     */
    uint32_t GetConfiguration() const;

    /**
     * @return measId of the reports that ask for a handover; TS 36.331 clause 5.5.5
     */
    uint8_t GetMeasId() const;

    // inherited from LteHandoverAlgorithm
    void SetLteHandoverManagementSapUser(ns3::LteHandoverManagementSapUser* user) override;
    ns3::LteHandoverManagementSapProvider* GetLteHandoverManagementSapProvider() override;

  protected:
    void DoInitialize() override;

    /**
     * @brief Asks the eNB to prepare an X2 handover; it refuses if the UE is busy with another.
     * @param rnti the UE, which this cell serves
     * @param measResults its report; the first neighbour is the target
     */
    void DoReportUeMeas(uint16_t rnti, ns3::LteRrcSap::MeasResults measResults) override;

  private:
    friend class ns3::MemberLteHandoverManagementSapProvider<CioHandoverAlgorithm>;

    /// Sets a parameter, and notes whether that changes it.
    template <typename T>
    void Configure(T& parameter, T value);

    uint8_t m_measId{0};                                                  ///< of the reports
    uint32_t m_configuration{0};                                          ///< counts the changes
    double m_hysteresisDb{0};                                             ///< Hys in dB
    ns3::Time m_timeToTrigger;                                            ///< timeToTrigger
    std::map<uint16_t, double> m_ocnDb;                                   ///< Ocn in dB by cell ID
    ns3::LteHandoverManagementSapUser* m_sapUser{nullptr};                ///< the eNB's RRC
    std::unique_ptr<ns3::LteHandoverManagementSapProvider> m_sapProvider; ///< for the eNB's RRC
};

} // namespace mlb

#endif // CIO_HANDOVER_ALGORITHM_H
