"""`mlb report`: the evaluation of a run as one HTML file and a GIF."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from py_agent.cli.command import Result, StageCommand
from py_agent.cli.summary import summary_result

if TYPE_CHECKING:
    from py_agent.rundir import StageRecord

_STAGES = ("mobility", "collect", "augment", "train", "evaluate")
_NOTES = (
    "Test traces differ from the training traces in seed and in context; every policy met the same UEs and the same "
    "network seeds.",
    "A run of this size shows that every stage works; it does not rank methods. Few traces give wide intervals: read "
    "those, not the order of the means.",
)


@dataclass(kw_only=True)
class Report(StageCommand):
    """Show an evaluation: map, table, load over time, and a replay of two policies side by side."""

    replay: tuple[str, str] = ("static", "sac-cf")
    """The two policies of the replay."""

    def execute(self) -> Result:
        """Writes report.html and replay.gif; they are drawn anew each time."""
        import pandas as pd

        from cf_augment.dataset import read_episode
        from cf_augment.fidelity import agreement
        from py_agent.evaluate import Evaluation
        from py_agent.report import ReportData, write_gif, write_report
        from py_agent.rundir import RunDirectory, StageRecord
        from py_agent.statistics import summarize
        from sumo_mobility.base.progress import progress
        from sumo_mobility.pipeline import load_map

        run = RunDirectory(self.run)
        scenario = run.scenario()
        per_episode = pd.read_parquet(run.require(run.evaluation, "evaluate"))
        keys = per_episode[["trace", "policy", "seed"]].itertuples(index=False)
        folder = run.episodes("evaluate")
        episodes = [read_episode(folder / f"{trace}-{policy}-{seed}.h5") for trace, policy, seed in keys]
        evaluation = Evaluation(scenario, episodes)
        summary = summarize(per_episode)
        records = [StageRecord.read_json(run.path / f"{stage}.json") for stage in _STAGES]
        engine_only = episodes[0].metadata.backend == "engine"
        first_trace = episodes[0].metadata.trace_name
        agreements = [
            _agreement_row(episode.metadata.policy, agreement(scenario, episode))
            for episode in episodes
            if episode.metadata.trace_name == first_trace and not engine_only
        ]
        data = ReportData(
            scenario=scenario,
            street_map=load_map(scenario.mobility.map),
            summary=summary,
            episodes={str(policy): evaluation.of(str(policy)) for policy in summary.index},
            replay=self.replay,
            tables={} if engine_only else {f"How the engine agrees with ns-3 on trace {first_trace}": agreements},
            commands=[*(_command(record, self.run) for record in records), f"mlb report --run {self.run}"],
            notes=_NOTES,
        )
        with progress("report and replay", 2) as bar:
            write_report(run.report, data)
            bar.advance()
            write_gif(run.gif, data)
            bar.advance()
        table = summary_result(run)
        paths = {"report": str(run.report), "replay": str(run.gif)}
        return Result(
            {**paths, "summary": table.data}, Group(table.view, Text(f"Report: {run.report}\nReplay: {run.gif}"))
        )


def _command(record: StageRecord, run: Path) -> str:
    """The command line that a stage record stands for."""
    options = []
    for name, value in record.config.items():
        text = " ".join(value) if isinstance(value, list) else str(value)
        options.append(f"--{name.replace('_', '-')} {text}")
    return f"mlb {record.stage} --run {run} {' '.join(options)}"


def _agreement_row(policy: str, metrics: dict[str, float]) -> dict[str, object]:
    return {
        "policy": policy,
        "RSRP RMSE, dB": f"{metrics['rsrp_rmse_db']:.1e}",
        "serving cell equal": f"{100 * metrics['serving_agreement']:.2f} %",
        "handovers in ns-3": f"{metrics['handovers_ns3']:.0f}",
        "in the engine": f"{metrics['handovers_engine']:.0f}",
        "the same": f"{100 * metrics['handover_match']:.1f} %",
        "PRB utilisation MAE": f"{metrics['utilization_mae_pp']:.2f} pp",
        "bias": f"{metrics['utilization_bias_pp']:+.2f} pp",
        "served traffic": f"{100 * metrics['served_error_share']:+.2f} %",
    }
