"""The page and the GIF hold what the evaluation held, load nothing from elsewhere, and are whole or absent."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy_evaluation import BOUNDS_M, SITES_M, evaluation

from ns3_scenarios import mdp
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.backends import BACKENDS
from py_agent.metrics import METRICS
from py_agent.report import ReportData, write_gif, write_report
from py_agent.report.details import learning_charts
from py_agent.report.scene import PALETTE, PALETTE_DARK, ScaleBar, best_server, cell_colors, cell_marks_m
from py_agent.result_table import ResultTable
from sumo_mobility.base.errors import DataError, StorageError
from sumo_mobility.base.registry import Lazy

VOID = {"meta", "link", "br", "input", "img", "hr"}
RULE = "integral & <rule>"


class Page(HTMLParser):
    """Collects tags with their attributes, the texts of cells and of scripts; refuses tags that do not nest."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(path.read_text(encoding="utf-8"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data
        if "tr" in self.open and self.open[-1] in ("td", "th", "span"):
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def data() -> ReportData:
    return replace(
        evaluation({"static": 0.0, RULE: 4.0, "<script>alert(1)</script>": -2.0}, ("static", RULE), ues=120, steps=8),
        tables={"Engine & ns-3": [{"metric": "RSRP RMSE", "value": 0.00213, "unit": "dB"}]},
        commands=["mlb evaluate --seeds 1 <2>"],
        notes=["A note with <b>no</b> markup."],
    )


@pytest.fixture(scope="module")
def path(data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, data)
    return path


@pytest.fixture(scope="module")
def gif(data: ReportData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "replay.gif"
    write_gif(path, data, width_px=640)
    return path


def test_page_loads_nothing_from_elsewhere(path: Path) -> None:
    page, text = Page(path), path.read_text(encoding="utf-8")
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            target = attributes.get(name) or ""
            assert tag == "a" or target == "" or target.startswith(("data:", "#")), (tag, name, target)
    assert not re.search(r"@import|@font-face|fetch\(|XMLHttpRequest|WebSocket|import\(", text)
    assert all(target.startswith(("data:", "#")) for target in re.findall(r"url\(['\"]?([^)'\"]*)", text))
    assert path.stat().st_size < 5e6


def test_page_escapes_what_it_is_given(path: Path) -> None:
    page = Page(path)
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "replay-data"}, {}]
    assert [row[0] for row in page.rows[1:4]] == ["static", RULE, "<script>alert(1)</script>"]
    assert "A note with <b>no</b> markup." in page.texts["p"]
    assert page.texts["pre"] == ["mlb evaluate --seeds 1 <2>"]


def test_page_attributes_the_map(path: Path) -> None:
    page = Page(path)
    assert page.texts["a"].count("Map data © OpenStreetMap contributors, ODbL 1.0") == 3
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert {"https://www.openstreetmap.org/copyright", "https://opendatacommons.org/licenses/odbl/1-0/"} == set(links)


def test_page_gives_the_radio_with_its_units(path: Path) -> None:
    said = Page(path).texts["dd"]
    for text in ("2120 MHz (EARFCN 100)", "25 PRBs (5 MHz)", "log-distance (exponent 3.76, reference loss 15.3 dB)"):
        assert text in said
    assert "offset 0 dB, hysteresis 2 dB, time to trigger 256 ms" in said


def test_sectors_of_a_site_do_not_hide_each_other(data: ReportData) -> None:
    preset = Preset.load("helsinki-sector-v0")
    sectors = Scenario.place(preset, SITES_M[:2])
    apart = [np.linalg.norm(a - b) for a, b in combinations(cell_marks_m(sectors, BOUNDS_M), 2)]
    assert min(apart) > 0.05 * (BOUNDS_M[3] - BOUNDS_M[1])
    assert cell_marks_m(data.scenario, BOUNDS_M).tolist() == [list(site) for site in SITES_M]


def test_page_says_what_was_run(path: Path, data: ReportData) -> None:
    assert Page(path).texts["dd"][:4] == [
        "the analytic engine", ", ".join(data.policies), "3: drawn-0, drawn-1, drawn-2", "0, 1, 2"
    ]  # fmt: skip
    ns3 = {"backend": "ns3", "versions": {"ns3": "3.44"}}
    episodes = {
        policy: [replace(run, metadata=run.metadata.model_copy(update=ns3)) for run in runs]
        for policy, runs in data.episodes.items()
    }
    assert replace(data, episodes=episodes).judged_in == "ns-3 3.44"


