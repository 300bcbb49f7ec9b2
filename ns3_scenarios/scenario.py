"""Scenario: everything that defines an experiment besides the seeds, as one frozen record.

A *preset* is the YAML that people write (`presets/`); a *scenario* is a preset whose sites have been placed on
the streets, so that its cells and neighbour pairs are explicit. Python and the ns-3 program read the same JSON.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ns3_scenarios.episode import Episode
from ns3_scenarios.handover import Handover
from ns3_scenarios.mdp import OBSERVATIONS, REWARDS
from ns3_scenarios.neighbors import MOST_CELLS, MOST_PAIRS, CellIndex, neighbor_pairs
from ns3_scenarios.radio import LteRadio, Radio, RadioLink
from ns3_scenarios.reports import Reports
from ns3_scenarios.rule import Rule
from ns3_scenarios.traffic import Traffic
from sumo_mobility.base.contract import Contract, nearest
from sumo_mobility.base.documents import printable
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.fields import Coordinate
from sumo_mobility.maps import MapSource
from sumo_mobility.mobility_config import MobilityConfig
from sumo_mobility.open_ground import OpenGround
from sumo_mobility.site_files import Sector, Site
from sumo_mobility.sites import ListedSites, SiteRule

PRESETS = Path(__file__).parent / "presets"
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LONGEST_ID = 120


def _valid_id(value: str) -> str:
    if not _ID.fullmatch(value) or len(value) > _LONGEST_ID:
        raise ValueError(f"must look like 'my-town-2': lower case, digits, hyphens, {_LONGEST_ID} at most")
    return value


ProfileName = Literal["ns3", "3gpp", "paper"]
RewardName = Annotated[str, AfterValidator(REWARDS.known), REWARDS]
ObservationName = Annotated[str, AfterValidator(OBSERVATIONS.known), OBSERVATIONS]

Weight = Annotated[float, Field(ge=-1e6, le=1e6)]


class Cell(Contract):
    """A cell: its position, antenna direction and transmit power."""

    x_m: Coordinate
    y_m: Coordinate
    height_m: float = Field(gt=0, le=200)
    tx_power_dbm: float = Field(ge=0, le=60)
    azimuth_deg: float = Field(0.0, ge=0, lt=360)
    """Azimuth of a sector antenna, clockwise from north."""
    tilt_deg: float = Field(0.0, ge=-90, le=90)
    """Downtilt of a sector antenna below the horizon."""


class Preset(Contract):
    """A preset, as people write it in YAML; `presets/` has those that are shipped."""

    id: Annotated[str, AfterValidator(_valid_id)]
    description: str = Field(max_length=2000)
    mobility: MobilityConfig
    sites: SiteRule
    radio: Radio = LteRadio()
    handover: Handover = Handover()
    radio_link: RadioLink = RadioLink()
    traffic: Traffic = Traffic()
    episode: Episode = Episode()
    observation: ObservationName = "cell-kpi"
    reward: RewardName | dict[RewardName, Weight] = "load-std"
    """The name of a reward, or a weighted sum of several."""
    handover_cost: float = Field(0.05, ge=0, le=1e6)
    """Penalty that is subtracted from the reward: this much times the handovers in the interval per UE."""
    reports: Reports = Field(Reports(), exclude_if=lambda reports: reports == Reports())
    """How late and noisy the KPIs are of which observations are made, and which policies get; left out of files where
    they are neither."""
    rule: Rule = Rule()
    """Gains of the policy `integral`, tuned to this scenario."""
    profile: ProfileName = "ns3"
    """Whose physics the engine computes: ns-3's, quirks included; the standards' where ns-3 departs from them; or those
    of the reference system (`cf_augment.physics.closed_form.paper`). Every other back end has those of ns-3 only."""

    @property
    def reward_weights(self) -> dict[RewardName, float]:
        """The weights of the rewards that are summed, by their names."""
        return {self.reward: 1.0} if isinstance(self.reward, str) else self.reward

    @model_validator(mode="after")
    def _contexts_know_the_sites(self) -> Self:
        places_m = self.sites.positions_m if isinstance(self.sites, ListedSites) else ()
        # A frozen record is complete once it is validated, not before.
        object.__setattr__(self, "mobility", self.mobility.with_sites(places_m))
        return self

    @model_validator(mode="after")
    def _sectors_have_antennas(self) -> Self:
        if self.sites.sectors > 1 and self.radio.antenna.pattern == "omni":
            raise ValueError(f"sites.sectors = {self.sites.sectors} need radio.antenna.pattern = sector")
        return self

    @model_validator(mode="after")
    def _reward_counts_something(self) -> Self:
        if not any(self.reward_weights.values()):
            raise ValueError("reward: needs weights that are not all 0")
        return self

    @model_validator(mode="after")
    def _weights_fit_ues(self) -> Self:
        weights, ues = len(self.traffic.ue_weights), self.mobility.ues
        if weights not in (0, ues):
            raise ValueError(f"traffic.ue_weights: {weights} weights, but mobility.ues = {ues}")
        return self

    @model_validator(mode="after")
    def _trace_covers_episode(self) -> Self:
        if self.mobility.duration_s < self.episode.duration_s:
            raise ValueError(
                f"mobility.duration_s = {self.mobility.duration_s} is shorter than the episode's "
                f"{self.episode.duration_s} s"
            )
        return self

    @model_validator(mode="after")
    def _reports_come_in_time(self) -> Self:
        late, steps = self.reports.delay_intervals, self.episode.steps
        if late >= steps:
            raise ValueError(
                f"reports.delay_intervals = {late}: nothing would be reported in an episode of {steps} steps; lower it "
                f"to {steps - 1} at most, or raise episode.steps"
            )
        return self

    @classmethod
    def parse(cls, data: Any, where: str, folder: Path | None = None) -> Self:
        """Returns a checked preset, as `Contract.parse` does; a section that is left empty keeps its defaults."""
        given = {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data
        return super().parse(given, where, folder)

    @classmethod
    def load(cls, name: str) -> Self:
        """Loads a shipped preset by id, or any YAML file by path.

        Raises:
            ConfigError: unknown id (with the nearest one), unknown key, or a value out of range.
        """
        path = Path(name)
        if path.suffix in (".yaml", ".yml"):
            return cls.read_yaml(path)
        if name not in preset_ids():
            raise ConfigError(
                f"unknown preset '{printable(name)}'{nearest(name, preset_ids())}",
                "'mlb scenario list' shows all presets",
            )
        return cls.read_yaml(PRESETS / f"{name}.yaml")

    def on_map(self, source: MapSource | OpenGround) -> Self:
        """Returns the same on another map; its id says so."""
        stem, version = re.fullmatch(r"(.+?)((?:-v[0-9]+)?)", self.id).groups()  # type: ignore[union-attr]
        place = re.sub(r"[^a-z0-9]+", "-", source.name.lower()).strip("-")
        if not place and isinstance(source, MapSource):
            place = source.sha256[:8]
        changes = {
            "id": f"{stem}-on-{place}"[: _LONGEST_ID - len(version)].rstrip("-") + version,
            "description": f"{self.id} on another map: {source.title}.",
            "mobility": {**self.mobility.model_dump(), "map": source.found_by},
        }
        return self.parse(self.model_dump() | changes, self.id)


class Scenario(Preset):
    """A preset placed on its map: cells and the ordered neighbour pairs that the action steers."""

    cells: tuple[Cell, ...] = Field(min_length=2, max_length=MOST_CELLS)
    neighbor_pairs: tuple[tuple[CellIndex, CellIndex], ...] = Field(min_length=1, max_length=MOST_PAIRS)
    """(serving, neighbour) cell indices, sorted; component k of a CIO vector is that of pair k."""

    @model_validator(mode="after")
    def _cells_differ(self) -> Self:
        is_sector = self.radio.antenna.pattern == "sector"
        known: dict[tuple[float, float, float], int] = {}
        for index, cell in enumerate(self.cells):
            here = (cell.x_m, cell.y_m, cell.azimuth_deg if is_sector else 0.0)
            first = known.setdefault(here, index)
            if first != index:
                look = f" and look to {cell.azimuth_deg:g} degrees" if is_sector else ""
                raise ValueError(f"cells {first} and {index} stand on one spot ({cell.x_m:g}, {cell.y_m:g}) m{look}")
        return self

    @model_validator(mode="after")
    def _heights_fit_path_loss(self) -> Self:
        model, ue_height_m = self.radio.path_loss.model, self.radio.ue_height_m
        for index, cell in enumerate(self.cells):
            if model != "log-distance" and cell.height_m < ue_height_m + 1:
                raise ValueError(f"cells.{index}.height_m must be radio.ue_height_m + 1 m at least for '{model}'")
            if model == "cost231-hata" and cell.height_m != self.radio.cell_height_m:
                raise ValueError(f"cells.{index}.height_m must be radio.cell_height_m: '{model}' knows one height")
        return self

    @model_validator(mode="after")
    def _pairs_name_cells(self) -> Self:
        for index, (serving, neighbor) in enumerate(self.neighbor_pairs):
            if serving == neighbor or not (0 <= serving < len(self.cells) and 0 <= neighbor < len(self.cells)):
                raise ValueError(f"neighbor_pairs.{index}: ({serving}, {neighbor}) does not name two cells")
        if list(self.neighbor_pairs) != sorted(set(self.neighbor_pairs)):
            raise ValueError("neighbor_pairs must be sorted and without repetition")
        return self

    @classmethod
    def place(cls, preset: Preset, sites_m: Sequence[tuple[float, float] | Site]) -> Self:
        """Puts the cells on the sites, sector by sector, and pairs the cells as handover.neighbors says.

        Sectors that a list of sites names come as listed; what it leaves open, and other sites, are as the preset says.

        Raises:
            ConfigError: two sites stand on one spot, a cell does not fit the radio, or the neighbour graph the cells.
        """
        radio = preset.radio
        sites = [Site(*site) for site in sites_m]
        for (i, site), (j, other) in combinations(enumerate(sites), 2):
            if math.dist(site[:2], other[:2]) < 1:
                raise ConfigError(
                    f"{preset.id}: sites {i} and {j} stand on one spot ({site[0]:.0f}, {site[1]:.0f}) m",
                    "remove one of them",
                )
        tilt_deg = radio.antenna.tilt_deg if radio.antenna.pattern == "sector" else 0.0
        listed = [(site, sector) for site in sites for sector in site.sectors or (Sector(),)]
        if radio.antenna.pattern == "omni" and any(sector.azimuth_deg is not None for _, sector in listed):
            raise ConfigError(
                f"{preset.id}: the list of sites has azimuths, but radio.antenna.pattern is omni",
                "set radio.antenna.pattern: sector, or remove the azimuths",
            )
        cells = [
            {
                "x_m": site.x_m,
                "y_m": site.y_m,
                "height_m": radio.cell_height_m if sector.height_m is None else sector.height_m,
                "tx_power_dbm": radio.tx_power_dbm if sector.tx_power_dbm is None else sector.tx_power_dbm,
                "azimuth_deg": azimuth_deg,
                "tilt_deg": tilt_deg if sector.tilt_deg is None else sector.tilt_deg,
            }
            for site, sector in listed
            for azimuth_deg in (preset.sites.azimuths_deg() if sector.azimuth_deg is None else (sector.azimuth_deg,))
        ]
        try:
            pairs = neighbor_pairs(preset.handover.neighbors, [(cell["x_m"], cell["y_m"]) for cell in cells])
        except ConfigError as error:
            raise ConfigError(f"{preset.id}: {error.message}", error.cure) from None
        fields = {name: getattr(preset, name) for name in Preset.model_fields}
        return cls.parse(fields | {"cells": cells, "neighbor_pairs": pairs}, preset.id)


def preset_ids() -> list[str]:
    """Ids of the presets that are shipped."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))
