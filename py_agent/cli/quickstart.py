"""`mlb quickstart`: the main job, every stage the real thing at small size."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.text import Text

from py_agent.algorithms.config import TrainConfig
from py_agent.algorithms.recipes import PHYSICS
from py_agent.cli.command import Result, StageCommand
from py_agent.cli.mobility import Mobility
from py_agent.cli.report import Report
from py_agent.cli.stages import Augment, Collect, Evaluate, Train
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.progress import note

_LOGGED: dict[str, Any] = {"sac": {"gradient_steps": 700}}
"""Plain SAC on the logged data."""
_COUNTERFACTUAL: dict[str, Any] = PHYSICS | {"sac": PHYSICS["sac"] | {"gradient_steps": 1000, "hidden": 48}}
"""On counterfactual data too, SAC that follows the physics."""
_JUDGED = ("static", "integral", "planner", "sac", "sac-cf")
"""Few steps for few data, and no random offsets to be judged: the whole job is to take minutes."""


@dataclass(kw_only=True)
class Quickstart(StageCommand):
    """Run every stage: mobility, collect, augment, train (plain SAC on logged data; then on counterfactual data too,
    following the physics), evaluate (in the engine on many traces, in ns-3 on a few), report."""

    preset: str = "helsinki-quick-v0"
    """Id of a preset, or path of a .yaml file."""
    train_traces: int = 3
    """Traces to collect data on."""
    test_traces: int = 3
    """Traces to judge policies on in ns-3."""
    engine_traces: int = 24
    """Traces to judge policies on in the engine; results are in RUN/scenarios/PRESET."""
    seed: int = 0
    """Seed of everything."""

    def execute(self) -> Result:
        """Runs the stages in order; what is done already is kept."""
        run, resume, seed = self.run, self.resume, self.seed
        plain, physical = (
            TrainConfig.of("sac").model_validate({"seed": seed, **training})
            for training in (_LOGGED, _with_physics(self.preset))
        )
        stages: list[StageCommand] = [
            Mobility(
                run=run,
                resume=resume,
                preset=self.preset,
                train_traces=self.train_traces,
                test_traces=self.test_traces,
                seed=seed,
            ),
            Collect(run=run, resume=resume, seed=seed),
            Augment(run=run, resume=resume, replays_per_trace=4, seed=seed),
            Train(run=run, resume=resume, data="logged", training=plain),
            Train(run=run, resume=resume, data="both", training=physical),
            Evaluate(
                run=run,
                resume=resume,
                policies=_JUDGED,
                scenario=self.preset,
                test_traces=self.engine_traces,
                backend="engine",
            ),
            Evaluate(run=run, resume=resume, policies=_JUDGED),
            Report(run=run, replay=("static", "sac-cf")),
        ]
        console = Console(stderr=True)
        started = time.monotonic()
        seconds: dict[str, float] = {}
        result = None
        for number, stage in enumerate(stages, 1):
            name = type(stage).__name__.lower()
            console.rule(f"{number}/{len(stages)} {stage.title}", align="left")
            before = time.monotonic()
            result = stage.execute()
            seconds[name] = round(seconds.get(name, 0) + time.monotonic() - before, 1)
            if stage is not stages[-1]:
                console.print(result.view)
        assert result is not None
        total = round(time.monotonic() - started, 1)
        spent = Text(f"{total / 60:.1f} min: " + ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items()))
        sys.stderr.flush()
        return Result({**result.data, "seconds": {**seconds, "total": total}}, Group(result.view, spent))


def _with_physics(name: str) -> dict[str, Any]:
    """Hyper-parameters of the training on counterfactual data; those of plain SAC where the preset has no physics."""
    from ns3_scenarios.scenario import Preset, Scenario
    from py_agent.algorithms.networks import Residual
    from py_agent.algorithms.soft_reward import SoftReward
    from sumo_mobility.pipeline import load_map

    preset = Preset.load(name)
    scenario = Scenario.place(preset, preset.sites.place(load_map(preset.mobility.map)))
    try:
        SoftReward(scenario)
        Residual.of(scenario)
    except ConfigError as error:
        note(f"sac-cf will be plain SAC; {error.message}")
        return _LOGGED
    return _COUNTERFACTUAL
