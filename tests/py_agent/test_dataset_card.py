"""The card of a dataset says what is in it and what is not, as a page and as Hugging Face reads it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import made_episodes as made
import numpy as np
import pytest
from huggingface_hub import DatasetCard
from test_dataset_import import imported
from test_report import Page

from cf_augment.dataset import Episode, Provenance, read_dataset, write_dataset
from cf_augment.exports import EXPORTS
from ns3_scenarios.mdp import action_from_cio, control_from_action
from py_agent.cli.commands import parse
from py_agent.report.dataset_card import write_card
from py_agent.report.dataset_gaps import gaps, origins
from py_agent.report.dataset_tally import CIO_BINS, Tally
from py_agent.report.scene import PALETTE, PALETTE_DARK
from sumo_mobility.base.errors import ConfigError, DataError

CONTEXTS = {"train_contexts": [{"name": "uniform"}, {"name": "event"}], "test_contexts": [{"name": "tide"}]}
OSM = {"licence": "ODbL-1.0", "attribution": "© OpenStreetMap contributors", "map_name": "town"}


def of(episode: Episode, policy: str, kind: str = "logged", **trace: Any) -> Episode:
    """The same episode of a policy, on a trace with other metadata."""
    source = ("train-7",) if kind != "logged" else ()
    origin = Provenance.parse({"kind": kind, "source": list(source), "action_source": policy}, "test")
    metadata = episode.metadata.model_copy(update={"policy": policy, "provenance": origin})
    about = episode.trace.metadata.model_copy(update=trace)
    return dataclasses.replace(episode, metadata=metadata, trace=dataclasses.replace(episode.trace, metadata=about))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static, a random and a replayed episode, of 3, 4 and 5 steps, with names that are markup."""
    path = tmp_path_factory.mktemp("card") / "logged.h5"
    place = made.scenario()
    place = place.parse(place.model_dump() | {"mobility": place.mobility.model_dump() | CONTEXTS}, "test")
    episodes = [
        of(made.episode(place, 1, 3, reach=0.0), "static", **OSM),
        of(made.episode(place, 2, 4), "a | <b>policy</b>", context="<i>here</i>", **OSM),
        of(made.episode(place, 3, 5), "searched-4", "replay", **OSM),
    ]
    write_dataset(path, place, episodes)
    return path


@pytest.fixture(scope="module")
def markdown(file: Path) -> str:
    write_card(file.parent / "README.md", file)
    return (file.parent / "README.md").read_text(encoding="utf-8")


def table(markdown: str, title: str) -> list[list[str]]:
    """The rows below a heading, without those of the head."""
    lines = markdown.split(f"### {title}\n\n")[1].split("\n\n")[0].splitlines()
    return [re.split(r" (?<!\\)\| ", line.removeprefix("| ").removesuffix(" |").strip()) for line in lines[2:]]


def test_hugging_face_reads_the_head(file: Path, markdown: str) -> None:
    assert markdown.startswith("---\n")
    head = DatasetCard.load(file.parent / "README.md").data
    assert head.license == "odbl"
    assert head.task_categories == ["reinforcement-learning"]
    assert head.size_categories == ["n<1K"]
    assert "counterfactual" in head.tags
    assert "configs" not in head.to_dict()


