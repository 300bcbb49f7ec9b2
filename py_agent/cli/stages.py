"""`mlb collect`, `augment`, `train` and `evaluate`: the stages between the traces and the report."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text
from tyro.conf import UseAppendAction, arg

from py_agent.algorithms import ALGORITHMS
from py_agent.algorithms.config import TrainConfig
from py_agent.backends import BACKENDS
from py_agent.cli.choice import choice_of, listed
from py_agent.cli.command import Result, StageCommand
from py_agent.cli.dataset import dataset_result
from py_agent.cli.summary import summary_result
from py_agent.policies import POLICIES
from sumo_mobility.base.errors import ConfigError

if TYPE_CHECKING:
    from ns3_scenarios.episode import Episode
    from py_agent.rundir import Options

    BackendOption = str
    AlgorithmOption = str
else:
    BackendOption = choice_of(BACKENDS, "The back end in which episodes are played:")
    AlgorithmOption = choice_of(
        ALGORITHMS,
        "The algorithm:",
        ". The options that begin with its name are its own (try --algorithm bc --help).",
    )
BehaviorOption = Annotated[
    tuple[str, ...],
    arg(
        help=f"Behaviour policies: {listed(POLICIES)}, with parameters if need be (integral:gain_db=4); what was "
        "trained in this run by its name, and NAME=FILE for a checkpoint. Any can be explored around "
        "(noise:std=0.2,around=integral:gain_db=4). Each plays every training trace with every seed."
    ),
]
JudgedOption = Annotated[
    tuple[str, ...],
    arg(
        help=f"Policies: {listed(POLICIES)}, with parameters if need be (integral:gain_db=4); what was trained in this "
        "run by its name; and NAME=FILE for a checkpoint of any run. If none are named, all but the last kind, the "
        "literature's rules and what explores. Each plays every test trace with every seed."
    ),
]
_UNASKED = {"seeds": 1, "append": False}
"""Options of `mlb collect` at the values at which records leave them out, since older ones do not have them."""
_TRAINED_ON = {"logged": "", "both": "-cf", "counterfactual": "-cf-only"}


@dataclass(kw_only=True)
class Collect(StageCommand):
    """Log episodes of behaviour policies in ns-3, or another back end, on the training traces."""

    policies: BehaviorOption = ("static", "random", "integral")
    seed: int = 0
    """Seed of the network and of the policies."""
    seeds: int = 1
    """How many seeds, from --seed on; each policy plays every trace with each of them."""
    episodes: int | None = None
    """Episodes at most, if not all: the first ones in an order that takes policies and traces in turn."""
    steps: int | None = None
    """Control steps at most, in whole episodes; in place of --episodes."""
    simulated_s: float | None = None
    """Simulated s at most, in whole episodes with their warm-up; in place of --episodes."""
    append: bool = False
    """Add to logged.h5 what other policies do, or other seeds or another back end. An episode that is there already is
    refused. If it is interrupted, the same command goes on."""
    backend: BackendOption = "ns3"
    workers: int = 2
    """Processes; the data do not depend on it."""
    event_log: Path | None = None
    """Directory for the events and downlink DCIs of every episode that is played, as Parquet; ns3 only."""

    def options(self) -> dict[str, Any]:
        """The options that define the result, but for budgets that are not given, and for _UNASKED."""
        return {name: value for name, value in super().options().items() if value != _UNASKED.get(name)}

    def execute(self) -> Result:
        """Plays what has not been played and writes logged.h5."""
        from cf_augment.dataset import read_dataset
        from ns3_scenarios.bridge.event_log import EventLog
        from py_agent.cli.judged import judged
        from py_agent.collect import Played, episode_jobs, keys_of, require_new
        from py_agent.identities import remember
        from py_agent.jobs import LocalExecutor
        from py_agent.rundir import RunDirectory

        if self.seeds < 1:
            raise ConfigError(f"--seeds {self.seeds}: must be 1 at least")
        run, executor = RunDirectory(self.run), LocalExecutor(self.workers)
        scenario = run.scenario()
        policies = {policy.name: policy.factory for policy in judged(run, self.policies, (), at_home=True)}
        for factory in policies.values():
            factory(scenario)  # says what does not fit before anything is begun
        traces = {path.stem: run.trace(path) for path in run.trace_paths("train")}
        seeds, folder = range(self.seed, self.seed + self.seeds), run.episodes("collect")
        event_log = EventLog(self.event_log) if self.event_log else None
        jobs = episode_jobs(
            scenario, traces, policies, seeds, folder / self.backend, self.backend, event_log=event_log,
            limit=self._limit(scenario.episode),
        )  # fmt: skip
        played = Played(jobs)
        if self.append:
            logged = read_dataset(run.require(run.logged, "collect"))
            there = keys_of(logged)
            require_new(logged, there, jobs)
            remember(policies, folder, {policy for policy, *_ in there})
            played.play(executor)
            with run.addition("collect", self.options()):
                played.write(run.logged, scenario, executor, logged.episodes)
            played.forget()
            return dataset_result(run.logged, read_dataset(run.logged))
        made = ("episodes/collect/**/*.h5", run.logged.name)
        other = "--append more to it, or choose another --run"
        with run.stage("collect", self.options(), self.resume, made, other=other):
            if not run.logged.is_file():
                remember(policies, folder)
                played.write(run.logged, scenario, executor)
            played.forget()
        return dataset_result(run.logged, read_dataset(run.logged))

    def _limit(self, episode: Episode) -> int | None:
        """The greatest number of episodes that the budget has room for."""
        budgets = {
            "episodes": (self.episodes, 1, "at least 1 is needed"),
            "steps": (self.steps, episode.steps, f"an episode has {episode.steps}"),
            "simulated-s": (self.simulated_s, episode.simulated_s, f"an episode takes {episode.simulated_s:g}"),
        }
        given = [(name, *budget) for name, budget in budgets.items() if budget[0] is not None]
        if len(given) > 1:
            raise ConfigError(" and ".join(f"--{name}" for name, *_ in given) + ": two budgets", "give one of them")
        for name, most, one, why in given:
            assert most is not None
            if not one <= most < math.inf:
                raise ConfigError(f"--{name} {most:g}: {why}")
            return int(most / one + 1e-9)
        return None


@dataclass(kw_only=True)
class Augment(StageCommand):
    """Make counterfactual data: logged traces under other actions, and other crowds and contexts."""

    replays_per_trace: int = 8
    """Episodes in which each trace is re-run in the engine under other CIOs."""
    mixed_traces: int = 24
    """Traces in which logged UEs, moving as they did, gather in other crowds."""
    generated_traces: int = 12
    """Traces that the causal model draws under interventions on the context; 0 leaves the model out."""
    seed: int = 0
    """Seed of the interventions and the CIOs."""

    def execute(self) -> Result:
        """Fits the model, draws, replays and writes augmented.h5."""
        from cf_augment.augment import augment
        from cf_augment.dataset import read_dataset, write_dataset
        from py_agent.rundir import RunDirectory
        from sumo_mobility.pipeline import load_map

        run = RunDirectory(self.run)
        scenario = run.scenario()
        logged = read_dataset(run.require(run.logged, "collect"))
        street_map = load_map(scenario.mobility.map)
        counts = self.replays_per_trace, self.mixed_traces, self.generated_traces
        with run.stage("augment", self.options(), self.resume, (run.augmented.name,)):
            if not run.augmented.is_file():
                write_dataset(run.augmented, scenario, augment(logged, street_map, self.seed, *counts, run.model))
        return dataset_result(run.augmented, read_dataset(run.augmented))


@dataclass(kw_only=True)
class Train(StageCommand):
    """Train an offline RL algorithm on a run's data; a run holds any number of trainings, each with a name."""

    name: str = ""
    """The name of the training for `mlb evaluate`. The default is the algorithm's name, to which -cf is added if it
    learns from both data, and -cf-only if it learns from augmented.h5 alone."""
    seeds: int = 1
    """How many trainings to run at once, which differ in the seed alone; NAME-0, NAME-1 and so on, if there are several
    that begin with seed 0."""
    algorithm: AlgorithmOption = "sac"
    data: Literal["logged", "both", "counterfactual"] = "both"
    """logged.h5, augmented.h5, or both mixed in every batch."""
    config: Path | None = None
    """YAML file of hyper-parameters, with the names of the options below, for example `sac: {gamma: 0.9}`, which
    chooses the algorithm too; options on the command line win over it."""
    training: Annotated[TrainConfig, arg(name="")] = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        """The algorithm's defaults, unless `training` says more."""
        if type(self.training) is TrainConfig:
            self.training = TrainConfig.of(self.algorithm).model_validate(self.training.model_dump())
        self.algorithm = self.training.algorithm

    @property
    def title(self) -> str:
        """The title of the command, with the training's name."""
        return f"train {self._name}"

    @property
    def _name(self) -> str:
        return self.name or self.algorithm + _TRAINED_ON[self.data]

    def options(self) -> dict[str, Any]:
        """All hyper-parameters, wherever they were given."""
        values = {"name": self._name, "seeds": self.seeds, "algorithm": self.algorithm, "data": self.data}
        return values | _flat(self.training.model_dump())

    @classmethod
    def defaults(cls, config: Options) -> dict[str, Any]:
        """Those of the algorithm's own are among them; the name is not, since it depends on the data."""
        options = cls(algorithm=str(config.get("algorithm", cls.algorithm))).options()
        del options["name"]
        return options | {"algorithm": cls.algorithm}

    def execute(self) -> Result:
        """Trains, or goes on; a training that is done is only shown."""
        from cf_augment.dataset import read_dataset
        from py_agent.rundir import RunDirectory, check_name
        from py_agent.train import train

        if self.seeds < 1:
            raise ConfigError(f"--seeds {self.seeds}: must be 1 at least")
        run, first = RunDirectory(self.run), self.training.seed
        seeds = {self._name: first}
        if self.seeds > 1:
            seeds = {f"{self._name}-{seed}": seed for seed in range(first, first + self.seeds)}
        for name in seeds:
            check_name(name)
        logged = None if self.data == "counterfactual" else read_dataset(run.require(run.logged, "collect"))
        augmented = None if self.data == "logged" else read_dataset(run.require(run.augmented, "augment"))
        with ExitStack() as stages:
            for name, seed in seeds.items():
                options = self.options() | {"name": name, "seed": seed}
                stages.enter_context(run.stage("train", options, self.resume, (f"training/{name}/record.json",), name))
            checkpoints = train(self.training, logged, augmented, [run.training / name for name in seeds], resume=True)
        sizes = [0 if data is None else data.transitions for data in (logged, augmented)]
        steps = self.training.parameters.gradient_steps
        table = Table("policy", "logged rows", "counterfactual rows", "gradient steps")
        for name in seeds:
            table.add_row(name, *map(str, (*sizes, steps)))
        data = {
            "data": self.data, "logged_transitions": sizes[0], "counterfactual_transitions": sizes[1],
            "gradient_steps": steps, "checkpoints": dict(zip(seeds, map(str, checkpoints), strict=True)),
        }  # fmt: skip
        return Result(data, Group(table, *(Text(f"Checkpoint: {checkpoint}") for checkpoint in checkpoints)))


