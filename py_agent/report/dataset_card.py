"""The card of a dataset, in the manner of Hugging Face's: what it holds, where it is from, and what it lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cf_augment.augment import SOURCES
from cf_augment.dataset import Definitions, read_dataset, read_definitions
from cf_augment.dataset.records import OBSERVED
from cf_augment.dataset.storage.write import ACTIONS
from ns3_scenarios.kpis import KPI_TABLE
from ns3_scenarios.mdp import action_size, observation_size
from ns3_scenarios.scenario import Scenario
from py_agent.backends import BACKENDS
from py_agent.policies.registry import POLICIES
from py_agent.report.charts import coverage_chart, lines_chart
from py_agent.report.dataset_gaps import gaps, origins
from py_agent.report.dataset_tally import RSRP_DBM, Count, Tally
from py_agent.report.facts import network_facts, scenario_facts
from py_agent.report.results import Chart
from py_agent.report.scene import line_styles
from py_agent.report.templating import pages, standalone
from sumo_mobility.base.arrays import Floats, Ints
from sumo_mobility.base.documents import printable, read_yaml, yaml_text
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.files import write_text

SUFFIXES = (".md", ".html")
KINDS = {
    "logged": "played by a behaviour policy",
    "measured": "what a network counted and its UEs reported",
    "replay": "a logged trace under other actions",
    "mixed": "a trace of UEs of several logged traces",
    "generated": "a trace that the causal model drew",
}
"""What the rows of each provenance are."""
_LICENCES = {"ODbL-1.0": "odbl", "CC0-1.0": "cc0-1.0", "unknown": "unknown"}
"""Hugging Face's names of licences."""
_SIZES = ("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B")
"""Hugging Face's categories of sizes, by the power of ten beyond 100."""
_CITATION = Path(__file__).parents[2] / "CITATION.cff"
_QUANTILES = np.linspace(0, 1, 201)
_LONGEST_TEXT = 1000

Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Section:
    """A section of the card.

    Attributes:
        title: Its heading.
        texts: Paragraphs.
        points: A list.
        facts: Names and values.
        tables: Rows by the title of their table; the keys of the first row are the headings.
        charts: Pictures.
        code: Lines of Python or of a citation, each a block.
    """

    title: str
    texts: Sequence[str] = ()
    points: Sequence[str] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, Rows] = field(default_factory=dict)
    charts: Sequence[Chart] = ()
    code: Sequence[str] = ()


def write_card(out: Path, path: Path) -> Tally:
    """Writes the card of a dataset file, whose episodes are read one at a time.

    Args:
        out: A .html file, which has its pictures in it; or a .md file with the head that Hugging Face reads, whose
            pictures go to a directory beside it that is called as it is, with "-pictures" behind.
        path: The dataset.

    Returns:
        What was counted.

    Raises:
        ConfigError: `out` has another suffix.
        DataError: the dataset is missing, damaged, foreign or altered; names the field.
        StorageError: a file cannot be written; what was there before is whole.
    """
    if out.suffix not in SUFFIXES:
        raise ConfigError(f"{out}: a card ends in {' or '.join(SUFFIXES)}", f"{out.stem}.md, for example")
    dataset = read_dataset(path)
    tally = Tally.of(dataset.scenario, dataset.episodes)
    sections = _sections(path, tally)
    folder = f"{out.stem}-pictures"
    if out.suffix == ".md":
        for section in sections:
            for chart in section.charts:
                write_text(out.parent / folder / _picture(chart), standalone(chart.svg))
    environment = pages()
    environment.filters |= {"picture": lambda chart: f"{folder}/{_picture(chart)}", "one_line": _one_line}
    text = environment.get_template(f"dataset_card{out.suffix}").render(
        scenario=dataset.scenario,
        facts=_overview(path, tally),
        sections=sections,
        head=yaml_text(_head(path, out, tally)),
        is_osm=_is_osm(tally),
    )
    write_text(out, text)
    return tally


