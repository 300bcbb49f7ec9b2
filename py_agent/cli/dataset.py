"""The commands of `mlb dataset`: what a dataset holds, and exports of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text
from tyro.conf import Positional

from cf_augment.exports import EXPORTS
from py_agent.cli.choice import choice_of
from py_agent.cli.command import Command, Result
from sumo_mobility.base.documents import printable
from sumo_mobility.base.errors import ConfigError

if TYPE_CHECKING:
    from cf_augment.dataset import Dataset

    FormatOption = str
else:
    FormatOption = choice_of(
        EXPORTS, "The format of the file:", "; readers of D4RL load the dataset itself, untouched."
    )
_LONGEST_TEXT = 1000


@dataclass(kw_only=True)
class DatasetInfo(Command):
    """Check a dataset, and show what it holds."""

    file: Positional[Path]
    """The dataset: logged.h5 or augmented.h5 of a run."""

    def execute(self) -> Result:
        """Reads every episode."""
        from cf_augment.dataset import read_dataset

        return dataset_result(self.file, read_dataset(self.file))


@dataclass(kw_only=True)
class DatasetExport(Command):
    """Write a dataset for another tool."""

    file: Positional[Path]
    """The dataset: logged.h5 or augmented.h5 of a run."""
    format: FormatOption
    out: Path
    """The file or directory to write."""

    def execute(self) -> Result:
        """Writes the file or directory."""
        from cf_augment.dataset import read_dataset

        export = EXPORTS[self.format].load()()
        if not self.out.name.endswith(export.suffix):
            message = f"mlb dataset export: --out {self.out} does not end in {export.suffix}"
            raise ConfigError(message, f"--out {self.out.stem}{export.suffix}")
        if self.out.resolve() == self.file.resolve():
            raise ConfigError(f"mlb dataset export: --out {self.out} is the dataset itself", "choose another --out")
        dataset = read_dataset(self.file)
        export.write(dataset, self.out)
        table = Table("file", "format", "transitions")
        table.add_row(str(self.out), self.format, str(dataset.transitions))
        return Result({"file": str(self.out), "format": self.format, "transitions": dataset.transitions}, table)


def dataset_result(path: Path, dataset: Dataset) -> Result:
    """Returns what a dataset holds, by provenance and by what chose the actions, and what its file says of columns."""
    from cf_augment.dataset import read_definitions

    counts: dict[tuple[str, str], list[float]] = {}
    for episode in dataset.episodes:
        origin = episode.metadata.provenance
        counts.setdefault((origin.kind, origin.action_source), []).append(float(episode.rewards.mean()))
    table = Table("rows", "actions", "episodes", "mean reward")
    data = []
    for (kind, source), rewards in counts.items():
        mean = sum(rewards) / len(rewards)
        table.add_row(kind, source, str(len(rewards)), f"{mean:.3f}")
        data.append({"kind": kind, "action_source": source, "episodes": len(rewards), "mean_reward": mean})
    definitions = {name: printable(text, _LONGEST_TEXT) for name, text in asdict(read_definitions(path)).items()}
    lines = [f"{dataset.transitions} transitions in {path}", *(f"{name}: {text}" for name, text in definitions.items())]
    result = {"path": str(path), "transitions": dataset.transitions, **definitions, "episodes": data}
    return Result(result, Group(table, Text("\n".join(lines))))
