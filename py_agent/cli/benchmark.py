"""`mlb benchmark`: every method in every context, and the leaderboard of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional

from py_agent.cli.command import Command, Result
from sumo_mobility.base.errors import ConfigError


@dataclass(kw_only=True)
class BenchmarkRun(Command):
    """Compare methods: train each on what was logged, judge all on the same fresh traces; goes on where it stopped."""

    suite: Positional[str]
    """A suite, a track (reference, slow, studies), or all; see 'mlb benchmark list'."""
    quick: bool = False
    """Minutes instead of hours: fewer seeds, traces and gradient steps of the same."""
    methods: tuple[str, ...] = ()
    """Methods to compare, beside those that make the scale; all of the track if none is named."""
    seeds: int = 0
    """Seeds of each training; as many as the suite says if 0."""
    seed: int = 0
    """Seed of all traces, data and trainings."""
    workers: int = 2
    """Jobs at once."""
    gif: bool = False
    """Also write an animation of static, the best rule and the best of ours, beside the results."""
    directory: Path | None = None
    """Where traces, data and trainings are kept; runs/benchmark, or runs/benchmark-quick."""
    out: Path | None = None
    """Where the results go, a file for each suite; results, or with --quick the folder results in the directory."""

    def execute(self) -> Result:
        """Runs the suites one after another, and writes the results of each when it is done."""
        from py_agent.benchmark.study import Study
        from py_agent.benchmark.suites import SUITES
        from py_agent.jobs import LocalExecutor
        from py_agent.report.benchmark_replay import write_benchmark_replay

        chosen = [suite for suite in SUITES.values() if self.suite in ("all", suite.track, suite.name)]
        if not chosen:
            SUITES[self.suite]  # says which there are
        directory = self.directory or Path("runs/benchmark-quick" if self.quick else "runs/benchmark")
        out = self.out or (directory / "results" if self.quick else Path("results"))
        executor, written = LocalExecutor(self.workers), []
        failed = 0
        for suite in chosen:
            study = Study(suite, self.methods, self.quick, self.seeds, self.seed, directory, executor)
            results = study.run()
            path = out / f"{suite.name}.parquet"
            results.write(path)
            written.append(path)
            if self.gif:
                write_benchmark_replay(path.with_suffix(".gif"), study, results)
            failed += int((results.rows["error"] != "").sum())
        data = {"results": [str(path) for path in written], "failed": failed}
        files = " ".join(map(str, written))
        view = f"{files}: {failed} failed\nThe page of them: mlb benchmark report {files} --out benchmark.md\n"
        return Result(data, view, ok=failed == 0)


@dataclass(kw_only=True)
class BenchmarkReport(Command):
    """Write the leaderboard from files of results: a page in Markdown, and its pictures beside it."""

    files: Positional[tuple[Path, ...]]
    """The files, in the order in which the page shows them."""
    out: Path
    """The Markdown file to write; its pictures go into a folder of the same name."""

    def execute(self) -> Result:
        """Reads all files before anything is written."""
        from py_agent.benchmark.results import Results, check_unique
        from py_agent.benchmark.scores import Scores
        from py_agent.report.benchmark_page import write_benchmark_page

        if not self.files:
            raise ConfigError("no files of results", "run 'mlb benchmark run' first")
        every = [Results.read(path) for path in self.files]
        check_unique(every, self.files)
        write_benchmark_page(self.out, every)
        table = Table("suite", "method", "data", "S", "95 %")
        data = []
        for results in every:
            scores = Scores(results)
            for entry in scores.entries.values():
                value, low, high = scores.score(entry)[0]
                table.add_row(
                    results.record.suite, entry.method, entry.data, f"{value:.2f}", f"{low:.2f} to {high:.2f}"
                )
                row = {"suite": results.record.suite, "method": entry.method, "data": entry.data}
                data.append({**row, "score": value, "low": low, "high": high})
        return Result({"page": str(self.out), "scores": data}, Group(table, Text(f"The page: {self.out}")))


@dataclass(kw_only=True)
class BenchmarkList(Command):
    """Say which suites and methods there are."""

    def execute(self) -> Result:
        """Lists the registries."""
        from py_agent.benchmark.methods import METHODS
        from py_agent.benchmark.suites import SUITES

        suites, methods = Table("suite", "track", "what it is"), Table("method", "kind", "tracks")
        for suite in SUITES.values():
            suites.add_row(suite.name, suite.track, suite.title)
        for method in METHODS.values():
            methods.add_row(method.name, method.group, ", ".join(method.tracks))
        data = {
            "suites": [{"name": suite.name, "track": suite.track, "title": suite.title} for suite in SUITES.values()],
            "methods": [{"name": each.name, "kind": each.group, "tracks": each.tracks} for each in METHODS.values()],
        }
        return Result(data, Group(suites, methods))
