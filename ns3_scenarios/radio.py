"""Radio: carrier, path loss, antennas, noise, and when its link has failed. ns-3 and the analytic engine compute the
same from it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, model_validator

from ns3_scenarios.grids import one_of
from sumo_mobility.base.contract import Contract

_DOWNLINK_BANDS = (
    (0, 599, 2110.0), (600, 1199, 1930.0), (1200, 1949, 1805.0), (1950, 2399, 2110.0), (2400, 2649, 869.0),
    (2650, 2749, 875.0), (2750, 3449, 2620.0), (3450, 3799, 925.0), (3800, 4149, 1844.9), (4150, 4749, 2110.0),
    (4750, 4949, 1475.9), (5000, 5179, 728.0), (5180, 5279, 746.0), (5280, 5379, 758.0), (5730, 5849, 734.0),
    (5850, 5999, 860.0), (6000, 6149, 875.0), (6150, 6449, 791.0), (6450, 6599, 1495.9),
)  # fmt: skip
"""First and last downlink EARFCN and MHz at the first, of the FDD bands that ns-3 knows: TS 36.101 table 5.7.3-1."""


def carrier_hz(dl_earfcn: int) -> float:
    """Downlink carrier frequency, TS 36.101 5.7.3.

    Raises:
        ValueError: the EARFCN is in no downlink band that ns-3 knows.
    """
    for first, last, lowest_mhz in _DOWNLINK_BANDS:
        if first <= dl_earfcn <= last:
            return (lowest_mhz + 0.1 * (dl_earfcn - first)) * 1e6
    raise ValueError("is not a downlink EARFCN of bands 1-14 and 17-21 (TS 36.101 5.7.3); 100 is 2120 MHz")


def _valid_earfcn(value: int) -> int:
    carrier_hz(value)
    return value


class LogDistance(Contract):
    """reference_loss_db + 10 exponent log10(d / 1 m), and never less than the reference loss."""

    model: Literal["log-distance"] = "log-distance"
    exponent: float = Field(3.76, ge=1.5, le=6)
    reference_loss_db: float = Field(15.3, ge=0, le=100)
    """Path loss at 1 m; with an exponent of 3.76 the default gives 128.1 + 37.6 log10(d/km) dB, TR 36.942."""


class OkumuraHata(Contract):
    """Hata's formulas to 1500 MHz and their extension by COST 231 (eq. 4.4.3) above, as ns-3 has them.

    ns-3 computes large cities above 1500 MHz with a(h) = 3.2 (log10 11.75 h)^2, without Hata's 4.97 dB. ns-3 3.37, but
    not 3.44, has 4.70 (log10 f)^2 for Hata's 4.78 in open areas, 0.7 dB more.
    """

    model: Literal["okumura-hata"] = "okumura-hata"
    environment: Literal["urban", "suburban", "open"] = "urban"
    """Other than urban only to 1500 MHz: ns-3's extension has none."""
    city_size: Literal["small", "large"] = "small"
    """Small stands for small and medium-sized."""


class Cost231Hata(Contract):
    """COST 231 eq. 4.4.3 for small cities as in ns-3: 1.11 for 1.1 in a(h), and 10 dB more as a mean of shadowing."""

    model: Literal["cost231-hata"] = "cost231-hata"


class Uma(Contract):
    """Urban macrocell, TR 38.901 table 7.4.1-1; outdoors, without its shadow fading."""

    model: Literal["uma"] = "uma"
    condition: Literal["los", "nlos"] = "nlos"
    """Whether all links have line of sight or none has."""


class Umi(Contract):
    """Urban microcell, street canyon, TR 38.901 table 7.4.1-1; outdoors, without its shadow fading."""

    model: Literal["umi"] = "umi"
    condition: Literal["los", "nlos"] = "nlos"
    """Whether all links have line of sight or none has."""


PathLoss = LogDistance | OkumuraHata | Cost231Hata | Uma | Umi


