// SPDX-License-Identifier: MIT

#ifndef SCENARIO_H
#define SCENARIO_H

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mlb
{

/// One cell.
struct Cell
{
    double xM;         ///< east, in m
    double yM;         ///< north, in m
    double heightM;    ///< above ground, in m
    double txPowerDbm; ///< total power of the downlink carrier, in dBm
    double azimuthDeg; ///< of a sector's main lobe, clockwise from north, in degrees
    double tiltDeg;    ///< of a sector's main lobe, below the horizon, in degrees
};

/// A path loss model and its parameters; those of other models are unset.
struct PathLoss
{
    std::string model;       ///< log-distance, okumura-hata, cost231-hata, uma or umi
    double exponent;         ///< of log-distance
    double referenceLossDb;  ///< of log-distance: at 1 m, in dB
    std::string environment; ///< of okumura-hata: urban, suburban or open
    std::string citySize;    ///< of okumura-hata: small or large
    std::string condition;   ///< of uma and umi: los or nlos
};

/// Antenna pattern of all cells; that of an omnidirectional one is unset but for the first field.
struct Antenna
{
    std::string pattern;           ///< omni or sector
    double horizontalBeamwidthDeg; ///< between the points 3 dB down, in degrees
    double verticalBeamwidthDeg;   ///< between the points 3 dB down, in degrees
    double maxAttenuationDb;       ///< A_m of TR 36.814 table A.2.1.1-2, in dB
    double sideLobeLimitDb;        ///< SLA_v of TR 36.814 table A.2.1.1-2, in dB
    double gainDbi;                ///< of the main lobe, in dBi
};

/// Radio access technology.
enum class Technology
{
    LTE, ///< E-UTRA
};

/// Carrier, propagation, noise, and how cells are scheduled.
struct Radio
{
    Technology technology;  ///< by which the other fields are read
    uint32_t dlEarfcn;      ///< downlink carrier, TS 36.101 clause 5.7.3
    uint8_t dlBandwidthRb;  ///< 25, 50 or 100 RBs
    double ueHeightM;       ///< above ground, in m
    double cellHeightM;     ///< above ground, in m, of all cells for models that know only one
    PathLoss pathLoss;      ///< between cells and UEs
    bool hasShadowing;      ///< a map of which must be given
    Antenna antenna;        ///< of all cells
    double ueNoiseFigureDb; ///< in dB
    std::string scheduler;  ///< pf or rr
    std::string rrc;        ///< ideal or real
    std::string cqi;        ///< what the CQI is measured on: control or pdsch
};

/// From the least to the greatest value allowed.
struct Range
{
    double low;  ///< least
    double high; ///< greatest
};

/// Event A3, TS 36.331 clause 5.5.4.4.
struct Handover
{
    double a3OffsetDb;                           ///< a3-Offset, in dB
    double hysteresisDb;                         ///< Hys, in dB
    int64_t timeToTriggerMs;                     ///< timeToTrigger, in ms
    double cioRangeDb;                           ///< greatest absolute value of a CIO, in dB
    std::optional<Range> steeredHysteresisDb;    ///< range of Hys if actions set it, in dB
    std::optional<Range> steeredTimeToTriggerMs; ///< range of timeToTrigger if so, in ms
};

/// Radio link failure, TS 36.331 clause 5.3.11.
struct RadioLink
{
    uint32_t n310;  ///< consecutive out-of-sync indications that start T310
    uint32_t n311;  ///< consecutive in-sync indications that stop it
    int64_t t310Ms; ///< how long T310 runs until the failure, in ms
};

/// When the packets of a downlink flow arrive.
enum class TrafficModel
{
    CONSTANT_BIT_RATE, ///< regularly
    POISSON,           ///< as a Poisson process
    ON_OFF,            ///< regularly, in on times between off times, both of exponential length
    FULL_BUFFER,       ///< whenever there is room in the queue
};

/// One downlink flow a UE, and one uplink flow if asked for.
struct Traffic
{
    TrafficModel model;               ///< of the downlink
    double meanOnS;                   ///< mean length of an on time, in s
    double meanOffS;                  ///< mean length of an off time, in s
    std::vector<double> ueOfferedBps; ///< by UE: mean UDP payload in the downlink, in bit/s
    double uplinkBps;                 ///< UDP payload that each UE sends regularly, in bit/s
    uint32_t packetBytes;             ///< UDP payload of a packet, in bytes
};

/// Time; the trace starts when the warm-up ends.
struct Episode
{
    uint32_t steps;          ///< control steps
    double controlIntervalS; ///< length of a control step, in s
    double warmupS;          ///< simulated before the trace starts, in s
};

/**
 * @brief The fields of a scenario file that the simulation needs, with their meaning there.
 */
struct Scenario
{
    /**
     * @brief Reads a scenario file.
     *
     * @param path a JSON file, the dump of the Python class Scenario
     * @return the scenario
     * @throws InputError naming the field that is missing, of the wrong type or out of range
     */
    static Scenario Read(const std::string& path);

    Radio radio;             ///< carrier, propagation, noise, scheduler
    Handover handover;       ///< event A3
    RadioLink radioLink;     ///< radio link failure
    Traffic traffic;         ///< traffic of the UEs
    Episode episode;         ///< time
    uint32_t ues;            ///< number of UEs
    std::vector<Cell> cells; ///< cells, in order of their index
    std::vector<std::pair<uint32_t, uint32_t>> neighborPairs; ///< (serving, neighbour) cell index
};

} // namespace mlb

#endif // SCENARIO_H