@dataclass(kw_only=True)
class Evaluate(StageCommand):
    """Judge policies in ns-3 on the test traces, which no training saw; paired by trace and seed.

    Judged again with --resume, other policies and seeds may be named: what has been played is not played again.
    """

    policies: JudgedOption = ()
    policy: UseAppendAction[tuple[str, ...]] = ()
    """An additional policy, any number of times: a checkpoint (.pt) of any run, or the directory of its training; it is
    called by the training's name, or NAME=FILE."""
    scenario: str = ""
    """Judge in another scenario than the run's: a preset (id or .yaml file), for which test traces are made, or another
    run's directory, whose test traces are taken. RUN/scenarios/NAME becomes a run directory with the results."""
    test_traces: int = 3
    """Traces to make for the preset that --scenario names."""
    seeds: int = 1
    """Seeds of the network on each trace."""
    backend: BackendOption = "ns3"
    workers: int = 2
    """Processes; the figures do not depend on it."""

    @property
    def title(self) -> str:
        """The title of the command, with the back end."""
        return f"evaluate in {self.backend}"

    def options(self) -> dict[str, Any]:
        """Returns the options that say what is judged where; a run knows its scenario and its traces."""
        others = ("policy", "scenario", "test_traces")
        return {name: value for name, value in super().options().items() if name not in others}

    def execute(self) -> Result:
        """Plays what has not been played, writes evaluation.parquet and prints the table."""
        from py_agent.cli.judged import another_run, judged
        from py_agent.evaluate import evaluate
        from py_agent.jobs import LocalExecutor
        from py_agent.rundir import RunDirectory
        from sumo_mobility.base.files import replacing

        if min(self.seeds, self.test_traces) < 1:
            raise ConfigError(f"--seeds {self.seeds} --test-traces {self.test_traces}: must be 1 at least")
        run, executor = RunDirectory(self.run), LocalExecutor(self.workers)
        policies = judged(run, self.policies, self.policy, at_home=not self.scenario)
        names = tuple(map(str, policies))
        if self.scenario:
            other = another_run(run, self.scenario, self.test_traces, self.workers)
            return replace(self, run=other.path, policies=names, policy=(), scenario="").execute()
        scenario = run.scenario()
        factories = {policy.name: policy.factory for policy in policies}
        for factory in factories.values():
            factory(scenario)  # says what does not fit before anything is begun
        traces = {path.stem: run.trace(path) for path in run.trace_paths("test")}
        seeds = list(range(1000, 1000 + self.seeds))
        config = replace(self, policies=names).options()
        made = ("episodes/evaluate/*.h5", run.evaluation.name)
        with run.stage("evaluate", config, self.resume, made, free=("policies", "seeds")):
            played = evaluate(scenario, traces, factories, seeds, run.episodes("evaluate"), executor, self.backend)
            with replacing(run.evaluation) as temporary:
                played.per_episode.to_parquet(temporary, index=False)
        return summary_result(run)


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """{"sac": {"gamma": 0.5}} as the command line has it: {"sac.gamma": 0.5}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        below = {f".{key}": item for key, item in _flat(value).items()} if isinstance(value, dict) else {"": value}
        flat |= {name + key: item for key, item in below.items()}
    return flat


__all__ = ["Augment", "Collect", "Evaluate", "Train"]