@pytest.mark.slow
def test_learning_curves_are_those_of_any_algorithm(data: ReportData, tmp_path: Path) -> None:
    """Each quantity has a chart of the trainings that log it, whatever they call it."""
    trainings = {
        "sac-cf": pd.DataFrame({"step": [50, 100], "q": [0.1, 0.2], "actor_loss": [0.3, -0.1]}),
        "cloned": pd.DataFrame({"step": [50, 100], "squared_error": [0.5, 0.4]}),
        "none yet": pd.DataFrame({"step": [], "squared_error": []}),
    }
    charts = {chart.title: chart.svg for chart in learning_charts(replace(data, trainings=trainings))}
    assert list(charts) == ["Q", "Actor loss", "Squared error"]
    write_report(tmp_path / "report.html", replace(data, trainings=trainings))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert all(name in text for name in trainings)


def test_a_back_end_of_a_plug_in_is_called_by_its_title_or_if_it_is_gone_by_its_name(
    data: ReportData, monkeypatch: pytest.MonkeyPatch
) -> None:
    episodes = {
        policy: [replace(one, metadata=one.metadata.model_copy(update={"backend": "nearest"})) for one in many]
        for policy, many in data.episodes.items()
    }
    report = replace(data, episodes=episodes)
    assert report.judged_in == "nearest"
    monkeypatch.setattr(BACKENDS, "_entries", dict(BACKENDS))
    BACKENDS.register(Lazy("nearest", "nowhere:Nearest", "the nearest cell"))
    assert report.judged_in == "the nearest cell"


def test_table_shows_the_summary(path: Path, data: ReportData) -> None:
    rows = Page(path).rows
    columns = [
        ("load_std", 1, 3), ("improvement_percent", 1, 0), ("jain", 1, 2), ("p5_throughput_bps", 1e-3, 1),
        ("mean_throughput_bps", 1e-3, 1), ("handovers_per_ue_minute", 1, 1), ("ping_pong_share", 100, 0),
        ("failures_per_ue_minute", 1, 3), ("rlf_per_ue_minute", 1, 3),
    ]  # fmt: skip
    assert len(rows[0]) == len(columns) + 1
    for row, (_, summary) in zip(rows[1:4], data.summary.iterrows(), strict=True):
        for text, (key, scale, decimals) in zip(row[1:], columns, strict=True):
            assert float(text.replace("−", "-")) == pytest.approx(summary[key] * scale, abs=0.501 * 10**-decimals), key


def test_intervals_have_two_digits_and_keep_to_what_is_possible(data: ReportData) -> None:
    """What the terminal prints and the page shows."""
    table = ResultTable.of(data.summary)
    for key, column in zip(table.columns, zip(*table.rows.values(), strict=True), strict=True):
        metric = table.columns[key]
        ends = [float(end.replace("−", "-")) for cell in column if cell.interval for end in cell.interval.split(" … ")]
        if key in METRICS:
            assert all(0 <= end <= metric.greatest * metric.scale for end in ends), key
        widths = np.diff(np.reshape(ends, (-1, 2))) / 2
        decimals = {len(cell.mean.partition(".")[2]) for cell in column}
        assert len(decimals) == 1
        if len(widths) and decimals < {metric.decimals}:
            assert 10 <= np.median(widths) * 10 ** decimals.pop() <= 105, key


def test_best_is_marked_in_the_metric_s_direction(path: Path, data: ReportData) -> None:
    text = path.read_text(encoding="utf-8")
    best = set(re.findall(r'class="best" data-label="([^"]*)"[^>]*><span>([^<]*)', text))
    assert ("Load std", f"{data.summary['load_std'].min():.3f}") in best
    assert ("p5 throughput, kbit/s", f"{data.summary['p5_throughput_bps'].max() / 1e3:.1f}") in best
    assert ("Load std", f"{data.summary['load_std'].max():.3f}") not in best
    assert "0.000" not in dict(best).values(), "nobody is best where all are equal"


