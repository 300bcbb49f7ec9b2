"""`mlb mobility`: from OpenStreetMap through SUMO to the traces of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional, UseAppendAction

from py_agent.cli.command import Result, StageCommand
from sumo_mobility.base.documents import parse_yaml, printable
from sumo_mobility.base.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from ns3_scenarios.scenario import Preset
    from sumo_mobility.maps import MapSource
    from sumo_mobility.open_ground import OpenGround

_DEFAULT = "helsinki-event-v0"


@dataclass(kw_only=True)
class Mobility(StageCommand):
    """Make the traces of a run: real streets, SUMO, persistent UEs; and place the sites.

    Or `plot` traces, `export` one for other programs, or `import` floating car data that SUMO wrote elsewhere, or
    ns-2 movements.
    """

    action: Positional[Literal["make", "plot", "export", "import"]] = "make"
    """What to do."""
    file: Annotated[Positional[Path | None], "file"] = None
    """plot, export: the trace (.parquet); plot draws all of the run if none is named. import: what `sumo --fcd-output`
    wrote (.xml, .csv or .parquet; .gz too), or ns-2 movements (.tcl, .ns_movements)."""
    preset: str = ""
    """Id of a preset ('mlb scenario list'), or path of a .yaml file; helsinki-event-v0 if none is given. plot: whose
    sites are drawn on a trace outside of a run, if any are wanted; a run has its own."""
    train_traces: int = 3
    """Traces to collect data on; they take the preset's train contexts in turn."""
    test_traces: int = 3
    """Traces to judge policies on; they take the preset's test contexts in turn."""
    map: str = ""
    """Another map than the preset's: a shipped one's name, an .osm (.gz, .bz2, .pbf) or .net.xml (.gz) file, or
    open:WIDTHxHEIGHT, open ground in m without streets. import, plot: the map that the trace is on, or the very net
    that SUMO drove on; open ground if none is given."""
    bbox: str = ""
    """Another map, downloaded once: west,south,east,north in degrees."""
    place: str = ""
    """Another map, downloaded once: the name of a place, such as 'Kamppi, Helsinki'."""
    driving_side: Literal["auto", "left", "right"] = "auto"
    """Where the streets are driven; auto: as the map's carriageways and roundabouts show, or else its country has it.
    A SUMO net is driven as it was built."""
    overpass_url: str = ""
    """Where to download from, if not from overpass-api.de."""
    seed: int = 0
    """Seed of all traces."""
    workers: int = 2
    """SUMO processes at a time; the traces do not depend on it."""
    like: Path | None = None
    """Instead of all that: make this trace (.parquet) again, with the causes changed that --do names."""
    do: UseAppendAction[tuple[str, ...]] = ()
    """With --like, any number of times: context.PARAMETER=VALUE, for instance context.x_share=0.3 or
    context.name=uniform; context={name: event, x_share: 0.3}, in YAML; or drivers=SEED, other drivers on the same
    itineraries. Map, UEs, times, seeds and what is not named are held; none: the same trace."""
    out: Path | None = None
    """With --like and import: where the trace is written (.parquet). In the traces folder of a run it becomes one of
    the run. plot: where the .png and the .gif go, if not beside the trace. export: a .tcl file of ns-2 movements, which
    ns-3's Ns2MobilityHelper reads, or a .csv file of waypoints."""
    begin_s: float | None = None
    """import: SUMO time at which the trace begins, if not at the first row."""
    end_s: float | None = None
    """import: SUMO time at which it ends, if not at the last row."""
    pack: bool = False
    """import: take in cars that come and go. A UE is then a slot, which passes to the next car when one leaves; in
    between it stands where the car left, and the trace says so."""
    coordinates: Literal["auto", "metres", "degrees"] = "auto"
    """import: what x and y are; degrees, of `--fcd-output.geo`, are projected."""

    def options(self) -> dict[str, Any]:
        """As of every stage; those of what works on single traces belong to none."""
        others = ("action", "file", "like", "do", "out", "begin_s", "end_s", "pack", "coordinates")
        kept = {key: value for key, value in super().options().items() if key not in others}
        return kept | {"preset": kept["preset"] or _DEFAULT}

    def execute(self) -> Result:
        """Makes the traces that are not there yet, or one again; or works with those that are there."""
        if self.action != "make":
            return self._work_with_traces()
        if self.file is not None:
            raise ConfigError(f"mlb mobility make: does not take the file {self.file}", "plot, export or import it")
        if self.like is not None:
            return self._again(self.like)
        if self.do or self.out:
            raise ConfigError("--do and --out need --like", "name the trace to make again: --like FILE.parquet")
        return self._traces()

    def _work_with_traces(self) -> Result:
        from py_agent.cli import traces
        from py_agent.rundir import RunDirectory

        named = self._named_map() if self.action != "export" else None
        map_name = "" if named is None else named.found_by
        if self.action == "plot":
            run = RunDirectory(self.run)
            files = [self.file] if self.file else run.trace_paths("train", "test")
            return traces.draw(files, self.preset, map_name, self.out)
        if self.file is None:
            raise ConfigError(f"mlb mobility {self.action}: which file?", f"mlb mobility {self.action} FILE --out FILE")
        if self.action == "export":
            return traces.write_for_others(self.file, self.out)
        window_s = self.begin_s, self.end_s
        return traces.read_of_others(self.file, self.out, *window_s, map_name, self.pack, self.coordinates)

    def _again(self, like: Path) -> Result:
        import numpy as np

        from sumo_mobility.pipeline import changed_context, make_trace_like
        from sumo_mobility.trace import MobilityTrace

        if self.out is None or self.out.suffix != ".parquet":
            raise ConfigError("--like needs --out", "say where the trace is to be written: --out FILE.parquet")
        if self.out.exists():
            raise StorageError(f"{self.out}: exists", "choose another --out")
        changes, drivers = _changes(self.do)
        trace = make_trace_like(like, changed_context(like, changes) if changes else None, drivers)
        trace.write(self.out)
        same = np.array_equal(trace.position_m, MobilityTrace.read(like).position_m)
        data = {"trace": str(self.out), "provenance": trace.metadata.provenance, "same_as_before": same}
        table = Table("trace", str(self.out))
        for name, value in trace.metadata.provenance.items():
            table.add_row(name, str(value))
        if self.do and same:
            had = "had no effect on where the UEs are: the trace is the same"
            table.add_row("note", f"{' '.join(f'--do {change}' for change in self.do)} {had}")
        return Result(data, table)

    def _traces(self) -> Result:
        from ns3_scenarios.scenario import Scenario
        from py_agent.rundir import TRACES, RunDirectory, begin_run
        from sumo_mobility.base.seeds import derive
        from sumo_mobility.pipeline import load_map, make_traces

        if min(self.train_traces, self.test_traces) < 0 or self.train_traces + self.test_traces == 0:
            raise ConfigError(
                f"--train-traces {self.train_traces} --test-traces {self.test_traces}: makes none",
                "both must be 0 at least, and one of them 1",
            )
        preset = self._chosen()
        mobility = preset.mobility
        street_map = load_map(mobility.map)
        run = RunDirectory(self.run)
        scenario = Scenario.place(preset, preset.sites.place(street_map))
        jobs = {}
        for split, count, contexts in (
            ("train", self.train_traces, mobility.train_contexts),
            ("test", self.test_traces, mobility.test_contexts),
        ):
            for index in range(count):
                path = run.trace_path(split, index)
                if not path.with_suffix(".json").exists():
                    jobs[path] = (contexts[index % len(contexts)], derive(self.seed, split, index))
        with run.stage("mobility", self.options(), self.resume, (TRACES,)):
            begin_run(run, preset, scenario)
            paths = list(jobs)
            make_traces(mobility, list(jobs.values()), self.workers, lambda index, trace: trace.write(paths[index]))

        table = Table("trace", "context", "UEs", "s", "mean m/s", "rows filled")
        data = []
        for path in run.trace_paths("train", "test"):
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

    def _chosen(self) -> Preset:
        """Returns the preset, on the map that the options name if they do."""
        from ns3_scenarios.scenario import Preset

        preset, named = Preset.load(self.preset or _DEFAULT), self._named_map()
        return preset if named is None else preset.on_map(named)

    def _named_map(self) -> MapSource | OpenGround | None:
        """Returns the map that the options name, if they do."""
        from ns3_scenarios.scenario import Preset
        from sumo_mobility.maps import BOX, PLACE, find_map
        from sumo_mobility.open_ground import OpenGround, is_open

        given = [self.map, self.bbox and BOX + self.bbox, self.place and PLACE + self.place]
        names = [name for name in given if name]
        if len(names) > 1:
            raise ConfigError(f"--map, --bbox and --place name {len(names)} maps", "give one of them")
        if not names and (self.driving_side == "auto" or self.action != "make"):
            return None
        (name,) = names or [Preset.load(self.preset or _DEFAULT).mobility.map]
        if self.driving_side != "auto":
            name = f"{name}#{self.driving_side}"
        return OpenGround.find(name) if is_open(name) else find_map(name, self.overpass_url)


def _changes(assignments: tuple[str, ...]) -> tuple[dict[str, Any], int | None]:
    """Reads --do: parameters of the context, and the seed of the drivers."""
    changes: dict[str, Any] = {}
    drivers = None
    for assignment in assignments:
        key, _, text = assignment.partition("=")
        value = parse_yaml(text, f"--do {printable(key)}")
        if key == "drivers" and type(value) is int and value >= 0:  # True is an int
            drivers = value
        elif key == "context" and isinstance(value, dict):
            changes |= value
        elif key.startswith("context.") and value is not None:
            changes[key.removeprefix("context.")] = value
        else:
            raise ConfigError(
                f"--do {printable(assignment)}: is no change of a cause",
                "write context.PARAMETER=VALUE, context={name: ..., ...} or drivers=SEED",
            )
    return changes, drivers
