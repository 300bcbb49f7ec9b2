"""`mlb bench`: measures what the project promises, and says whether it is kept."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from rich.table import Table
from tyro.conf import Positional

from py_agent.cli.command import Command, Result
from sumo_mobility.base.errors import MlbError

if TYPE_CHECKING:
    from py_agent.measurement import Measurement


@dataclass(kw_only=True)
class Bench(Command):
    """A measurement of what the project promises; exit code 1 if one figure is not reached."""

    suite: ClassVar[str]
    """The module of `py_agent.bench` that measures."""
    seed: int = 0
    """Seed of the traces and the network."""

    def execute(self) -> Result:
        """Measures and prints."""
        from py_agent.measurement import record

        table = Table("metric", "value", "unit", "target", "goal", "ok")
        figures: list[Measurement] = []
        failed = False
        try:
            for item in self._measure():
                print(f"{item.metric}: {item.value:.4g} {item.unit}", file=sys.stderr, flush=True)
                sign = ">=" if item.more_is_better else "<="
                limits = ["" if limit is None else f"{sign} {limit:g}" for limit in (item.target, item.goal)]
                mark = "" if item.target is None else "[green]yes[/green]" if item.ok else "[bold red]no[/bold red]"
                table.add_row(item.metric, f"{item.value:.4g}", item.unit, *limits, mark)
                figures.append(item)
        except MlbError as error:  # what was measured before is shown all the same
            print(f"error: {error}", file=sys.stderr)
            failed = True
        title = inspect.cleandoc(type(self).__doc__ or "").splitlines()[0]
        data = record(title, self._command(), figures)
        return Result(data, table, ok=not failed and all(figure.ok for figure in figures))

    def _command(self) -> str:
        """The command line that measures the same again, anywhere."""
        words = ["mlb bench", self.suite]
        for option in fields(self):
            value = getattr(self, option.name)
            # Where things are kept decides no figure.
            if option.name != "json" and value != option.default and not isinstance(value, Path):
                words.append(f"--{option.name}")
                words += (
                    [] if value is True else [str(item) for item in (value if isinstance(value, tuple) else [value])]
                )
        return " ".join(words)

    def _measure(self) -> Iterator[Measurement]:
        """Yields the figures as they are measured; the options are the suite's arguments."""
        options = {name: value for name, value in asdict(self).items() if name != "json"}
        figures: Iterator[Measurement] = import_module(f"py_agent.bench.{self.suite}").measure(**options)
        return figures


@dataclass(kw_only=True)
class BenchJob(Bench):
    """Same seed, same bytes; the engine against ns-3; the bridge; the time of the tests, which ran before."""

    suite = "job"
    preset: str = "helsinki-event-v0"
    """Id of the preset that is measured."""


@dataclass(kw_only=True)
class LongBench(Bench):
    """A measurement that has a short form."""

    quick: bool = False
    """Minutes instead of hours: measure shorter runs."""


@dataclass(kw_only=True)
class BenchNs3(LongBench):
    """Cost of the ns-3 program: against stock ns-3, in memory, in parallel, by branches, on the wire."""

    suite = "ns3"


@dataclass(kw_only=True)
class BenchSoak(LongBench):
    """10 minutes of 21 cells and 100 UEs in ns-3 under random CIOs, three times."""

    suite = "soak"
    rrc: Literal["ideal", "real"] = "ideal"
    """RRC messages always arrive at once (ideal), or are sent over the air (real)."""


@dataclass(kw_only=True)
class BenchEngine(LongBench):
    """Environment steps a second of engine and emulator beside mobile-env and ns-3, for 21 cells and 100 UEs.

    mobile-env has to be installed for it: `pip install mobile-env`.
    """

    suite = "engine"


@dataclass(kw_only=True)
class BenchMobility(LongBench):
    """What traces cost, whether they are sound, and how unevenly each preset's UEs load its cells."""

    suite = "mobility"


@dataclass(kw_only=True)
class BenchKills(LongBench):
    """200 kills of collect, augment, train and evaluate at random moments.

    Nothing may stay behind, and no row may be lost or doubled.
    """

    suite = "kills"


@dataclass(kw_only=True)
class BenchDataset(LongBench):
    """How fast datasets are collected and read, their size on disk, and the memory that 20 GB of them take.

    Exports are measured with what they need: `pip install minari==0.5.4 d3rlpy==2.8.1`.
    """

    suite = "dataset"


@dataclass(kw_only=True)
class BenchAgent(LongBench):
    """What a trained agent is worth against the tuned rule, the planner and SAC on logged data alone.

    The speed of the training is compared with d3rlpy's, which has to be installed for it: `pip install d3rlpy==2.8.1`.
    """

    suite = "agent"
    network: tuple[str, ...] = ()
    """Networks to measure on, of line3, helsinki3 and helsinki-event; all if none is named."""
    directory: Path = Path("runs/bench-agent")
    """Where traces, data, trainings and results are kept; a measurement that was interrupted goes on there."""


@dataclass(kw_only=True)
class BenchAnticipation(LongBench):
    """What it is worth to know where the UEs go: policies that anticipate against the tuned rule, on the slow track."""

    suite = "anticipation"
    preset: str = "helsinki-slow-v0"
    """Id of a preset, or path of a .yaml file; policies are judged in its test contexts."""
    directory: Path = Path("runs/bench-anticipation")
    """Where traces, the rule and results are kept; a measurement that was interrupted goes on there."""
    rank_in_ns3: bool = False
    """Also play 10 traces in ns-3, and say whether it ranks the policies alike."""


@dataclass(kw_only=True)
class BenchPage(Command):
    """Write a page of results that `mlb bench NAME --json` and `mlb fidelity` left in files."""

    files: Positional[tuple[Path, ...]]
    """The files, in the order in which the page shows them."""
    out: Path
    """The Markdown file to write."""

    def execute(self) -> Result:
        """Reads all files before the page is written."""
        from py_agent.report.measured_page import MeasuredResults, measured_page
        from sumo_mobility.base.files import write_text

        results = [MeasuredResults.read_json(path) for path in self.files]
        write_text(self.out, measured_page(results))
        missed = sum(not figure.ok for result in results for figure in result.figures)
        return Result({"file": str(self.out), "missed": missed}, f"{self.out}: {missed} figures miss their target\n")