class Omni(Contract):
    """Isotropic, 0 dBi."""

    pattern: Literal["omni"] = "omni"


class Sector(Contract):
    """TR 36.814 table A.2.1.1-2, in azimuth and elevation: attenuations add up, to no more than max_attenuation_db."""

    pattern: Literal["sector"] = "sector"
    horizontal_beamwidth_deg: float = Field(70.0, ge=1, le=360)
    """Between the points 3 dB down."""
    vertical_beamwidth_deg: float = Field(10.0, ge=1, le=180)
    """Between the points 3 dB down."""
    max_attenuation_db: float = Field(25.0, ge=0, le=100)
    """Front-to-back ratio, A_m."""
    side_lobe_limit_db: float = Field(20.0, ge=0, le=100)
    """Greatest attenuation in elevation, SLA_v."""
    gain_dbi: float = Field(14.0, ge=-50, le=50)
    tilt_deg: float = Field(6.0, ge=-90, le=90)
    """Downtilt of the main lobe; TR 36.814 calibrates with 15 degrees for sites 500 m apart and with 6 for 1732 m."""


Antenna = Omni | Sector


class Shadowing(Contract):
    """Shadowing, a map for each site: part of the place, the same in all episodes; log-normal, by buildings, or both.

    Std and correlations are those of the map's points; in between, interpolation smooths a little.
    """

    std_db: float = Field(8.0, ge=0, le=20)
    """Standard deviation of the log-normal shadowing; 0 leaves only the buildings."""
    buildings: bool = False
    """Where OpenStreetMap has a building between site and UE, the path loss is that without line of sight (TR 38.901).
    For path_loss `uma` or `umi` with condition `los`; grid_m should be 5 or so, for streets are narrow."""
    decorrelation_m: float = Field(50.0, gt=0, le=1000)
    """Distance at which the autocorrelation exp(-d / decorrelation_m) is 1/e (Gudmundson, Electron. Lett. 27, 1991)."""
    site_correlation: float = Field(0.5, ge=0, le=1)
    """Between sites, TR 36.814 table A.2.1.1-2; between the sectors of a site it is 1."""
    grid_m: float = Field(10.0, ge=1, le=100)
    """Distance of the map's points."""
    margin_m: float = Field(500.0, ge=0, le=10_000)
    """Width of the map beyond the cells; farther out, the value at its edge holds."""
    seed: int = Field(0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _grid_resolves(self) -> Self:
        if self.grid_m > self.decorrelation_m:
            raise ValueError(f"grid_m {self.grid_m:g} must not exceed decorrelation_m {self.decorrelation_m:g}")
        if self.margin_m < self.grid_m:
            raise ValueError(f"margin_m {self.margin_m:g} must be grid_m {self.grid_m:g} at least")
        if self.std_db == 0 and not self.buildings:
            raise ValueError("std_db 0 without buildings is no shadowing: leave shadowing out")
        return self


_UE_HEIGHTS_M = {"uma": (1.5, 13), "umi": (1.5, 10)}
"""The limits of TR 38.901 table 7.4.1-1, of which the upper one is excluded; higher UEs in UMa have a random effective
environment height."""


class LteRadio(Contract):
    """An LTE network: carrier, propagation, noise and scheduling; the defaults are a macro network at 2 GHz."""

    technology: Literal["lte"] = "lte"
    dl_earfcn: Annotated[int, AfterValidator(_valid_earfcn)] = 100
    """Downlink carrier; 100 is 2120 MHz."""
    dl_bandwidth_rb: Literal[25, 50, 100] = 25
    tx_power_dbm: float = Field(40.0, ge=0, le=60)
    cell_height_m: float = Field(30.0, gt=0, le=200)
    ue_height_m: float = Field(1.5, gt=0, le=30)
    path_loss: PathLoss = Field(LogDistance(), discriminator="model")
    shadowing: Shadowing | None = None
    antenna: Antenna = Field(Omni(), discriminator="pattern")
    """The antenna of all cells; azimuth and tilt are the cell's own."""
    ue_noise_figure_db: float = Field(9.0, ge=0, le=20)
    scheduler: Literal["pf", "rr"] = "pf"
    """Proportional fair or round robin, both ns-3's."""
    rrc: Literal["ideal", "real"] = "ideal"
    """`ideal`: RRC messages always arrive at once. `real`: they travel on SRB1, where they are late and may be lost.
    While SRB1 has data, the scheduler takes a UE's CQI to be at least 1, because ns-3 grants nothing at CQI 0."""
    cqi: Literal["control", "pdsch"] = "control"
    """The region that the CQI is measured on. In the control region every cell always sends, so that the CQI does not
    depend on the load. In the data region (PDSCH), ns-3's default, it depends on the load of the other cells; an idle
    cell is taken to be free of interference, so that more than a quarter of the blocks are sent twice, and the
    simulation takes longer."""

    @property
    def carrier_hz(self) -> float:
        """Downlink carrier frequency."""
        return carrier_hz(self.dl_earfcn)

    @model_validator(mode="after")
    def _path_loss_is_defined(self) -> Self:
        loss = self.path_loss
        if isinstance(loss, OkumuraHata) and loss.environment != "urban" and self.carrier_hz > 1500e6:
            raise ValueError(
                f"path_loss.environment '{loss.environment}' is for carriers to 1500 MHz, but dl_earfcn "
                f"{self.dl_earfcn} is {self.carrier_hz / 1e6:g} MHz"
            )
        low_m, high_m = _UE_HEIGHTS_M.get(loss.model, (0, float("inf")))
        if not low_m <= self.ue_height_m < high_m:
            raise ValueError(
                f"ue_height_m {self.ue_height_m:g} is not from {low_m:g} to {high_m:g} m, where '{loss.model}' holds"
            )
        if self.shadowing and self.shadowing.buildings and getattr(loss, "condition", "") != "los":
            raise ValueError("shadowing.buildings need path_loss 'uma' or 'umi' with condition 'los'")
        if loss.model != "log-distance" and self.cell_height_m < self.ue_height_m + 1:
            raise ValueError(f"cell_height_m must be ue_height_m + 1 m at least for '{loss.model}'")
        return self


def _lte_unless_named(data: Any) -> Any:
    return {"technology": "lte", **data} if isinstance(data, dict) else data


Radio = Annotated[LteRadio, Discriminator("technology"), BeforeValidator(_lte_unless_named)]
"""The radio of a scenario: a union by `technology`, which has one member so far. Where none is named, it is LTE."""


N310 = (1, 2, 3, 4, 6, 8, 10, 20)
N311 = (1, 2, 3, 4, 5, 6, 8, 10)
T310_MS = (0, 50, 100, 200, 500, 1000, 2000)
"""UE-TimersAndConstants, TS 36.331 6.3.6."""


_CLAUSE = "TS 36.331 6.3.6, UE-TimersAndConstants"


class RadioLink(Contract):
    """Radio link failure (TS 36.331 5.3.11), with the values that a network can signal; the defaults are ns-3's."""

    n310: Annotated[int, one_of(N310, _CLAUSE)] = Field(6, description=f"one of {N310}")
    """Consecutive out-of-sync indications that start T310. They come each 200 ms from ns-3, and in profile `3gpp` in
    each radio frame of 10 ms."""
    n311: Annotated[int, one_of(N311, _CLAUSE)] = Field(2, description=f"one of {N311}")
    """Consecutive in-sync indications that stop T310. They come each 100 ms from ns-3, and in profile `3gpp` in each
    radio frame."""
    t310_ms: Annotated[int, one_of(T310_MS, _CLAUSE, " ms")] = Field(1000, description=f"one of {T310_MS}")
    """Time from the start of T310 to the radio link failure."""
