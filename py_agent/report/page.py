"""The page: one HTML file that needs no network and no server, and without JavaScript lacks only the replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from ns3_scenarios import mdp
from py_agent.report import results
from py_agent.report.charts import load_chart
from py_agent.report.data import ReportData, Table
from py_agent.report.replay import pack
from py_agent.report.results import Chart
from py_agent.report.scene import UNSERVED, ScaleBar, best_server_png, cell_colors, street_path
from sumo_mobility.base.files import write_text

_HOW_TO_READ = (
    "Each row is one policy, judged on the same traces and seeds as the others. Load std is the standard deviation of "
    "the cells' PRB utilisation: 0 is a perfectly balanced network. Jain's index says the same on a scale up to 1. "
    "p5 throughput is what the worst-served twentieth of the UEs still gets. Handovers, ping-pongs and failures are "
    "the price. Small print: 95 % confidence interval of the mean over the traces. Bold: best mean of the column; "
    "where intervals overlap widely, the order may be chance."
)
_FORMS = {
    "pair": "",
    "cell": ", the difference of two cells' offsets",
    "edge": ", its negative in return",
}


@dataclass(frozen=True)
class _Mark:
    x: float
    y: float
    color: str
    label: str = ""


@dataclass(frozen=True)
class _Overview:
    """The map in metres from its north-west corner, y down, as SVG has it."""

    width_m: float
    height_m: float
    cells_png: str
    streets: str
    dot_m: float
    sites: list[_Mark]
    ues: list[_Mark]
    scale_percent: float
    scale_label: str

    def fit_px(self, height_px: int) -> int:
        """The width at which the map is at most so high."""
        return round(height_px * self.width_m / self.height_m)


def write_report(path: Path, data: ReportData) -> None:
    """Writes the report as one HTML file.

    Args:
        path: Where it goes.
        data: The evaluation.

    Raises:
        DataError: the replayed episodes are not of one trace.
        StorageError: `path` cannot be written; what was there before is whole.
    """
    environment = Environment(
        loader=PackageLoader("py_agent.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["figure"] = _figure
    replay = pack({policy: data.episode(policy) for policy in data.replay}, data.street_map.bounds_m)
    overview = _overview(data)
    trace, seed = data.typical
    page = environment.get_template("report.html").render(
        scenario=data.scenario,
        attribution=data.attribution,
        facts=_facts(data),
        how_to_read=_HOW_TO_READ,
        metrics=results.shown(data.summary),
        results=results.rows(data.summary),
        interval_charts=results.interval_charts(data.summary),
        load_charts=_load_charts(data),
        map=overview,
        trace=trace,
        seed=seed,
        replay=replay,
        player={
            **replay,
            "colors": cell_colors(data.scenario),
            "unserved": UNSERVED,
            "sites": [(site.x, site.y) for site in overview.sites],
        },
        tables={**data.tables, "Versions": _versions(data)},
        commands=data.commands,
        notes=data.notes,
    )
    write_text(path, page)


def _facts(data: ReportData) -> dict[str, str]:
    scenario = data.scenario
    records = [episode.metadata for episodes in data.episodes.values() for episode in episodes]
    traces = _distinct([record.trace_name for record in records])
    return {
        "Judged in": data.judged_in,
        "Policies": ", ".join(data.policies),
        "Traces": f"{len(traces)}: {_few(traces)}",
        "Seeds": _few(_distinct([str(record.seed) for record in records])),
        "Network": f"{len(scenario.cells)} cells, {len(scenario.neighbor_pairs)} ordered neighbour pairs, "
        f"{scenario.radio.dl_bandwidth_rb} PRBs",
        "UEs": f"{scenario.mobility.ues}, {scenario.traffic.offered_bps / 1e3:g} kbit/s offered to each",
        "Episode": f"{scenario.episode.steps} steps of {scenario.episode.control_interval_s:g} s",
        "Action": f"CIO of each pair within ±{scenario.handover.cio_range_db:g} dB{_FORMS[scenario.handover.action]}"
        + "".join(f", {name} of each cell" for name in scenario.handover.steer),
    }


def _versions(data: ReportData) -> Table:
    versions = {
        name: version
        for episodes in data.episodes.values()
        for episode in episodes
        for name, version in {**episode.trace.metadata.versions, **episode.metadata.versions}.items()
    }
    return [{"what": name, "version": version} for name, version in sorted(versions.items())] or [
        {"what": "not recorded"}
    ]


def _load_charts(data: ReportData) -> list[Chart]:
    charts = []
    for policy in data.policies:
        kpis = data.episode(policy).kpis
        note = f"mean load std {np.mean(mdp.load_std(kpis)[1:]):.3f}"
        svg = load_chart(f"Load of each cell, {policy}", kpis.time_s, kpis.prb_utilization, cell_colors(data.scenario))
        charts.append(Chart(policy, note, svg))
    return charts


def _overview(data: ReportData) -> _Overview:
    bounds_m = west, south, east, north = data.street_map.bounds_m
    width_m, height_m = east - west, north - south
    colors = [*cell_colors(data.scenario), UNSERVED]  # index -1: not connected
    kpis, scale = data.episode(data.replay[0]).kpis, ScaleBar.fit(bounds_m)
    return _Overview(
        width_m=round(width_m, 1),
        height_m=round(height_m, 1),
        cells_png=best_server_png(data.scenario, bounds_m),
        streets=street_path(data.street_map.streets, bounds_m),
        dot_m=round(height_m / 140, 1),
        sites=[
            _Mark(round(cell.x_m - west, 1), round(north - cell.y_m, 1), colors[index], str(index))
            for index, cell in enumerate(data.scenario.cells)
        ],
        ues=[
            _Mark(round(x - west, 1), round(north - y, 1), colors[cell])
            for (x, y), cell in zip(kpis.ue_position_m[0].tolist(), kpis.ue_serving_cell[0].tolist(), strict=True)
        ],
        scale_percent=round(100 * scale.share, 2),
        scale_label=scale.label,
    )


def _distinct(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _few(values: Sequence[str]) -> str:
    return ", ".join(values) if len(values) <= 6 else f"{', '.join(values[:3])} … {values[-1]}"


def _figure(value: object) -> str:
    """Formats one value of a table that was passed in."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
