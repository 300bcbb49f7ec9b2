"""`mlb mobility`: from OpenStreetMap through SUMO to the traces of a run."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from py_agent.cli.command import Result, StageCommand


@dataclass(kw_only=True)
class Mobility(StageCommand):
    """Make the traces of a run: real streets, SUMO, persistent UEs; and place the sites."""

    preset: str = "helsinki-event-v0"
    """Id of a preset ('mlb scenario list'), or path of a .yaml file."""
    train_traces: int = 3
    """Traces to collect data on; they take the preset's train contexts in turn."""
    test_traces: int = 3
    """Traces to judge policies on; they take the preset's test contexts in turn."""
    seed: int = 0
    """Seed of all traces."""
    workers: int = 2
    """SUMO processes at a time; the traces do not depend on it."""

    def execute(self) -> Result:
        """Makes the traces that are not there yet."""
        from ns3_scenarios.scenario import Preset, Scenario
        from py_agent.rundir import RunDirectory, begin_run
        from sumo_mobility.base.seeds import derive
        from sumo_mobility.pipeline import load_map, make_traces

        preset = Preset.load(self.preset)
        mobility = preset.mobility
        street_map = load_map(mobility.map)
        run = RunDirectory(self.run)
        scenario = Scenario.place(preset, preset.sites.place(street_map))
        run.begin("mobility", self.options(), self.resume)
        begin_run(run, preset, scenario)

        jobs = {}
        for split, count, contexts in (
            ("train", self.train_traces, mobility.train_contexts),
            ("test", self.test_traces, mobility.test_contexts),
        ):
            for index in range(count):
                path = run.trace_path(split, index)
                if not path.with_suffix(".json").exists():
                    jobs[path] = (contexts[index % len(contexts)], derive(self.seed, split, index))
        for path, trace in zip(jobs, make_traces(mobility, list(jobs.values()), self.workers), strict=True):
            trace.write(path)

        table = Table("trace", "context", "UEs", "s", "mean m/s", "rows filled")
        data = []
        for path in run.trace_paths("train") + run.trace_paths("test"):
            trace = run.trace(path)
            meta = trace.metadata
            row = {
                "trace": str(path), "context": meta.context, "ues": trace.ues, "duration_s": trace.duration_s,
                "mean_speed_mps": float(trace.speed_mps.mean()), "rows_filled": meta.rows_filled,
            }  # fmt: skip
            data.append(row)
            table.add_row(
                path.stem, meta.context, str(trace.ues), f"{trace.duration_s:.0f}",
                f"{row['mean_speed_mps']:.1f}", str(meta.rows_filled),
            )  # fmt: skip
        credit = Text(f"{len(scenario.cells)} cells. Map data {street_map.attribution}", "dim")
        return Result(data, Group(table, credit))
