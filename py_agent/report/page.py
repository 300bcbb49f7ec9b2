"""The page: one HTML file that needs no network and no server, and without JavaScript lacks only the replay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from py_agent.report import details, results
from py_agent.report.data import ReportData
from py_agent.report.facts import cells, evaluation_facts, network_facts, versions
from py_agent.report.replay import pack
from py_agent.report.scene import (
    UNSERVED,
    ScaleBar,
    best_server_png,
    cell_colors,
    cell_marks_m,
    ink,
    line_styles,
    street_path,
)
from py_agent.report.templating import pages
from py_agent.result_table import ResultTable
from sumo_mobility.base.files import write_text

_HOW_TO_READ = (
    "Each row is one policy, judged on the same traces and seeds as the others. Load std is the standard deviation of "
    "the cells' PRB utilisation: 0 is a perfectly balanced network. Jain's index says the same on a scale up to 1. "
    "p5 throughput is what the worst-served twentieth of the UEs still gets. Handovers, ping-pongs and failures are "
    "the price. Bold: best mean of the column; where intervals overlap widely, the order may be chance."
)


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
    environment = pages()
    environment.filters["figure"] = _figure
    replay = pack({policy: data.episode(policy) for policy in data.replay}, data.street_map.bounds_m)
    overview = _overview(data)
    trace, seed = data.typical
    page = environment.get_template("report.html").render(
        scenario=data.scenario,
        attribution=data.attribution,
        is_osm="OpenStreetMap" in data.attribution,
        facts=evaluation_facts(data),
        network=network_facts(data.scenario),
        cells=cells(data),
        how_to_read=_HOW_TO_READ,
        result=ResultTable.of(data.summary),
        interval_charts=results.interval_charts(data),
        difference_charts=results.difference_charts(data),
        robustness=results.robustness_table(data),
        robustness_charts=results.robustness_charts(data),
        reference=data.reference,
        load_charts=details.load_charts(data),
        offset_charts=details.offset_charts(data),
        handover_charts=details.handover_charts(data),
        distribution_charts=details.distribution_charts(data),
        learning_charts=details.learning_charts(data),
        policy_styles=line_styles(data.policies),
        training_styles=line_styles(list(data.trainings)),
        map=overview,
        trace=trace,
        seed=seed,
        replay=replay,
        player={
            **replay,
            "colors": [ink(color) for color in cell_colors(data.scenario)],
            "unserved": UNSERVED,
            "sites": [(site.x, site.y) for site in overview.sites],
        },
        tables={**data.tables, "Versions": versions(data)},
        commands=data.commands,
        notes=data.notes,
    )
    write_text(path, page)


def _overview(data: ReportData) -> _Overview:
    bounds_m = west, south, east, north = data.street_map.bounds_m
    width_m, height_m = east - west, north - south
    colors = [ink(color) for color in [*cell_colors(data.scenario), UNSERVED]]  # index -1: not connected
    kpis, scale = data.episode(data.replay[0]).kpis, ScaleBar.fit(bounds_m)
    return _Overview(
        width_m=round(width_m, 1),
        height_m=round(height_m, 1),
        cells_png=best_server_png(data.scenario, bounds_m),
        streets=street_path(data.street_map.streets, bounds_m),
        dot_m=round(max(height_m / 140, width_m / 260), 1),
        sites=[
            _Mark(round(x - west, 1), round(north - y, 1), colors[index], str(index))
            for index, (x, y) in enumerate(cell_marks_m(data.scenario, bounds_m).tolist())
        ],
        ues=[
            _Mark(round(x - west, 1), round(north - y, 1), colors[cell])
            for (x, y), cell in zip(kpis.ue_position_m[0].tolist(), kpis.ue_serving_cell[0].tolist(), strict=True)
        ],
        scale_percent=round(100 * scale.share, 2),
        scale_label=scale.label,
    )


def _figure(value: object) -> str:
    """Formats one value of a table that was passed in."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
