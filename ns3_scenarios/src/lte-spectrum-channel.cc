// SPDX-License-Identifier: MIT

#include "lte-spectrum-channel.h"

#include "ns3/angles.h"
#include "ns3/antenna-model.h"
#include "ns3/isotropic-antenna-model.h"
#include "ns3/lte-control-messages.h"
#include "ns3/lte-enb-net-device.h"
#include "ns3/lte-spectrum-signal-parameters.h"
#include "ns3/lte-ue-cphy-sap.h"
#include "ns3/lte-ue-net-device.h"
#include "ns3/lte-ue-phy.h"
#include "ns3/lte-ue-rrc.h"
#include "ns3/mobility-model.h"
#include "ns3/node.h"
#include "ns3/propagation-loss-model.h"
#include "ns3/simulator.h"
#include "ns3/spectrum-converter.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

namespace mlb
{

using namespace ns3;

NS_OBJECT_ENSURE_REGISTERED(LteSpectrumChannel);

namespace
{

/// Cell ID of a sum of signals, which no cell has: nobody synchronises with it.
constexpr uint16_t NO_CELL_ID = std::numeric_limits<uint16_t>::max();
/// Half a frame, the period of the synchronization signals: TS 36.211 clause 6.11.1.2.
constexpr int64_t GAIN_PERIOD_MS = 5;

using DataFrame = LteSpectrumSignalParametersDataFrame;
using DlCtrlFrame = LteSpectrumSignalParametersDlCtrlFrame;
using UlSrsFrame = LteSpectrumSignalParametersUlSrsFrame;

/**
 * @brief Adds psd * gain to a sum, without temporaries.
 * @param sum the sum
 * @param psd a power spectral density of the same bands
 * @param gain factor
 */
void
AddScaled(SpectrumValue& sum, const SpectrumValue& psd, double gain)
{
    std::transform(psd.ConstValuesBegin(),
                   psd.ConstValuesEnd(),
                   sum.ConstValuesBegin(),
                   sum.ValuesBegin(),
                   [gain](double sent, double before) { return before + sent * gain; });
}

/**
 * @param antenna an antenna
 * @param at where it is
 * @param towards where the other end of the link is
 * @return its gain in that direction, in dB
 */
double
AntennaGainDb(AntennaModel& antenna, const MobilityModel& at, const MobilityModel& towards)
{
    // Angles cost more than the rest of a path gain, and UEs are isotropic.
    if (antenna.GetInstanceTypeId() == IsotropicAntennaModel::GetTypeId())
    {
        return antenna.GetGainDb({0, 0});
    }
    return antenna.GetGainDb({towards.GetPosition(), at.GetPosition()});
}

/**
 * @brief Makes the signal that reaches a receiver.
 * @tparam T type of its parameters
 * @param sent the signal as it was sent
 * @param psd power spectral density received
 * @param cellId cell that it belongs to
 * @return parameters with what all types have in common
 */
template <typename T>
Ptr<T>
MakeReceived(const SpectrumSignalParameters& sent, Ptr<SpectrumValue> psd, uint16_t cellId)
{
    auto received = Create<T>();
    received->psd = psd;
    received->duration = sent.duration;
    received->txPhy = sent.txPhy;
    received->txAntenna = sent.txAntenna;
    received->cellId = cellId;
    return received;
}

} // namespace

TypeId
LteSpectrumChannel::GetTypeId()
{
    static TypeId tid = TypeId("mlb::LteSpectrumChannel")
                            .SetParent<SpectrumChannel>()
                            .SetGroupName("Lte")
                            .AddConstructor<LteSpectrumChannel>();
    return tid;
}

void
LteSpectrumChannel::DoDispose()
{
    m_receivers.clear();
    m_started.clear();
    m_gains.clear();
    SpectrumChannel::DoDispose();
}

void
LteSpectrumChannel::AddRx(Ptr<SpectrumPhy> phy)
{
    if (Receiver* known = Find(phy))
    {
        known->isListening = true;
        return;
    }
    auto device = phy->GetDevice();
    const uint32_t nodeId = device->GetNode()->GetId();
    if (auto ue = DynamicCast<LteUeNetDevice>(device))
    {
        m_receivers.push_back({phy, true, nodeId, ue->GetPhy(), ue->GetRrc(), 0});
    }
    else
    {
        auto enb = DynamicCast<LteEnbNetDevice>(device);
        NS_ABORT_MSG_UNLESS(enb, "not a device of LTE");
        m_receivers.push_back({phy, true, nodeId, nullptr, nullptr, enb->GetCellId()});
    }
}

void
LteSpectrumChannel::RemoveRx(Ptr<SpectrumPhy> phy)
{
    // A UE leaves and comes back at each handover: its index stays.
    if (Receiver* known = Find(phy))
    {
        known->isListening = false;
    }
}

LteSpectrumChannel::Receiver*
LteSpectrumChannel::Find(Ptr<SpectrumPhy> phy)
{
    const auto found = std::find_if(m_receivers.begin(),
                                    m_receivers.end(),
                                    [&phy](const Receiver& known) { return known.phy == phy; });
    return found == m_receivers.end() ? nullptr : &*found;
}

std::size_t
LteSpectrumChannel::GetNDevices() const
{
    return m_receivers.size();
}

Ptr<NetDevice>
LteSpectrumChannel::GetDevice(std::size_t i) const
{
    return m_receivers.at(i).phy->GetDevice();
}

void
LteSpectrumChannel::StartTx(Ptr<SpectrumSignalParameters> params)
{
    if (m_started.empty())
    {
        // Runs when all cells or UEs have sent the frame that starts at this instant.
        Simulator::ScheduleNow(&LteSpectrumChannel::Deliver, this);
    }
    m_started.push_back(Classify(params));
    NS_ABORT_MSG_UNLESS(m_started.back().kind == m_started.front().kind &&
                            params->duration == m_started.front().params->duration,
                        "frames that start together are not of one kind");
}

LteSpectrumChannel::Signal
LteSpectrumChannel::Classify(Ptr<SpectrumSignalParameters> params)
{
    auto* gains = &m_gains[PeekPointer(params->txPhy)];
    if (auto data = DynamicCast<LteSpectrumSignalParametersDataFrame>(params))
    {
        return {Kind::DATA, params, data->cellId, false, gains};
    }
    if (auto ctrl = DynamicCast<LteSpectrumSignalParametersDlCtrlFrame>(params))
    {
        Addressees& addressees = m_addressees[ctrl->cellId];
        addressees = {};
        for (const auto& message : ctrl->ctrlMsgList)
        {
            if (auto downlink = DynamicCast<DlDciLteControlMessage>(message))
            {
                addressees.rntis.insert(downlink->GetDci().m_rnti);
            }
            else if (auto uplink = DynamicCast<UlDciLteControlMessage>(message))
            {
                addressees.rntis.insert(uplink->GetDci().m_rnti);
            }
            else
            {
                addressees.isBroadcast = true;
            }
        }
        return {Kind::DL_CTRL, params, ctrl->cellId, ctrl->pss, gains};
    }
    auto srs = DynamicCast<LteSpectrumSignalParametersUlSrsFrame>(params);
    NS_ABORT_MSG_UNLESS(srs, "not a signal of LTE");
    return {Kind::UL_SRS, params, srs->cellId, false, gains};
}

void
LteSpectrumChannel::Deliver()
{
    const auto signals = std::make_shared<const std::vector<Signal>>(std::exchange(m_started, {}));
    for (std::size_t index = 0; index < m_receivers.size(); ++index)
    {
        const Receiver& receiver = m_receivers[index];
        if (signals->front().hasPss || IsReceiving(receiver, *signals))
        {
            // What a node does runs in its context.
            Simulator::ScheduleWithContext(receiver.nodeId,
                                           Time(),
                                           &LteSpectrumChannel::DeliverTo,
                                           this,
                                           signals,
                                           index);
        }
    }
}

void
LteSpectrumChannel::DeliverTo(std::shared_ptr<const std::vector<Signal>> signals, std::size_t index)
{
    const Receiver& receiver = m_receivers[index];
    if (!receiver.isListening)
    {
        return;
    }
    const uint16_t cellId = GetCellId(receiver);
    Ptr<SpectrumValue> othersPsd;
    for (const Signal& signal : *signals)
    {
        const Ptr<const SpectrumValue> txPsd = GetTxPsd(signal, *receiver.phy);
        auto psd = Create<SpectrumValue>(txPsd->GetSpectrumModel());
        AddScaled(*psd, *txPsd, GetGain(signal, index));
        if (signal.cellId == cellId)
        {
            receiver.phy->StartRx(MakeOwn(signal, psd));
            continue;
        }
        if (signal.hasPss && receiver.uePhy)
        {
            // All that LteSpectrumPhy does with the synchronization signal of another cell.
            receiver.uePhy->ReceivePss(signal.cellId, psd);
        }
        if (othersPsd)
        {
            *othersPsd += *psd;
        }
        else
        {
            othersPsd = psd;
        }
    }
    if (othersPsd)
    {
        receiver.phy->StartRx(MakeOthers(signals->front(), othersPsd));
    }
}

Ptr<SpectrumSignalParameters>
LteSpectrumChannel::MakeOwn(const Signal& signal, Ptr<SpectrumValue> psd)
{
    switch (signal.kind)
    {
    case Kind::DATA: {
        const auto sent = DynamicCast<const DataFrame>(signal.params);
        auto received = MakeReceived<DataFrame>(*sent, psd, signal.cellId);
        // Receivers strip headers off the packets; the sender may need them for a retransmission.
        received->packetBurst = sent->packetBurst ? sent->packetBurst->Copy() : nullptr;
        received->ctrlMsgList = sent->ctrlMsgList;
        return received;
    }
    case Kind::DL_CTRL: {
        const auto sent = DynamicCast<const DlCtrlFrame>(signal.params);
        auto received = MakeReceived<DlCtrlFrame>(*sent, psd, signal.cellId);
        received->ctrlMsgList = sent->ctrlMsgList;
        received->pss = sent->pss;
        return received;
    }
    default:
        return MakeReceived<UlSrsFrame>(*signal.params, psd, signal.cellId);
    }
}

Ptr<SpectrumSignalParameters>
LteSpectrumChannel::MakeOthers(const Signal& one, Ptr<SpectrumValue> psd)
{
    switch (one.kind)
    {
    case Kind::DATA:
        return MakeReceived<DataFrame>(*one.params, psd, NO_CELL_ID);
    case Kind::DL_CTRL: {
        auto received = MakeReceived<DlCtrlFrame>(*one.params, psd, NO_CELL_ID);
        received->pss = false;
        return received;
    }
    default:
        return MakeReceived<UlSrsFrame>(*one.params, psd, NO_CELL_ID);
    }
}

uint16_t
LteSpectrumChannel::GetCellId(const Receiver& receiver)
{
    return receiver.uePhy ? receiver.uePhy->GetLteUeCphySapProvider()->GetCellId()
                          : receiver.enbCellId;
}

bool
LteSpectrumChannel::IsReceiving(const Receiver& receiver, const std::vector<Signal>& signals) const
{
    const uint16_t cellId = GetCellId(receiver);
    const bool hasOwn = std::any_of(signals.begin(), signals.end(), [cellId](const Signal& signal) {
        return signal.cellId == cellId;
    });
    if (!hasOwn || !receiver.ueRrc)
    {
        return hasOwn;
    }
    const auto found = m_addressees.find(cellId);
    if (found == m_addressees.end())
    {
        return false;
    }
    const Addressees& addressees = found->second;
    return (addressees.isBroadcast && signals.front().kind == Kind::DL_CTRL) ||
           addressees.rntis.count(receiver.ueRrc->GetRnti()) > 0;
}

double
LteSpectrumChannel::GetGain(const Signal& signal, std::size_t index) const
{
    if (signal.gains->size() <= index)
    {
        signal.gains->resize(m_receivers.size());
    }
    Gain& gain = (*signal.gains)[index];
    const int64_t period = Simulator::Now().GetMilliSeconds() / GAIN_PERIOD_MS;
    if (gain.period != period)
    {
        const SpectrumPhy& phy = *m_receivers[index].phy;
        auto from = signal.params->txPhy->GetMobility();
        auto to = phy.GetMobility();
        double gainDb = m_propagationLoss->CalcRxPower(0, from, to);
        gainDb += AntennaGainDb(*signal.params->txAntenna, *from, *to);
        gainDb += AntennaGainDb(*DynamicCast<AntennaModel>(phy.GetAntenna()), *to, *from);
        gain = {period, std::pow(10.0, gainDb / 10.0)};
    }
    return gain.linear;
}

Ptr<const SpectrumValue>
LteSpectrumChannel::GetTxPsd(const Signal& signal, const SpectrumPhy& phy)
{
    // A UE that has not read the MIB listens to 6 RBs.
    const auto sentModel = signal.params->psd->GetSpectrumModel();
    const auto heardModel = phy.GetRxSpectrumModel();
    if (sentModel->GetUid() == heardModel->GetUid())
    {
        return signal.params->psd;
    }
    return SpectrumConverter(sentModel, heardModel).Convert(signal.params->psd);
}

} // namespace mlb
