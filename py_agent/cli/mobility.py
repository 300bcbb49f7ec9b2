"""`mlb mobility make`: from OpenStreetMap through SUMO to the traces of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from py_agent.cli.command import Result, StageCommand
from sumo_mobility.base.errors import ConfigError

if TYPE_CHECKING:
    from ns3_scenarios.scenario import Preset
    from sumo_mobility.maps import MapSource
    from sumo_mobility.open_ground import OpenGround


@dataclass(kw_only=True)
class Mobility(StageCommand):
    """Make the traces of a run: real streets, SUMO, persistent UEs; and place the sites."""

    preset: str = "helsinki-event-v0"
    """Id of a preset ('mlb scenario list'), or path of a .yaml file."""
    train_traces: int = 3
    """Traces to collect data on; they take the preset's train contexts in turn."""
    test_traces: int = 3
    """Traces to judge policies on; they take the preset's test contexts in turn."""
    map: str = ""
    """Another map than the preset's: a shipped one's name, an .osm (.gz, .bz2, .pbf) or .net.xml (.gz) file, or
    open:WIDTHxHEIGHT, open ground in m without streets."""
    bbox: str = ""
    """Another map, downloaded once: west,south,east,north in degrees."""
    place: str = ""
    """Another map, downloaded once: the name of a place, such as 'Kamppi, Helsinki'."""
    driving_side: Literal["auto", "left", "right"] = "auto"
    """The side on which streets are driven; auto takes it from the map's carriageways and roundabouts, or else from
    its country. A SUMO net is driven as it was built."""
    overpass_url: str = ""
    """The server to download from, if not overpass-api.de."""
    seed: int = 0
    """Seed of all traces."""
    workers: int = 2
    """SUMO processes at a time; the traces do not depend on it."""

    @classmethod
    def words(cls) -> list[str]:
        """Returns the words that call this stage; the other jobs with traces are no stages."""
        return ["mobility", "make"]

    def execute(self) -> Result:
        """Makes the traces that are not there yet, and shows all of the run."""
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

        preset = Preset.load(self.preset)
        named = self._named_map(preset.mobility.map)
        return preset if named is None else preset.on_map(named)

    def _named_map(self, of_preset: str) -> MapSource | OpenGround | None:
        """Returns the map that the options name, if they do; --driving-side alone names the preset's map."""
        from sumo_mobility.maps import BOX, PLACE, find_map
        from sumo_mobility.open_ground import OpenGround, is_open

        given = [self.map, self.bbox and BOX + self.bbox, self.place and PLACE + self.place]
        names = [name for name in given if name]
        if len(names) > 1:
            raise ConfigError(f"--map, --bbox and --place name {len(names)} maps", "give one of them")
        if not names and self.driving_side == "auto":
            return None
        (name,) = names or [of_preset]
        if self.driving_side != "auto":
            name = f"{name}#{self.driving_side}"
        return OpenGround.find(name) if is_open(name) else find_map(name, self.overpass_url)