def test_mobility_robustness_stands_in_one_place_with_its_definitions(path: Path, data: ReportData) -> None:
    page = Page(path)
    details = {key: metric for key, metric in METRICS.items() if metric.is_detail}
    tooltips = {attributes.get("title") for tag, attributes in page.tags if tag in ("th", "td")}
    assert {metric.definition for metric in METRICS.values() if metric.definition} <= tooltips
    assert all("36.839" in METRICS[key].definition for key in ("ping_pong_share", "unnecessary_per_ue_minute"))
    assert {metric.definition for metric in details.values()} <= set(page.texts["dd"])
    assert not {metric.heading for metric in details.values()} & set(page.rows[0])
    assert "back by handover after a stay of less than 1 s (TR 36.839 5.2)" in page.texts["dd"]
    rows = page.rows[len(data.policies) + 1 :][: len(data.policies) + 1]
    assert len(rows[0]) == len(details) + 4
    assert [row[0] for row in rows[1:]] == data.policies


@pytest.mark.slow
def test_what_an_older_evaluation_lacks_is_left_out_or_a_dash(data: ReportData, tmp_path: Path) -> None:
    older = data.summary[[name for name in data.summary if not METRICS.get(name) or not METRICS[name].is_detail]]
    write_report(tmp_path / "older.html", replace(data, summary=older))
    assert "Mobility robustness" not in Page(tmp_path / "older.html").texts["h2"][1]
    told = data.summary.assign(unnecessary_per_ue_minute=[0.25, 0.5, 0.75])
    told = told.assign(**{f"too_late_per_ue_minute{end}": np.nan for end in ("", "_low", "_high")})
    write_report(tmp_path / "told.html", replace(data, summary=told))
    page = Page(tmp_path / "told.html")
    assert "Mobility robustness" in page.texts["h2"][1]
    rows = page.rows[len(data.policies) + 2 :][: len(data.policies)]
    assert [(row[4], row[6]) for row in rows] == [("0.25", "–"), ("0.50", "–"), ("0.75", "–")]


def test_replay_round_trips(path: Path, data: ReportData) -> None:
    replay = json.loads(Page(path).texts["script"][0])

    def integers(text: str, kind: str, *shape: int) -> np.ndarray:
        return np.frombuffer(base64.b64decode(text), dtype=kind).reshape(shape)

    first = data.episode("static").kpis
    steps, ues, cells = len(first.time_s), replay["ues"], replay["cells"]
    east_south_m = integers(replay["position"], "<u2", steps, ues, 2) * replay["unit_m"] + replay["origin_m"]
    position_m = east_south_m * (1, -1) + (BOUNDS_M[0], BOUNDS_M[3])
    np.testing.assert_allclose(position_m, first.ue_position_m, atol=0.05)
    np.testing.assert_allclose(replay["time_s"], first.time_s)
    assert [side["policy"] for side in replay["sides"]] == ["static", RULE]
    for side in replay["sides"]:
        kpis = data.episode(side["policy"]).kpis
        serving = integers(side["serving"], "<i2", steps, ues)
        np.testing.assert_array_equal(serving, kpis.ue_serving_cell)
        assert serving[2, 0] == -1
        np.testing.assert_allclose(integers(side["load"], "<u2", steps, cells) / 1e4, kpis.prb_utilization, atol=5.1e-5)
        np.testing.assert_allclose(integers(side["load_std"], "<u2", steps) / 1e4, mdp.load_std(kpis), atol=5.1e-5)
        assert integers(side["handovers"], "<u2", steps)[-1] == kpis.handovers[1:].sum() > 0


def test_replayed_episode_is_the_median_one(data: ReportData) -> None:
    def load_std(policy: str, key: tuple[str, int]) -> float:
        for episode in data.episodes[policy]:
            if (episode.metadata.trace_name, episode.metadata.seed) == key:
                return float(mdp.load_std(episode.kpis)[1:].mean())
        raise AssertionError(key)

    keys = [(episode.metadata.trace_name, episode.metadata.seed) for episode in data.episodes["static"]]
    gain = {key: load_std("static", key) - load_std(RULE, key) for key in keys}
    assert gain[data.typical] == np.median(list(gain.values()))


@pytest.mark.slow
def test_same_data_same_bytes(path: Path, gif: Path, data: ReportData, tmp_path: Path) -> None:
    write_report(tmp_path / "again.html", data)
    assert (tmp_path / "again.html").read_bytes() == path.read_bytes()
    write_gif(tmp_path / "again.gif", data, width_px=640)
    assert (tmp_path / "again.gif").read_bytes() == gif.read_bytes()