def _sections(path: Path, tally: Tally) -> list[Section]:
    scenario = tally.scenario
    return [
        _origin(tally),
        Section("Scenario", facts={**scenario_facts(scenario), **network_facts(scenario)}),
        _columns(scenario, read_definitions(path)),
        Section("Distributions", [_HOW_TO_READ], charts=_charts(tally)),
        Section("Known gaps", points=gaps(tally)),
        _use(path),
        *_rights(tally),
    ]


_HOW_TO_READ = (
    "Curves: share of the rows with so much or less. Colours: share of the steps; what never was is clear, and what "
    "was there seldom is drawn darker than its share."
)


def _overview(path: Path, tally: Tally) -> dict[str, str]:
    scenario = tally.scenario
    traces = f"{len(tally.traces)}, from {origins(tally)}" if tally.traces else "none, where UEs were is not known"
    return {
        "Transitions": f"{tally.total.transitions:,}".replace(",", " "),
        "Episodes": ", ".join(f"{count.episodes} {kind}" for kind, count in tally.kinds.items()),
        "Mobility traces": traces,
        "Contexts": ", ".join(tally.contexts),
        "Observation": f"{scenario.observation}, {observation_size(scenario)} numbers",
        "Action": f"{action_size(scenario)} numbers from −1 to 1, each {scenario.episode.control_interval_s:g} s",
        "Reward": " + ".join(scenario.reward_weights),
        "File": f"{path.name}, {path.stat().st_size / 1e6:.1f} MB (HDF5 with D4RL's keys)",
    }


def _origin(tally: Tally) -> Section:
    maps = ", ".join(f"{name} ({source})" for name, source in sorted(tally.maps))
    backends, versions = tally.backends, sorted(tally.versions.items())
    titles = {name: BACKENDS[name].title if name in BACKENDS else printable(name) for name in backends}
    seeds = f"{min(tally.seeds)} to {max(tally.seeds)}" if len(tally.seeds) > 1 else f"{min(tally.seeds)}"
    played = (
        "UEs move as their traces say, whatever the offsets are. A back end plays a trace under the actions of a "
        "policy, and yields the KPIs of each control interval; observations and rewards follow from them."
    )
    measured = (
        "Measured rows have what the cells of a network counted in each control interval, and its UEs reported if "
        "there are reports, under the offsets in force; observations and rewards follow from them. Radio and traffic "
        "of the scenario are those with which it would be simulated, and KPIs are defined as they are in simulations: "
        "the network's may differ."
    )
    kinds = set(tally.kinds)
    return Section(
        "Where it is from",
        [*([played] if kinds - {"measured"} else []), *([measured] if "measured" in kinds else [])],
        facts={
            **({"Maps of the traces, and what made them": maps} if maps else {}),
            "Back ends": ", ".join(f"{titles[name]}: {count.episodes} episodes" for name, count in backends.items()),
            "Seeds": seeds,
            "Versions": ", ".join(f"{name} {version}" for name, version in versions) or "not recorded",
        },
        tables={
            "By provenance": [
                {"rows": kind, "which are": KINDS[kind], **_counted(count)} for kind, count in tally.kinds.items()
            ],
            "Behaviour policies": [
                {"policy": printable(policy), "which is": _meaning(policy, kind), "rows": kind, **_counted(count)}
                for (policy, kind), count in tally.policies.items()
            ],
            "Contexts of the mobility": [
                {"context": printable(context), **_counted(count)} for context, count in tally.contexts.items()
            ],
        },
    )


def _counted(count: Count) -> dict[str, str]:
    return {
        "episodes": str(count.episodes),
        "transitions": str(count.transitions),
        "mean reward": f"{count.mean_reward:.3f}".replace("-", "−"),
    }


