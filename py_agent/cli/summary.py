"""The result table of an evaluation, as `mlb evaluate`, `report` and `quickstart` print it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from py_agent.cli.command import Result

if TYPE_CHECKING:
    from py_agent.rundir import RunDirectory

_WITH_INTERVAL = ("load_std", "improvement_percent")
"""Metrics that are shown with an interval; the report shows those of the others too."""
_LEFT_OUT = ("mean_throughput_bps",)


def summary_result(run: RunDirectory) -> Result:
    """The figures of an evaluation: the report's, as many as fit into 80 columns; all of them as JSON."""
    import pandas as pd

    from py_agent.result_table import ResultTable
    from py_agent.statistics import summarize

    summary = summarize(pd.read_parquet(run.require(run.evaluation, "evaluate")))
    found = ResultTable.of(summary)
    shown = [key for key in found.columns if key not in _LEFT_OUT]
    several = summary["traces"].iloc[0] > 1
    table = Table(box=None, padding=(0, 1, 0, 0), caption_justify="left")
    table.add_column("policy", overflow="fold", min_width=min(20, max(map(len, found.rows))))
    for key in shown:
        table.add_column(found.columns[key].short, no_wrap=True)
        if key in _WITH_INTERVAL and several:
            table.add_column("95 %", no_wrap=True, style="dim")
    for policy, cells in found.rows.items():
        row = [escape(policy)]
        for key, cell in zip(found.columns, cells, strict=True):
            if key in shown:
                row += [f"[bold]{cell.mean}[/bold]" if cell.best else cell.mean]
                row += [cell.interval.replace(" … ", "…")] if key in _WITH_INTERVAL and several else []
        table.add_row(*row)
    gain = found.columns.get("improvement_percent")
    table.caption = " ".join(
        [
            *found.remarks,
            *([f"gain: {gain.heading[0].lower()}{gain.heading[1:]}, %;"] if gain else []),
            "p5: 5th percentile UE throughput, kbit/s; HO, fail, RLF: handovers, failed handovers and radio link "
            "failures per UE per minute; PP: ping-pongs (TR 36.839 5.2), % of the handovers. Why connections failed: "
            "--json, and the report.",
        ]
    )
    data = summary.reset_index().astype(object)
    return Result(data.where(data.notna(), None).to_dict("records"), table)
