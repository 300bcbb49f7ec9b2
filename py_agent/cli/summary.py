"""The result table of an evaluation, as `mlb evaluate`, `report` and `quickstart` print it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from py_agent.cli.command import Result

if TYPE_CHECKING:
    from py_agent.rundir import RunDirectory


def summary_result(run: RunDirectory) -> Result:
    """The result table of an evaluation, as `mlb evaluate`, `report` and `quickstart` show it."""
    import pandas as pd

    from py_agent.statistics import summarize

    summary = summarize(pd.read_parquet(run.require(run.evaluation, "evaluate")))
    table = Table(box=None, padding=(0, 1, 0, 0), caption_justify="left")
    for title in ("policy", "load std", "95 %", "gain", "95 %", "Jain", "p5", "HO", "ping-pong", "fail"):
        table.add_column(title, no_wrap=True)
    for name, row in summary.iterrows():
        table.add_row(
            str(name),
            f"{row['load_std']:.3f}",
            f"[dim]{row['load_std_low']:.3f}..{row['load_std_high']:.3f}[/dim]",
            f"{row['improvement_percent']:+.0f}",
            f"[dim]{row['improvement_percent_low']:+.0f}..{row['improvement_percent_high']:+.0f}[/dim]",
            f"{row['jain']:.2f}",
            f"{row['p5_throughput_bps'] / 1e3:.0f}",
            f"{row['handovers_per_ue_minute']:.1f}",
            f"{100 * row['ping_pong_share']:.0f} %",
            f"{row['failures_per_ue_minute'] + row['rlf_per_ue_minute']:.2f}",
        )
    table.caption = (
        f"Means over {summary['traces'].iloc[0]} traces, paired. gain: load std below static, %; p5: 5th percentile UE "
        "throughput, kbit/s; HO: handovers a UE and minute; ping-pong: share of them; fail: failed handovers and radio "
        "link failures a UE and minute."
    )
    data = summary.reset_index().to_dict("records")
    return Result(data, table)