def _meaning(policy: str, kind: str) -> str:
    """What a policy or a source of actions is, as far as there is one of that name."""
    if kind == "measured":
        return "whatever set the offsets of the network"
    told = {str(source): (source.__doc__ or "").partition("\n")[0].rstrip(".") for source in SOURCES}
    known = {source: text[:1].lower() + text[1:] for source, text in told.items()}
    name = policy.partition(":")[0]
    return POLICIES[name].title if name in POLICIES else known.get(policy, "–")


def _columns(scenario: Scenario, defined: Definitions) -> Section:
    handover = scenario.handover
    steered = "".join(f"; then {name} of each serving cell" for name in handover.steer)
    sizes = {"O": observation_size(scenario), "A": action_size(scenario)}
    arrays = [
        ("observations", "N, O", "1", defined.observation),
        ("actions", "N, A", "1", f"{ACTIONS[handover.action]}{steered}"),
        ("rewards", "N", defined.reward_unit, defined.reward),
        ("next_observations", "N, O", "1", "the observation after the step"),
        ("terminals", "N", "", "false: an episode never terminates"),
        ("timeouts", "N", "", "true in the last row of each episode, which is cut off there"),
        (
            "infos/action_log_probs",
            "N",
            "1",
            "natural logarithm of the action's density over [−1, 1]^A under its "
            "behaviour policy; NaN where there is none",
        ),
    ]
    kpis = [
        (f"kpis/{kpi.name}", ", ".join(["N + episodes", *kpi.axes]), kpi.unit, kpi.definition) for kpi in KPI_TABLE.step
    ]
    titles = {"Transitions": arrays, "KPIs, with a row more an episode, before its first step": kpis}
    dimensions = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    return Section(
        "What a row is",
        [f"N transitions, {dimensions}; C = {len(scenario.cells)} cells, U = {scenario.mobility.ues} UEs."],
        tables={
            title: [
                {"array": name, "shape": shape, "unit": unit, "definition": printable(text, _LONGEST_TEXT)}
                for name, shape, unit, text in rows
            ]
            for title, rows in titles.items()
        },
    )


def _charts(tally: Tally) -> list[Chart]:
    scenario, kinds = tally.scenario, list(tally.kinds)
    limit_db = scenario.handover.cio_range_db
    loads, cio, found = tally.loads(), tally.cio(), tally.distributions
    pairs = [f"{serving}→{neighbor}" for serving, neighbor in scenario.neighbor_pairs]
    cells = [f"cell {index}" for index in range(len(scenario.cells))]
    rewards = {kind: np.concatenate(found[kind].rewards).astype(np.float64) for kind in kinds}
    curves = (
        ("Load", "of each cell in each interval", "PRB utilisation (%)",
         {kind: _ecdf(found[kind].loads.sum(axis=0), 0, 100) for kind in kinds if found[kind].loads.any()}),
        ("Reward", "of each transition", "reward",
         {kind: (np.quantile(values, _QUANTILES), _QUANTILES) for kind, values in rewards.items()}),
        ("RSRP", "of each connected UE's serving cell", "RSRP (dBm)",
         {kind: _ecdf(found[kind].rsrp, *RSRP_DBM) for kind in kinds if found[kind].rsrp.any()}),
    )  # fmt: skip
    styles = line_styles(kinds)
    charts = [
        Chart(title, note, lines_chart(f"{title} {note}", lines, styles, x, share=True, named=len(kinds) > 1))
        for title, note, x, lines in curves
        if lines
    ]
    for title, note, counts, labels, ends, x in (
        ("Load by cell", "share of the intervals", loads, cells, (0.0, 100.0), "PRB utilisation (%)"),
        ("CIO coverage", "share of the steps, by neighbour pair", cio, pairs, (-limit_db, limit_db), "CIO (dB)"),
    ):
        if counts.any():
            shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            charts.append(Chart(title, note, coverage_chart(f"{title}, {note}", shares, labels, *ends, x)))
    return charts