@pytest.mark.slow
def test_hugging_face_datasets_finds_the_table_beside_the_card(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import datasets

    EXPORTS["parquet"].load()().write(read_dataset(file), tmp_path / "published" / "logged.parquet")
    (tmp_path / "published" / "other.parquet").write_bytes(b"not of the dataset")
    write_card(tmp_path / "published" / "README.md", file)
    loaded = datasets.load_dataset(str(tmp_path / "published"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == 12
    assert "prb_utilization_2" in loaded.column_names


def test_the_card_counts_by_provenance_policy_and_context(file: Path, markdown: str) -> None:
    rows = table(markdown, "By provenance")
    assert [row[:1] + row[2:4] for row in rows] == [["logged", "2", "7"], ["replay", "1", "5"]]
    policies = table(markdown, "Behaviour policies")
    assert [row[:5] for row in policies] == [
        ["static", "no offsets", "logged", "1", "3"],
        [r"a \| &lt;b&gt;policy&lt;/b&gt;", "–", "logged", "1", "4"],
        ["searched-4", "the best of some candidates, by the engine&#39;s one-step what-if", "replay", "1", "5"],
    ]
    assert [row[:3] for row in table(markdown, "Contexts of the mobility")] == [
        ["uniform", "2", "8"], ["&lt;i&gt;here&lt;/i&gt;", "1", "4"]
    ]  # fmt: skip
    assert "**Mobility traces**: 3, from 3 logged traces" in markdown


def test_the_card_defines_the_columns_with_units(markdown: str) -> None:
    arrays = {row[0]: row[1:] for row in table(markdown, "Transitions")}
    assert arrays["observations"][2].startswith("cell-kpi: per cell: prb_utilization")
    assert arrays["rewards"][1:] == [
        "1", "load-std: -(standard deviation over the cells of prb_utilization) - 0.05 * handovers / UEs"
    ]  # fmt: skip
    assert "CIO / handover.cio_range_db" in arrays["actions"][2]
    kpis = {row[0]: row[2] for row in table(markdown, "KPIs, with a row more an episode, before its first step")}
    assert kpis["kpis/ue_rsrp_dbm"] == "dBm"


def test_the_gaps_are_those_of_the_data(file: Path, markdown: str) -> None:
    gaps = markdown.split("## Known gaps\n\n")[1].split("\n\n")[0]
    assert "All offsets are 0 dB in 25 % of the transitions." in gaps
    assert "No rows are of event, which the scenario collects data in." in gaps
    assert "No rows are of tide, which the scenario holds out." in gaps
    known = np.isfinite(read_dataset(file).behavior_log_probs).mean()
    assert 0 < known < 1
    assert f"{100 * known:.3g} % of the transitions have the log-probability of their action." in gaps
    share = re.search(r"^- ([\d.]+) % of the CIO range was never in force, and ([\d.]+) % in the logged rows", gaps)
    assert share
    assert 0 < float(share[1]) < float(share[2]) < 100


def test_pictures_are_files_beside_it_that_follow_light_and_dark(file: Path, markdown: str) -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", markdown)
    names = ["load", "reward", "rsrp", "load-by-cell", "cio-coverage"]
    assert pictures == [f"README-pictures/{name}.svg" for name in names]
    for picture in pictures:
        text = (file.parent / picture).read_text(encoding="utf-8")
        assert ElementTree.fromstring(text).tag.endswith("svg")
        defined = set(re.findall(r"(--\w+):", text))
        assert {*re.findall(r"var\((--\w+)\)", text)} <= defined
        assert "prefers-color-scheme: dark" in text
        assert PALETTE[0] in text
        assert PALETTE_DARK[0] in text


def test_the_card_names_licence_attribution_and_citation(markdown: str) -> None:
    assert "ODbL-1.0. Attribution: © OpenStreetMap contributors." in markdown
    assert "(https://www.openstreetmap.org/copyright)" in markdown
    assert "@software{mlb_testbed," in markdown
    assert "title = {{mlb-testbed: " in markdown


def test_the_code_of_the_card_runs(file: Path, markdown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    found: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", markdown, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, found)
    assert found["dataset"].transitions == 12
    assert found["arrays"]["observations"].shape == (12, 45)


def test_the_page_is_whole_escaped_and_loads_nothing(file: Path) -> None:
    result = parse(["dataset", "card", str(file), "--out", str(file.parent / "card.html")]).execute()
    assert result.data == {"card": str(file.parent / "card.html"), "episodes": 3, "transitions": 12}
    page = Page(file.parent / "card.html")
    assert [tag for tag, _ in page.tags].count("svg") == 5
    assert "a | <b>policy</b>" in [row[0] for row in page.rows if row]
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert links == {"https://www.openstreetmap.org/copyright", "https://opendatacommons.org/licenses/odbl/1-0/"}
    assert not [tag for tag, attributes in page.tags if tag in ("script", "img") or "src" in attributes]
    assert not list(file.parent.glob("card-pictures"))
    before = (file.parent / "card.html").read_bytes()
    write_card(file.parent / "card.html", file)
    assert (file.parent / "card.html").read_bytes() == before


def test_a_card_of_open_ground_says_nothing_of_openstreetmap(tmp_path: Path) -> None:
    place = made.scenario()
    write_dataset(tmp_path / "d.h5", place, [made.episode(place, 1)])
    for name in ("card.md", "card.html"):
        write_card(tmp_path / name, tmp_path / "d.h5")
        assert "OpenStreetMap" not in (tmp_path / name).read_text(encoding="utf-8").split("@software")[0]
    head = DatasetCard.load(tmp_path / "card.md").data
    assert head.license == "cc0-1.0"
    assert "counterfactual" not in head.tags


def test_a_card_of_measurements_says_what_nobody_measured(tmp_path: Path) -> None:
    """Counters alone: no trace, no RSRP, a network's own policy; their licence is its owner's to say."""
    imported(tmp_path / "m.h5")
    for name in ("card.md", "card.html"):
        write_card(tmp_path / name, tmp_path / "m.h5")
    card = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert "**Mobility traces**: none, where UEs were is not known" in card
    assert "A back end plays" not in card
    assert "the network&#39;s may differ" in card
    assert [row[:3] for row in table(card, "By provenance")] == [
        ["measured", "what a network counted and its UEs reported", "2"]
    ]  # fmt: skip
    assert table(card, "Behaviour policies")[0][:3] == [
        "network", "whatever set the offsets of the network", "measured"
    ]  # fmt: skip
    assert [row[0] for row in table(card, "Contexts of the mobility")] == ["measured"]
    pictures = re.findall(r"!\[[^]]+\]\(card-pictures/([^)]+)\.svg\)", card)
    assert pictures == ["load", "reward", "load-by-cell", "cio-coverage"]
    gaps = card.split("## Known gaps\n\n")[1].split("\n\n")[0]
    [unknown] = re.findall(r"^- Not measured, or only in part, in 100 % of the transitions: (.*?)\. A KPI", gaps, re.M)
    assert {"ue_rsrp_dbm", "handovers", "events", "trace"} <= set(unknown.split(", "))
    assert not {"prb_utilization", "connected_ues"} & set(unknown.split(", "))
    assert "None of the transitions have the log-probability" in gaps
    assert "All rows derive from 2 measured stretches." in gaps
    assert "which the scenario" not in gaps
    assert "no connection" not in gaps
    rights = card.split("## Licence\n\n")[1].split("\n\n")[0]
    assert rights == "The licence of the measurements is not recorded: whoever publishes them has to say it."
    head = DatasetCard.load(tmp_path / "card.md").data
    assert head.license == "unknown"
    assert "counterfactual" not in head.tags
    assert "NaN" not in "".join(path.read_text("utf-8") for path in (tmp_path / "card-pictures").iterdir())


def test_a_card_of_measured_and_of_played_rows_counts_each_as_what_it_is(tmp_path: Path) -> None:
    """UEs that nobody heard of are not without a connection, and their RSRP is in no histogram."""
    place = made.scenario()
    logged, other, replay = made.episode(place, 1, 3), made.episode(place, 2, 4), made.episode(place, 3, 5, "replay")
    rsrp_dbm = other.kpis.ue_rsrp_dbm.copy()
    rsrp_dbm[:, 0] = np.nan
    serving = np.where(np.arange(4) == 0, -1, np.maximum(other.kpis.ue_serving_cell, 0))
    measured = dataclasses.replace(
        of(other, "network", "measured"), event_start=np.zeros_like(other.event_start),
        kpis=dataclasses.replace(
            other.kpis, ue_rsrp_dbm=rsrp_dbm, ue_serving_cell=serving, events=other.kpis.events[:0],
            offered_bps=np.full_like(other.kpis.offered_bps, np.nan)),
    )  # fmt: skip
    tally = Tally.of(place, iter([logged, measured, replay]))
    assert tally.unknown == {"offered_bps": 4, "ue_rsrp_dbm": 4, "ue_serving_cell": 4, "events": 4}
    assert tally.distributions["measured"].rsrp.sum() == 4 * 3
    played = np.concatenate([one.kpis.ue_serving_cell[1:].ravel() for one in (logged, replay)])
    assert tally.unserved == pytest.approx((played < 0).sum() / (played.size + 4 * 3))
    assert tally.with_density == sum(int(np.isfinite(e.behavior_log_probs).sum()) for e in (logged, other, replay))
    assert tally.cio("logged", "measured").sum() == 6 * 7
    assert gaps(tally)[0].count("in the logged and measured rows") == 1
    assert origins(tally) == "3 logged traces and measured stretches"
    assert any(
        "in 33.3 % of the transitions: offered_bps, ue_rsrp_dbm, ue_serving_cell, events." in g for g in gaps(tally)
    )


def test_loads_that_nobody_measured_leave_their_pictures_out(tmp_path: Path) -> None:
    place = made.scenario().model_copy(update={"observation": "rsrp-matrix", "reward": "p5-throughput"})
    episode = made.episode(place, 1)
    loads = np.full_like(episode.kpis.prb_utilization, np.nan)
    measured = dataclasses.replace(
        of(episode, "network", "measured"), event_start=np.zeros_like(episode.event_start), trace=None,
        kpis=dataclasses.replace(episode.kpis, events=episode.kpis.events[:0], prb_utilization=loads),
    )  # fmt: skip
    write_dataset(tmp_path / "d.h5", place, [measured])
    write_card(tmp_path / "card.md", tmp_path / "d.h5")
    text = (tmp_path / "card.md").read_text(encoding="utf-8")
    assert re.findall(r"card-pictures/([^)]+)\.svg", text) == ["reward", "rsrp", "cio-coverage"]
    assert "PRBs" not in text.split("## Known gaps")[1].split("##")[0]


def test_what_is_no_card_or_no_dataset_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"card\.pdf: a card ends in \.md or \.html"):
        write_card(tmp_path / "card.pdf", file)
    (tmp_path / "d.h5").write_bytes(file.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"d\.h5: damaged"):
        write_card(tmp_path / "card.md", tmp_path / "d.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["d.h5"]


def test_the_tally_counts_every_value_once_and_in_its_bin() -> None:
    place = made.scenario(ues=8)
    episode = made.episode(place, 1, 12)
    cio_db = np.tile(np.arange(-6.0, 6.0)[:, None], (1, 6))
    cio_db[:, 0] = 6.0
    episode = dataclasses.replace(episode, actions=action_from_cio(place, cio_db).astype(np.float32))
    np.testing.assert_allclose(control_from_action(place, episode.actions).cio_db, cio_db, atol=1e-6)
    tally = Tally.of(place, iter([episode, made.episode(place, 2, 7)]))
    alone = Tally.of(place, iter([episode]))
    assert alone.cio()[1:].tolist() == [[1] * CIO_BINS] * 5
    assert alone.cio()[0].tolist() == [0] * (CIO_BINS - 1) + [12]
    assert tally.cio().sum(axis=1).tolist() == [19] * 6
    assert tally.loads().sum(axis=1).tolist() == [19] * 3
    served = sum(int((e.kpis.ue_serving_cell[1:] >= 0).sum()) for e in (episode, made.episode(place, 2, 7)))
    assert tally.distributions["logged"].rsrp.sum() == served
    assert tally.unserved == pytest.approx(1 - served / (19 * 8))
    assert tally.total.mean_reward == pytest.approx(
        np.concatenate([episode.rewards, made.episode(place, 2, 7).rewards]).mean()
    )
