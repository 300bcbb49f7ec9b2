"""`mlb report`: the evaluation of a run as one HTML file and a GIF."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from py_agent.cli.command import Result, StageCommand
from py_agent.cli.mobility import Mobility
from py_agent.cli.stages import Augment, Collect, Evaluate, Train
from py_agent.cli.summary import summary_result
from sumo_mobility.base.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from cf_augment.dataset import Episode
    from ns3_scenarios.scenario import Scenario
    from py_agent.rundir import RunDirectory, StageRecord

_STAGES: dict[str, type[StageCommand]] = {
    "mobility": Mobility, "collect": Collect, "augment": Augment, "train": Train, "evaluate": Evaluate
}  # fmt: skip

_UNSEEN = "No training saw the traces that the policies were judged on."


@dataclass(kw_only=True)
class Report(StageCommand):
    """Show an evaluation: map, table, load over time, and a replay of two policies side by side."""

    replay: tuple[str, str] | None = None
    """The two policies of the replay; if none are named, static, or the first one, and the best of the others."""

    def execute(self) -> Result:
        """Writes report.html and replay.gif; they are drawn anew each time."""
        import pandas as pd

        from cf_augment.dataset import EpisodeFiles
        from py_agent.collect import EpisodeJob
        from py_agent.report import ReportData, write_gif, write_report
        from py_agent.report.data import replayed
        from py_agent.rundir import RunDirectory
        from py_agent.statistics import summarize
        from sumo_mobility.base.progress import progress
        from sumo_mobility.pipeline import load_map

        run = RunDirectory(self.run)
        scenario = run.scenario()
        per_episode = pd.read_parquet(run.require(run.evaluation, "evaluate"))
        keys = per_episode[["trace", "policy", "seed"]]
        folder = run.episodes("evaluate")

        def files(rows: pd.DataFrame) -> EpisodeFiles:
            return EpisodeFiles([EpisodeJob.path_in(folder, *key) for key in rows.itertuples(index=False)])

        summary = summarize(per_episode)
        tables, notes = _agreement(scenario, files(keys[keys["trace"] == keys["trace"].iloc[0]]))
        trainings = _trainings(run)
        data = ReportData(
            scenario=scenario,
            street_map=load_map(scenario.mobility.map),
            summary=summary,
            episodes={str(policy): files(keys[keys["policy"] == policy]) for policy in summary.index},
            replay=self.replay or replayed(summary),
            trainings=trainings,
            tables=tables,
            commands=[*(command_line(record, self.run) for record in run.records()), self._line()],
            notes=[*notes, *([_UNSEEN] if trainings else [])],
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

    def _line(self) -> str:
        replay = ["--replay", *self.replay] if self.replay else []
        return shlex.join(["mlb", "report", "--run", str(self.run), *replay])


def command_line(record: StageRecord, run: Path) -> str:
    """The command, ready for a shell, that a stage record stands for; what a default says is left out."""
    stage = _STAGES[record.stage]
    words = ["mlb", *stage.words(), "--run", str(run)]
    defaults = stage.defaults(record.config)
    for name, value in record.config.items():
        option = f"--{name.replace('_', '-')}"
        if name in defaults and value == defaults[name]:
            continue
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        elif isinstance(value, list):
            words += [option, *map(str, value)]
        elif value is not None:
            words += [f"{option}={value}"] if str(value).startswith("-") else [option, str(value)]
    return shlex.join(words)


def _trainings(run: RunDirectory) -> dict[str, pd.DataFrame]:
    """The metrics of each training of a run, by its name."""
    import pandas as pd

    return {path.parent.name: pd.read_parquet(path) for path in sorted(run.training.glob("*/metrics.parquet"))}


def _agreement(scenario: Scenario, episodes: Sequence[Episode]) -> tuple[dict[str, list[dict[str, object]]], list[str]]:
    """How the engine agrees with what ns-3 did on the first trace, as a table; or a note of why it cannot be said."""
    from cf_augment.agreement import agreement

    trace = episodes[0].metadata.trace_name
    try:
        rows = [
            _agreement_row(episode, agreement(scenario, episode))
            for episode in episodes
            if episode.metadata.backend == "ns3"
        ]
    except ConfigError as error:
        return {}, [f"The engine was not compared with ns-3. {error.message}."]
    return ({f"How the engine agrees with ns-3 on trace {trace}": rows} if rows else {}), []


def _agreement_row(episode: Episode, metrics: dict[str, float]) -> dict[str, object]:
    return {
        "policy": episode.metadata.policy,
        "seed": episode.metadata.seed,
        "RSRP RMSE, dB": f"{metrics['rsrp_rmse_db']:.1e}",
        "serving cell equal": f"{100 * metrics['serving_agreement']:.2f} %",
        "handovers in ns-3": f"{metrics['handovers_ns3']:.0f}",
        "in the engine": f"{metrics['handovers_engine']:.0f}",
        "the same": f"{100 * metrics['handover_match']:.1f} %",
        "PRB utilisation MAE": f"{metrics['utilization_mae_pp']:.2f} pp",
        "bias": f"{metrics['utilization_bias_pp']:+.2f} pp",
        "served traffic": f"{100 * metrics['served_error_share']:+.2f} %",
    }
