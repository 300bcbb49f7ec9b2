"""`mlb dataset ope`: what logged data say of policies that did not collect them, beside the engine's exact replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Group
from rich.table import Column, Table
from rich.text import Text
from tyro.conf import Positional, arg

from py_agent.cli.choice import listed
from py_agent.cli.command import Command, Result
from py_agent.policies import POLICIES
from sumo_mobility.base.errors import ConfigError

if TYPE_CHECKING:
    from py_agent.ope.judge import Judgement, OffPolicy
    from py_agent.statistics import Estimate

EvaluatedOption = Annotated[
    tuple[str, ...],
    arg(
        help=f"Policies to evaluate: {listed(POLICIES)}, with parameters if need be (noise:std=0.2,around=integral); "
        "what was trained in the run that the dataset lies in by its name, and NAME=FILE for a checkpoint. One without "
        "a density, such as a rule, is not judged by importance weights; noise around it is."
    ),
]


@dataclass(kw_only=True)
class DatasetOpe(Command):
    """Estimate from logged data alone what policies are worth, and set what the engine's exact replay says beside it.

    By importance weights of whole episodes (IS, WIS) and of each decision (PDWIS), by a fitted model (FQE), and by both
    (DR, WDR). Values are discounted mean rewards of a step with 95 % intervals over traces."""

    file: Positional[Path]
    """The dataset: logged.h5 of a run, whose behaviour policies have densities."""
    policies: EvaluatedOption
    discount: float = 0.99
    """gamma, above 0 and at most 1."""
    fqe_steps: int = 5000
    """Gradient steps of FQE for each policy; 0 leaves out FQE, DR and WDR."""
    seed: int = 0
    """Seed of FQE and of the intervals."""

    def execute(self) -> Result:
        """Reads the dataset, replays its traces, fits and weighs."""
        from cf_augment.dataset import read_dataset
        from py_agent.cli.judged import judged
        from py_agent.ope.judge import off_policy
        from py_agent.rundir import RunDirectory

        if not self.policies:
            raise ConfigError("mlb dataset ope: no policy is named", "--policies noise:std=0.2,around=integral")
        policies = judged(RunDirectory(self.file.parent), self.policies, (), at_home=True)
        factories = {policy.name: policy.factory for policy in policies}
        found = off_policy(read_dataset(self.file), factories, self.discount, self.fqe_steps, self.seed)
        return Result(self._data(found), _view(found))

    def _data(self, found: OffPolicy) -> dict[str, Any]:
        return {
            "file": str(self.file),
            "discount": self.discount,
            "fqe_steps": self.fqe_steps,
            "seed": self.seed,
            "episodes": found.episodes,
            "traces": found.traces,
            "logged": _numbers(found.logged),
            "logged_replay": _numbers(found.logged_replay),
            "policies": [
                {
                    "policy": each.policy,
                    "replay": _numbers(each.replay),
                    "estimates": {name: _numbers(value) for name, value in each.estimates.items()},
                    "refused": dict(each.refused),
                    "weighted_episodes": each.weighted_episodes,
                    "effective_sample_size": _number(each.effective_sample_size),
                    "effective_sample_size_per_step": _number(each.effective_sample_size_per_step),
                }
                for each in found.judgements
            ],
        }


def _view(found: OffPolicy) -> Group:
    done = {"the data": found.logged, "replay": found.logged_replay}
    parts = _section("what was done", done, found.logged_replay, show_header=True)
    for each in found.judgements:
        parts += _section(each.policy, {"replay": each.replay, **each.estimates}, each.replay)
    parts.append(Text(f"{found.episodes} logged episodes on {found.traces} traces; 95 % intervals over the traces."))
    return Group(*parts, *(Text(line) for each in found.judgements for line in _notes(each)))


def _section(
    title: str, rows: Mapping[str, Estimate], truth: Estimate, show_header: bool = False
) -> list[Text | Table]:
    """A title, which has the whole width for itself, and rows in columns that are as wide in all sections."""
    columns = Column("by", width=8), Column("mean reward a step", width=36), "off the replay"
    table = Table(*columns, box=None, padding=(0, 0, 0, 2), show_header=show_header)
    for name, value in rows.items():
        table.add_row(name, _text(value), "" if value is truth else _off(value, truth))
    return [Text(title, style="bold"), table]


def _notes(each: Judgement) -> list[str]:
    lines = []
    if each.weighted_episodes:
        lines.append(
            f"{each.policy}: the weights leave {each.effective_sample_size:.1f} of {each.weighted_episodes} episodes, "
            f"and {each.effective_sample_size_per_step:.1f} up to a step on average."
        )
    for why in dict.fromkeys(each.refused.values()):
        names = ", ".join(name for name, reason in each.refused.items() if reason == why)
        lines.append(f"{each.policy}: no {names}: {why}.")
    return lines


def _text(value: Estimate) -> str:
    interval = f" [{value.low:.4g}, {value.high:.4g}]" if isfinite(value.low) else ""
    return f"{value.value:.4g}{interval}".replace("[", r"\[")


def _off(value: Estimate, truth: Estimate) -> str:
    return f"{value.value - truth.value:+.2g}"


def _numbers(value: Estimate) -> dict[str, float | None]:
    return {name: _number(number) for name, number in value._asdict().items()}


def _number(value: float) -> float | None:
    """A number as JSON can have it; none that is infinite or unknown."""
    return value if isfinite(value) else None
