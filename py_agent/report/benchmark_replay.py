"""An animation of the benchmark: static, the best rule and the best agent side by side on a trace."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from py_agent.benchmark.results import Results
from py_agent.benchmark.scores import Entry, Scores
from py_agent.benchmark.study import ENGINE, STATIC, Study
from py_agent.benchmark.tasks import played
from py_agent.evaluate import Evaluation
from py_agent.report.benchmark_page import OURS
from py_agent.report.data import ReportData
from py_agent.report.gif import write_gif
from py_agent.statistics import summarize
from sumo_mobility.base.errors import DataError
from sumo_mobility.pipeline import load_map

_TRACES, _WIDTH_PX = 9, 1200


def write_benchmark_replay(path: Path, study: Study, results: Results) -> None:
    """Writes the typical one of some test traces of the suite's first context, a frame a control step.

    Args:
        path: Where the GIF goes.
        study: The study, after it was run.
        results: What it returned.

    Raises:
        DataError: a rule or an agent of ours is missing, or failed.
        StorageError: `path` cannot be written; what was there before is whole.
    """
    scores, main = Scores(results), results.record.main_data
    shown = [Entry(STATIC, "rules", "", 0), _best(scores, "rules", ""), _best(scores, OURS, main)]
    home = study.homes[0]
    traces = dict([*study.workshop.traces(home, "test", study.workshop.effort.test_traces).items()][:_TRACES])
    episodes = {
        entry.method: list(played(home, traces, study.policy(entry.method, entry.data), entry.method, 0, ENGINE))
        for entry in shown
    }
    tables = [Evaluation(home, of_method).per_episode for of_method in episodes.values()]
    data = ReportData(
        scenario=home, street_map=load_map(home.mobility.map), summary=summarize(pd.concat(tables)),
        episodes=episodes, replay=tuple(episodes),
    )  # fmt: skip
    write_gif(path, data, width_px=_WIDTH_PX)


def _best(scores: Scores, group: str, data: str) -> Entry:
    """Returns the entry of the greatest S of a kind, static apart."""
    entries = [e for e in scores.entries.values() if e.group == group and e.data == data and e.method != STATIC]
    if not entries:
        raise DataError(f"suite {scores.results.record.suite}: none of {group} to show", "run it without --methods")
    return max(entries, key=lambda entry: scores.score(entry)[0].value)