def _ecdf(counts: Ints, low: float, high: float) -> tuple[Floats, Floats]:
    """Upper ends of equal bins and the share below them, from the first bin that holds something to the last."""
    edges, share = np.linspace(low, high, len(counts) + 1), np.cumsum([0, *counts]) / counts.sum()
    first, last = np.flatnonzero(counts)[[0, -1]]
    return edges[first : last + 2], share[first : last + 2]


def _use(path: Path) -> Section:
    name = repr(path.name)
    whole = f"""from pathlib import Path

from cf_augment.dataset import read_dataset

dataset = read_dataset(Path({name}))
for episode in dataset.episodes:
    print(episode.metadata.policy, episode.rewards.mean(), episode.kpis.prb_utilization.max())"""
    flat = f"""import h5py

with h5py.File({name}) as file:
    names = ("observations", "actions", "rewards", "next_observations", "terminals", "timeouts")
    arrays = {{name: file[name][()] for name in names}}"""
    texts = ["With mlb-testbed, episode by episode and checked; or as any reader of D4RL does, which needs h5py alone."]
    return Section("How to read it", texts, code=[whole, flat])


def _rights(tally: Tally) -> list[Section]:
    licences, attributions = " and ".join(sorted(tally.licences)), "; ".join(sorted(tally.attributions))
    of_maps = f"Licence of the maps, and so of what derives from them: {licences}. Attribution: {attributions}."
    of_measurements = "The licence of the measurements is not recorded: whoever publishes them has to say it."
    more = (
        "The traces, and with them the dataset, derive from OpenStreetMap's database: pass them on with the "
        "attribution and under the Open Database License (ODbL) 1.0."
    )
    kinds, texts = set(tally.kinds), []
    texts += [of_maps] if kinds - {"measured"} else []
    texts += [more] if _is_osm(tally) else []
    texts += [of_measurements] if "measured" in kinds else []
    sections = [Section("Licence", texts)]
    if _CITATION.is_file():
        sections.append(Section("Citation", code=[_bibtex()]))
    return sections


def _is_osm(tally: Tally) -> bool:
    return any("OpenStreetMap" in attribution for attribution in tally.attributions)


def _bibtex() -> str:
    """CITATION.cff as an entry of BibTeX."""
    cited = read_yaml(_CITATION)
    fields = {
        "title": f"{{{cited['title']}}}",
        "author": " and ".join(f"{{{author['name']}}}" for author in cited["authors"]),
        "version": cited["version"],
        "year": cited["date-released"][:4],
        "license": cited["license"],
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join(["@software{mlb_testbed,", *lines, "}"])


def _head(path: Path, out: Path, tally: Tally) -> dict[str, object]:
    """The head of a card as Hugging Face reads it."""
    licences = sorted({_LICENCES.get(licence, "other") for licence in tally.licences})
    size = min(max(len(str(tally.total.transitions)) - 3, 0), len(_SIZES) - 1)
    table = path.with_suffix(".parquet").name
    head: dict[str, object] = {
        "pretty_name": f"Mobility load balancing, {tally.scenario.id}",
        "license": licences[0] if len(licences) == 1 else licences,
        "task_categories": ["reinforcement-learning"],
        "tags": [
            "offline-reinforcement-learning", "mobility-load-balancing", "handover", "lte", "self-organizing-networks",
            *(["counterfactual"] if set(tally.kinds) - set(OBSERVED) else []),
        ],
        "size_categories": [_SIZES[size]],
    }  # fmt: skip
    if (out.parent / table).is_file():
        head["configs"] = [{"config_name": "default", "data_files": table}]
    return head


def _picture(chart: Chart) -> str:
    return f"{chart.title.lower().replace(' ', '-')}.svg"


def _one_line(text: str) -> str:
    """Text as a cell of a table in Markdown can hold it."""
    return " ".join(text.split()).replace("|", r"\|")