def test_gif_has_a_frame_a_step_and_two_panels(gif: Path, data: ReportData) -> None:
    kpis = [data.episode(policy).kpis for policy in data.replay]
    colors = [tuple(bytes.fromhex(color[1:])) for color in cell_colors(data.scenario)]
    with Image.open(gif) as image:
        assert image.n_frames == len(kpis[0].time_s)
        assert image.width == 640
        assert image.info["comment"].decode() == data.attribution
        for step in range(image.n_frames):
            image.seek(step)
            frame = np.asarray(image.convert("RGB"))
            bars = frame[int(0.7 * len(frame)) :]
            for side, half in enumerate((bars[:, :320], bars[:, 320:])):
                tall = np.array([(half == color).all(axis=2).sum(axis=0).max() for color in colors])
                load = kpis[side].prb_utilization[step]
                assert np.abs(tall / tall.max() - load / load.max()).max() < 0.15, (step, side)
    assert gif.stat().st_size < 3e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replay": ("static", "integral")}, r"replay of policy 'integral', which was not evaluated"),
        ({"replay": ("static", "static")}, r"replay of 'static' beside itself; name two policies"),
        ({"episodes": {}}, r"policy 'static' has no episodes\n  cure: run 'mlb evaluate'"),
        ({"summary": "none"}, r"the summary holds no policy"),
        ({"episodes": "unpaired"}, r"were not run on the same episodes \(trace 'drawn-0', seed 0 is in one only\)"),
    ],
)
def test_incomplete_evaluations_are_refused(data: ReportData, change: dict[str, object], message: str) -> None:
    if change.get("summary") == "none":
        change = {"summary": data.summary.iloc[:0]}
    if change.get("episodes") == "unpaired":
        change = {"episodes": {**data.episodes, RULE: data.episodes[RULE][1:]}}
    with pytest.raises(DataError, match=message):
        replace(data, **change)


def test_one_name_for_two_traces_is_refused(data: ReportData, tmp_path: Path) -> None:
    moved = [
        replace(episode, kpis=replace(episode.kpis, ue_position_m=episode.kpis.ue_position_m + 1))
        for episode in data.episodes[RULE]
    ]
    with pytest.raises(DataError, match="were not run on the same trace"):
        write_report(tmp_path / "report.html", replace(data, episodes={**data.episodes, RULE: moved}))
    assert list(tmp_path.iterdir()) == []


def test_unwritable_place_is_a_storage_error(tmp_path: Path) -> None:
    data = evaluation({"static": 0.0}, ("static",), ues=5, steps=2, traces=1)
    blocked = tmp_path / "file"
    blocked.write_text("whole")
    for write in (write_report, write_gif):
        with pytest.raises(StorageError, match="cannot write"):
            write(blocked / "report", data)
    assert blocked.read_text() == "whole"


def test_best_server_is_the_nearest_of_equal_cells(data: ReportData) -> None:
    grid = best_server(data.scenario, BOUNDS_M, columns=40)
    assert grid.shape == (30, 40)
    for row, column in [(0, 0), (0, 39), (29, 0), (29, 39), (14, 20), (20, 30)]:
        point = np.array([(column + 0.5) * 50, 1500 - (row + 0.5) * 50])
        assert grid[row, column] == np.argmin(np.hypot(*(np.array(SITES_M) - point).T))


def test_colors_repeat_far_apart(data: ReportData) -> None:
    sites = [(float(700 * i), 0.0) for i in range(10)]
    colors = cell_colors(Scenario.place(data.scenario, sites))
    assert len(set(colors[:8])) == 8
    assert colors[8] == colors[0]
    assert colors[9] == colors[1]


@pytest.mark.parametrize(("width_m", "label"), [(2000, "500 m"), (1042, "200 m"), (9000, "2 km"), (350, "50 m")])
def test_scale_bar_is_round(width_m: float, label: str) -> None:
    bar = ScaleBar.fit((100, 0, 100 + width_m, 50))
    assert bar.label == label
    assert bar.share * width_m == pytest.approx(bar.length_m)


# Machado, Oliveira, Fernandes (2009), severity 1.0, on linear RGB.
VISION = {
    "normal": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("vision", VISION)
def test_palette_is_told_apart(vision: str) -> None:
    def lab(color: str) -> np.ndarray:
        share = np.frombuffer(bytes.fromhex(color[1:]), dtype=np.uint8) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        seen = np.clip(np.array(VISION[vision]) @ linear, 0, 1)
        to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        xyz = np.array(to_xyz) @ seen / (0.9505, 1, 1.089)
        x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    for palette in (PALETTE, PALETTE_DARK):
        assert min(np.linalg.norm(lab(a) - lab(b)) for a, b in combinations(palette, 2)) >= 27
