"""`mlb collect`, `augment`, `train` and `evaluate`: the stages between the traces and the report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from py_agent.cli.command import Result, StageCommand
from py_agent.cli.summary import summary_result
from sumo_mobility.base.contract import nearest
from sumo_mobility.base.errors import ConfigError

if TYPE_CHECKING:
    from cf_augment.dataset import Dataset
    from py_agent.policies import PolicyFactory
    from py_agent.rundir import RunDirectory

BackendOption = Literal["ns3", "engine", "emulator"]


@dataclass(kw_only=True)
class Collect(StageCommand):
    """Log episodes of behaviour policies in ns-3, on the training traces."""

    policies: tuple[str, ...] = ("static", "random", "integral")
    """Behaviour policies; each plays every training trace."""
    seed: int = 0
    """Seed of the network and of the policies."""
    backend: BackendOption = "ns3"
    """ns3 is the LTE program; engine is the analytic engine; emulator runs TTI by TTI, without ns-3."""
    workers: int = 2
    """Processes; the data do not depend on it."""
    traces: Path | None = None
    """Directory for the events and downlink DCIs of every episode that is played, as Parquet; ns3 only."""

    def execute(self) -> Result:
        """Plays what has not been played and writes logged.h5."""
        from cf_augment.dataset import read_dataset, write_dataset
        from ns3_scenarios.bridge.traces import Traces
        from py_agent.collect import collect
        from py_agent.rundir import RunDirectory

        run = RunDirectory(self.run)
        scenario = run.scenario()
        policies = _rules(self.policies)
        run.begin("collect", self.options(), self.resume)
        if not run.logged.is_file():
            traces = {path.stem: run.trace(path) for path in run.trace_paths("train")}
            episodes = collect(
                scenario,
                traces,
                policies,
                [self.seed],
                run.episodes("collect"),
                self.workers,
                self.backend,
                traces_to=Traces(self.traces) if self.traces else None,
            )
            write_dataset(run.logged, scenario, episodes)
        return _describe(run.logged, read_dataset(run.logged))


@dataclass(kw_only=True)
class Augment(StageCommand):
    """Make counterfactual data: logged traces under other actions, and traces of other contexts."""

    replays_per_trace: int = 8
    """Episodes in which a logged trace is re-run in the engine under other CIOs."""
    generated_traces: int = 12
    """Traces that the causal model draws under interventions on the context; 0 leaves the model out."""
    seed: int = 0
    """Seed of the model's training, the interventions and the CIOs."""

    def execute(self) -> Result:
        """Fits the model, draws, replays and writes augmented.h5."""
        from cf_augment.augment import augment
        from cf_augment.dataset import read_dataset, write_dataset
        from py_agent.rundir import RunDirectory
        from sumo_mobility.pipeline import load_map

        run = RunDirectory(self.run)
        scenario = run.scenario()
        logged = read_dataset(run.require(run.logged, "collect"))
        run.begin("augment", self.options(), self.resume)
        if not run.augmented.is_file():
            street_map = load_map(scenario.mobility.map)
            episodes = augment(logged, street_map, self.seed, self.replays_per_trace, self.generated_traces, run.model)
            write_dataset(run.augmented, scenario, episodes)
        return _describe(run.augmented, read_dataset(run.augmented))


@dataclass(kw_only=True)
class Train(StageCommand):
    """Train Soft Actor-Critic twice: on the logged data, and on logged and counterfactual data."""

    gradient_steps: int = 2000
    """Updates of each training."""
    counterfactual_share: float = 0.5
    """Share of each batch that is counterfactual."""
    seed: int = 0
    """Seed of weights, batches and noise."""

    def execute(self) -> Result:
        """Trains what has not been trained."""
        from cf_augment.dataset import read_dataset
        from py_agent.algorithms.sac import SacConfig
        from py_agent.rundir import RunDirectory
        from py_agent.train import TrainConfig, train

        run = RunDirectory(self.run)
        logged = read_dataset(run.require(run.logged, "collect"))
        augmented = read_dataset(run.require(run.augmented, "augment"))
        run.begin("train", self.options(), self.resume)
        config = TrainConfig(
            sac=SacConfig(gradient_steps=self.gradient_steps),
            seed=self.seed,
            counterfactual_share=self.counterfactual_share,
        )
        table, data = Table("policy", "gradient steps", "checkpoint"), []
        for name, counterfactual in (("sac", None), ("sac-cf", augmented)):
            checkpoint = train(config, logged, counterfactual, run.training / name, resume=True)
            table.add_row(name, str(self.gradient_steps), str(checkpoint))
            data.append({"policy": name, "gradient_steps": self.gradient_steps, "checkpoint": str(checkpoint)})
        return Result(data, table)


