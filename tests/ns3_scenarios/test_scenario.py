"""Presets and scenarios: what is refused, and that the placement is what geometry says."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ns3_scenarios.episode import Episode
from ns3_scenarios.radio import LteRadio
from ns3_scenarios.reports import Reports
from ns3_scenarios.scenario import PRESETS, Preset, Scenario, preset_ids
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.contexts import Corridor, Event, Sites, Tide
from sumo_mobility.sites import HexagonalGrid, ListedSites


def preset_data() -> dict[str, Any]:
    data = yaml.safe_load((PRESETS / "helsinki-event-v0.yaml").read_text())
    assert isinstance(data, dict)
    return data


@pytest.mark.parametrize("name", preset_ids())
def test_every_preset_loads_and_bears_the_name_of_its_file(name: str) -> None:
    assert Preset.load(name).id == name
    assert re.fullmatch(r".+-v\d+", name)


def test_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(
        ConfigError, match=r"'helsinki-evnt-v0' \(did you mean 'helsinki-event-v0'\?\)\n.*scenario list"
    ):
        Preset.load("helsinki-evnt-v0")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("radio", "tx_power_dbm"), 99, r"radio\.tx_power_dbm: .*less than or equal to 60.*got 99"),
        (("radio", "technology"), "nr", r"radio: technology = 'nr' is not one of 'lte'"),
        (("radio", "lte"), 1, r"radio\.lte: unknown key \(known: technology, "),
        (("handover", "time_to_trigger_ms"), 100_000, r"handover\.time_to_trigger_ms: .*TS 36\.331.*got 100000"),
        (("radio_link", "n310"), 0, r"radio_link\.n310: .*TS 36\.331 6\.3\.6.*got 0"),
        (("radio_link", "n311"), 7, r"radio_link\.n311: .*\(1, 2, 3, 4, 5, 6, 8, 10\).*TS 36\.331 6\.3\.6.*got 7"),
        (("radio_link", "t310_ms"), 300, r"radio_link\.t310_ms: .*1000, 2000\) ms \(TS 36\.331 6\.3\.6.*got 300"),
        (("handover", "hysteresys_db"), 1, r"handover\.hysteresys_db: unknown key \(did you mean 'hysteresis_db'\?\)"),
        (("traffic", "offered_bps"), float("nan"), r"traffic\.offered_bps"),
        (("mobility", "ues"), 0, r"mobility\.ues: .*greater than or equal to 1.*got 0"),
        (("episode", "steps"), 10_000, r"mobility\.duration_s .* is shorter than the episode's 10000"),
        (("episode", "control_interval_s"), 0.3, r"multiple of 0\.2 s"),
        (("id",), "Helsinki", r"id: .*lower case"),
        (("id",), "my-town\n", r"id: .*lower case"),
        (("id",), "a" * 200, r"id: .*120 at most"),
        (("mobility", "map"), "place:Kamppi\n", r"mobility\.map: .*no line feeds"),
        (("mobility", "ues"), True, r"mobility\.ues: must be a valid integer, got True"),
        (("mobility", "ues"), "5", r"mobility\.ues: must be a valid integer, got '5'"),
        (
            ("mobility", "test_contexts", 0, "xshare"),
            1,
            r"test_contexts\.0\.xshare: unknown key \(did you mean 'x_share'",
        ),
        (("mobility", "test_contexts", 0, "radius_m"), 1e300, r"test_contexts\.0\.radius_m: .*100000"),
        (("episode", "warmup_s"), 1.0, r"episode\.warmup_s: .*greater than or equal to 1\.2, got 1"),
        (("episode", "warmup_s"), 1e300, r"episode\.warmup_s: .*less than or equal to 3600"),
        (("handover", "ping_pong_window_s"), 0, r"handover\.ping_pong_window_s: .*TR 36\.839 5\.2.*got 0"),
        (("handover", "ping_pong_window_s"), -1.5, r"handover\.ping_pong_window_s: .*TR 36\.839 5\.2.*got -1\.5"),
        (("handover", "ue_context_store_s"), 0, r"handover\.ue_context_store_s: .*TS 36\.300 22\.4\.2, got 0"),
        (("reward",), {"jain": 1e300}, r"reward\.jain: .*1000000"),
        (("radio", "tx_power_dbm"), "40", r"radio\.tx_power_dbm: must be a valid number, got '40'"),
        (("radio", "shadowing"), {"buildings": 1}, r"radio\.shadowing\.buildings: must be a valid boolean, got 1"),
        (("sites",), 3, r"sites: must be a mapping of keys, got 3$"),
        (("sites",), {"by": "listed", "positions_m": [[0, 0]] * 1001}, r"sites\.positions_m: .*1000 at most$"),
    ],
)
def test_bad_value_is_refused_with_field_path(
    tmp_path: Path, path: tuple[str | int, ...], value: Any, message: str
) -> None:
    data = preset_data()
    here: Any = data
    for part in path[:-1]:
        here = here[part] if isinstance(here, list) else here.setdefault(part, {})
    here[path[-1]] = value
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=r"mine\.yaml: .*" + message):
        Preset.load(str(file))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("radio_link.n310", r"must be one of \(1, 2, 3, 4, 6, 8, 10, 20\) \(TS 36\.331 6\.3\.6"),
        ("radio_link.n311", r"must be one of \(1, 2, 3, 4, 5, 6, 8, 10\) \(TS 36\.331 6\.3\.6"),
        ("radio_link.t310_ms", r"must be one of \(0, 50, .*\) ms \(TS 36\.331 6\.3\.6"),
        ("handover.time_to_trigger_ms", r"must be one of \(0, 40, .*\) ms \(TimeToTrigger, TS 36\.331 6\.3\.5"),
        ("handover.ping_pong_window_s", r"must be above 0 and 3600 s at most: .* TR 36\.839 5\.2"),
        ("handover.ue_context_store_s", r"must be above 0 and 3600 s at most: .* TS 36\.300 22\.4\.2"),
    ],
)
@pytest.mark.parametrize(
    "value", [-1, float("nan"), float("inf"), 1e300, -0.5, "6", True, None, [], {}, 2**63], ids=str
)
def test_whatever_is_no_value_of_the_clause_is_refused_in_one_line(path: str, message: str, value: Any) -> None:
    section, name = path.split(".")
    with pytest.raises(ConfigError, match=rf"^mine: {section}\.{name}: {message}") as refused:
        Preset.parse(preset_data() | {section: {name: value}}, "mine")
    assert len(refused.value.message.splitlines()) == 1


def test_a_section_that_is_left_empty_keeps_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(preset_data() | {"radio": None, "reward": None}))
    assert Preset.load(str(file)) == Preset.parse(preset_data() | {"radio": {}}, "test")
    file.write_text(yaml.safe_dump(preset_data() | {"mobility": None}))
    with pytest.raises(ConfigError, match=r"mine\.yaml: mobility: is missing$"):
        Preset.load(str(file))


def test_a_radio_that_names_no_technology_is_lte() -> None:
    written = Preset.parse(preset_data() | {"radio": {"scheduler": "rr"}}, "test")
    assert written.radio == LteRadio(scheduler="rr")
    stored = json.loads(written.model_dump_json())
    assert stored["radio"].pop("technology") == "lte"
    assert Preset.parse(stored, "as it was stored before there was one") == written


def test_what_is_wrong_is_told_in_a_line_however_much_it_is() -> None:
    data = preset_data() | {f"key{index}": {"x": "y" * 1000} for index in range(1000)} | {"\x1b[31m" * 1000: 1}
    with pytest.raises(ConfigError, match=r"^test: key0: unknown key .*; and \d+ more$") as refused:
        Preset.parse(data, "test")
    assert len(refused.value.message) < 1500
    assert refused.value.message.isprintable()


def place(sites_m: list[tuple[float, float]], **neighbors: Any) -> Scenario:
    handover = {"neighbors": neighbors} if neighbors else {}
    return Scenario.place(Preset.parse({**preset_data(), "handover": handover}, "test"), sites_m)


ROW = [(0.0, 0.0), (700.0, 0.0), (1400.0, 0.0), (2600.0, 0.0)]


@pytest.mark.parametrize(
    ("neighbors", "pairs"),
    [
        ({"by": "distance", "within_m": 1200}, [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)]),
        ({"by": "distance", "within_m": 1400}, [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 3), (3, 2)]),
        # 3 chose 2, though 2 did not choose 3; of the two as near to 1, 0 has the lower index.
        ({"by": "count", "count": 1}, [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)]),
        ({"by": "count", "count": 3}, [(i, j) for i in range(4) for j in range(4) if i != j]),
        ({"by": "list", "pairs": [(3, 0), (0, 1), (2, 1), (1, 0)]}, [(0, 1), (1, 0), (2, 1), (3, 0)]),
    ],
)
def test_neighbors_by_rule(neighbors: dict[str, Any], pairs: list[tuple[int, int]]) -> None:
    assert place(ROW, **neighbors).neighbor_pairs == tuple(pairs)


def test_the_default_graph_is_all_within_1500_m() -> None:
    assert set(place(ROW).neighbor_pairs) == {(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1), (2, 3), (3, 2)}


@pytest.mark.parametrize(
    ("neighbors", "message"),
    [
        (
            {"by": "distance", "within_m": 1000},
            r"cell 3 has no neighbour.*\n.*raise handover\.neighbors\.within_m = 1000",
        ),
        ({"by": "count", "count": 4}, r"handover\.neighbors\.count: 4 .* there are 4 cells\n.*lower it to 3"),
        ({"by": "count", "count": 0}, r"handover\.neighbors\.count: .*greater than or equal to 1"),
        ({"by": "count", "counts": 2}, r"handover\.neighbors\.counts: unknown key \(did you mean 'count'\?\)"),
        ({"by": "sight"}, r"handover\.neighbors: .*'sight'.*'distance', 'count', 'list'"),
        ({"by": "list", "pairs": [(0, 1), (1, 4)]}, r"handover\.neighbors\.pairs\.1: \[1, 4\] .*\n.*use cells 0 to 3"),
        ({"by": "list", "pairs": [(0, 1), (1, 1)]}, r"handover\.neighbors\.pairs\.1: .*its own neighbour"),
        ({"by": "list", "pairs": [(0, 1), (1, 0), (0, 1)]}, r"handover\.neighbors\.pairs\.2: \[0, 1\] is listed twice"),
        (
            {"by": "list", "pairs": [(0, 1), (1, 2), (2, 3)]},
            r"cell 3 has no neighbour.*\n.*list a pair that begins with",
        ),
    ],
)
def test_a_graph_that_does_not_fit_is_refused(neighbors: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        place(ROW, **neighbors)


def test_two_sites_on_one_spot_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"sites 0 and 1 stand on one spot \(10, 10\) m\n"):
        place([(10, 10), (10, 10.5), (400, 0)])


def test_scenario_survives_json_and_refuses_pairs_that_name_no_cell(tmp_path: Path) -> None:
    scenario = place([(0, 0), (700, 0)])
    scenario.write_json(tmp_path / "s.json")
    assert Scenario.read_json(tmp_path / "s.json") == scenario
    with pytest.raises(ConfigError, match=r"neighbor_pairs\.0: \(0, 7\) does not name two cells"):
        Scenario.parse({**scenario.model_dump(), "neighbor_pairs": [(0, 7)]}, "s.json")


def sectored(**radio: Any) -> dict[str, Any]:
    return {**preset_data(), "sites": {"sectors": 3, "first_azimuth_deg": 30}, "radio": radio}


def test_a_site_of_three_sectors_has_three_cells_that_look_120_degrees_apart() -> None:
    preset = Preset.parse(sectored(antenna={"pattern": "sector", "tilt_deg": 8}), "test")
    scenario = Scenario.place(preset, [(0, 0), (700, 0)])
    assert [(cell.x_m, cell.azimuth_deg, cell.tilt_deg) for cell in scenario.cells] == [
        (x_m, azimuth_deg, 8) for x_m in (0, 700) for azimuth_deg in (30, 150, 270)
    ]
    # Cells of one site are neighbours, too.
    assert scenario.neighbor_pairs == tuple((i, j) for i in range(6) for j in range(6) if i != j)


def test_sectors_need_an_antenna_and_differ() -> None:
    with pytest.raises(ConfigError, match=r"sites\.sectors = 3 need radio\.antenna\.pattern = sector"):
        Preset.parse(sectored(), "test")
    preset = Preset.parse(sectored(antenna={"pattern": "sector"}), "test")
    placed = Scenario.place(preset, [(0, 0), (700, 0)]).model_dump()
    placed["cells"][1]["azimuth_deg"] = 30.0
    with pytest.raises(ConfigError, match=r"cells 0 and 1 stand on one spot \(0, 0\) m and look to 30 degrees"):
        Scenario.parse(placed, "test")
    placed["radio"]["antenna"], placed["sites"]["sectors"] = {"pattern": "omni"}, 1
    with pytest.raises(ConfigError, match=r"cells 0 and 1 stand on one spot \(0, 0\) m"):
        Scenario.parse(placed, "test")


@pytest.mark.parametrize("name", ["helsinki-slow-v0", "sector-slow-v0", "line3-slow-v0"])
def test_the_slow_track_is_what_the_manual_says(name: str) -> None:
    preset = Preset.load(name)
    mobility, episode = preset.mobility, preset.episode
    assert (episode.control_interval_s, episode.duration_s, mobility.phase_s) == (30, mobility.duration_s, 120)
    assert (preset.reward, preset.reports) == ("util", Reports(delay_intervals=1))
    assert preset.handover_cost == pytest.approx(0.5 / 30, rel=1e-4)
    for test in mobility.test_contexts:
        for train in mobility.train_contexts:
            if isinstance(test, Event) and isinstance(train, Event):
                assert math.hypot(test.x_share - train.x_share, test.y_share - train.y_share) > 0.1
            if isinstance(test, Tide | Corridor) and isinstance(train, type(test)):
                assert test.heading_deg != train.heading_deg
    for event in (one for one in (*mobility.train_contexts, *mobility.test_contexts) if isinstance(one, Event)):
        assert event.at_s == mobility.phase_s  # within the first two minutes of a trace, or up to one later


REFERENCE = {"right-right-left", "right-loiter-left", "right-none-left"}


@pytest.mark.parametrize("where", ["line3", "helsinki3"])
def test_the_references_contexts_are_presets(where: str) -> None:
    presets = {name: Preset.load(name) for name in preset_ids() if name.startswith(f"{where}-right-")}
    assert set(presets) == {f"{where}-{behaviors}-v0" for behaviors in REFERENCE}
    for name, preset in presets.items():
        (test,) = preset.mobility.test_contexts
        assert isinstance(test, Sites)
        assert "-".join(test.behaviors) in name
        assert isinstance(preset.sites, ListedSites)
        contexts = [context for context in preset.mobility.train_contexts if isinstance(context, Sites)]
        assert [context.behaviors for context in contexts] == [("right", "right", "none"), ("none", "left", "left")]
        assert {context.places_m for context in (test, *contexts)} == {preset.sites.positions_m}
        scenario = Scenario.place(preset, list(preset.sites.positions_m))
        assert scenario.neighbor_pairs == ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))
        assert scenario.mobility == preset.mobility


@given(st.integers(1, 300), st.integers(6, 320))
def test_the_first_observation_covers_an_interval_or_what_the_warm_up_has_of_it(interval: int, warmup: int) -> None:
    """In units of 0.2 s, of which five go before; where a whole interval is left, it is that to the last bit."""
    interval_s, warmup_s = interval / 5, warmup / 5
    episode = Episode(control_interval_s=interval_s, warmup_s=warmup_s)
    if interval <= warmup - 5:
        assert episode.first_interval_s == interval_s
    else:
        assert episode.first_interval_s == pytest.approx((warmup - 5) / 5)


def test_sites_are_a_grid_unless_said_otherwise() -> None:
    data = preset_data()
    assert Preset.parse(data | {"sites": {"inter_site_distance_m": 500}}, "test").sites == HexagonalGrid(
        inter_site_distance_m=500
    )
    with pytest.raises(ConfigError, match=r"sites\.inter_site_distance: unknown key \(did you mean"):
        Preset.parse(data | {"sites": {"inter_site_distance": 500}}, "test")
    with pytest.raises(ConfigError, match=r"test: sites: .*'hexagonal', 'k-means', 'file', 'listed'"):
        Preset.parse(data | {"sites": {"by": "dice"}}, "test")


def test_behaviors_need_their_sites() -> None:
    data = preset_data()
    data["mobility"]["test_contexts"] = [{"name": "uniform"}, {"name": "sites", "behaviors": ["right", "left"]}]
    said = r"mobility\.test_contexts\.1: 2 behaviors for 0 sites; list as many"
    with pytest.raises(ConfigError, match=said):
        Preset.parse(data, "test")
    data["mobility"]["test_contexts"][1]["places_m"] = [[100, 100], [500, 500]]
    assert Preset.parse(data, "test").mobility.test_contexts[1].model_dump()["places_m"] == ((100, 100), (500, 500))