@dataclass(kw_only=True)
class Evaluate(StageCommand):
    """Judge policies in ns-3 on the test traces, which no training saw; paired by trace and seed."""

    policies: tuple[str, ...] = ("static", "random", "integral", "planner", "sac", "sac-cf")
    """Policies; each plays every test trace with every seed."""
    seeds: int = 1
    """Seeds of the network on each trace."""
    backend: BackendOption = "ns3"
    """ns3 is the LTE program; engine is the analytic engine; emulator runs TTI by TTI, without ns-3."""
    workers: int = 2
    """Processes; the figures do not depend on it."""

    def execute(self) -> Result:
        """Plays what has not been played, writes evaluation.parquet and prints the table."""
        from py_agent.evaluate import evaluate
        from py_agent.rundir import RunDirectory
        from sumo_mobility.base.files import replacing

        run = RunDirectory(self.run)
        scenario = run.scenario()
        policies = _policies(run, self.policies)
        run.begin("evaluate", self.options(), self.resume)
        traces = {path.stem: run.trace(path) for path in run.trace_paths("test")}
        seeds = list(range(1000, 1000 + self.seeds))
        evaluation = evaluate(scenario, traces, policies, seeds, run.episodes("evaluate"), self.workers, self.backend)
        with replacing(run.evaluation) as temporary:
            evaluation.per_episode.to_parquet(temporary, index=False)
        return summary_result(run)


def _rules(names: tuple[str, ...]) -> dict[str, PolicyFactory]:
    from py_agent.policies import POLICIES

    for name in names:
        if name not in POLICIES:
            raise ConfigError(f"--policies: unknown policy '{name}'{nearest(name, list(POLICIES))}")
    return {name: POLICIES[name] for name in names}


def _policies(run: RunDirectory, names: tuple[str, ...]) -> dict[str, PolicyFactory]:
    """Policies by name: rules, the planner, and what was trained in this run."""
    from py_agent.algorithms.sac import SacPolicy
    from py_agent.policies import POLICIES
    from py_agent.policies.planner import GreedyPlanner
    from py_agent.train import last_checkpoint

    known: dict[str, PolicyFactory] = {**POLICIES, "planner": GreedyPlanner}
    trained = ("sac", "sac-cf")
    chosen: dict[str, PolicyFactory] = {}
    for name in names:
        if name in trained:
            checkpoint = run.require(last_checkpoint(run.training / name), "train")
            chosen[name] = partial(SacPolicy, checkpoint=checkpoint)
        elif name in known:
            chosen[name] = known[name]
        else:
            raise ConfigError(f"--policies: unknown policy '{name}'{nearest(name, [*known, *trained])}")
    return chosen


def _describe(path: Path, dataset: Dataset) -> Result:
    """What a dataset holds, by provenance and policy."""
    counts: dict[tuple[str, str], list[float]] = {}
    for episode in dataset.episodes:
        meta = episode.metadata
        counts.setdefault((meta.provenance.kind, meta.provenance.action_source), []).append(
            float(episode.rewards.mean())
        )
    table = Table("rows", "actions", "episodes", "mean reward")
    data = []
    for (kind, source), rewards in counts.items():
        mean = sum(rewards) / len(rewards)
        table.add_row(kind, source, str(len(rewards)), f"{mean:.3f}")
        data.append({"kind": kind, "action_source": source, "episodes": len(rewards), "mean_reward": mean})
    total = Text(f"{len(dataset.rewards)} transitions in {path}")
    return Result({"path": str(path), "transitions": len(dataset.rewards), "episodes": data}, Group(table, total))


__all__ = ["Augment", "Collect", "Evaluate", "Train"]
