"""The commands of `mlb dataset`: what a dataset holds, whether it is sound, and other datasets and exports of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Group
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text
from tyro.conf import Positional

from cf_augment.exports import EXPORTS
from py_agent.cli.choice import choice_of
from py_agent.cli.command import Command, Result
from sumo_mobility.base.documents import printable
from sumo_mobility.base.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

    from cf_augment.dataset import Dataset, Episode
    from cf_augment.dataset.combine import Parts

    FormatOption = str
else:
    FormatOption = choice_of(
        EXPORTS, "The format of the file:", "; readers of D4RL load the dataset itself, untouched."
    )
_LONGEST_TEXT = 1000
_SHARES = "--share train=0.8,test=0.2"
_COLUMNS = 80
"""The width of a terminal in which the first rows can be read."""
_UNKNOWN = "–"


@dataclass(kw_only=True)
class DatasetInfo(Command):
    """Show what a dataset holds, and how it defines observation and reward."""

    file: Positional[Path]
    """The dataset: logged.h5 or augmented.h5 of a run."""

    def execute(self) -> Result:
        """Reads every episode."""
        from cf_augment.dataset import read_dataset

        return dataset_result(self.file, read_dataset(self.file))


@dataclass(kw_only=True)
class DatasetHead(Command):
    """Show the first rows of a dataset as a table: a row a transition."""

    file: Positional[Path]
    """The dataset: logged.h5 or augmented.h5 of a run."""
    rows: int = 10
    """How many rows. A terminal shows some columns; --json has all of those that `mlb dataset export` writes."""

    def execute(self) -> Result:
        """Reads as many episodes as the rows are in, and checks those only."""
        import pandas as pd

        from cf_augment.dataset.storage.read import StoredEpisodes
        from cf_augment.exports.table import episode_frame

        if self.rows < 1:
            raise ConfigError(f"mlb dataset head: --rows {self.rows}", "1 or more")
        episodes = StoredEpisodes(self.file)
        frames: list[pd.DataFrame] = []
        for index, episode in enumerate(episodes):
            frames.append(episode_frame(episodes.scenario, index, episode))
            if sum(map(len, frames)) >= self.rows:
                break
        frame = pd.concat(frames, ignore_index=True).head(self.rows)
        data = frame.astype(object).where(frame.notna(), None)
        return Result(data.to_dict("records"), _head_table(frame))


@dataclass(kw_only=True)
class DatasetValidate(Command):
    """Check datasets: every episode is read, and what follows from something else is computed again."""

    files: Positional[tuple[Path, ...]]
    """Any number of datasets. The exit code is 1 if something is wrong with one of them."""

    def execute(self) -> Result:
        """Checks each file, and names the first fault of each."""
        from cf_augment.dataset.validation import CHECKED, Validation

        if not self.files:
            raise ConfigError("mlb dataset validate: no dataset is named", "mlb dataset validate FILE ...")
        table = Table(Column("dataset", overflow="fold"), "valid", "episodes", "transitions", "traces", "SHA-256")
        lines: list[str] = []
        data: list[dict[str, object]] = []
        for file in self.files:
            try:
                found = Validation.of(file)
            except DataError as error:
                table.add_row(escape(str(file)), "[bold]no[/bold]", "", "", "", "")
                lines += [error.message, f"  cure: {error.cure}"]
                data.append({"file": str(file), "valid": False, "fault": error.message, "cure": error.cure})
                continue
            counts = (found.episodes, found.transitions, found.traces, found.digests)
            table.add_row(escape(str(file)), "yes", *map(str, counts))
            if found.reworded:
                words = ", ".join(found.reworded)
                lines.append(f"{file}: the words of {words} are not those of this version; the values agree")
            data.append({"file": str(file), "valid": True, **asdict(found)})
        lines += ["Checked:", *(f"- {what}" for what in CHECKED)]
        ok = all(row["valid"] for row in data)
        return Result({"files": data, "checked": list(CHECKED)}, Group(table, Text("\n".join(lines))), ok)


@dataclass(kw_only=True)
class DatasetMerge(Command):
    """Make one dataset of several of one scenario, for example of runs that differ in their seeds."""

    files: Positional[tuple[Path, ...]]
    """Two datasets or more. Traces of later ones get other names where those are taken."""
    out: Path
    """The file to write (.h5)."""

    def execute(self) -> Result:
        """Writes the file, and shows what it holds."""
        from cf_augment.dataset import read_dataset
        from cf_augment.dataset.combine import merge_datasets

        if self.out.suffix != ".h5":
            raise ConfigError(f"mlb dataset merge: --out {self.out} does not end in .h5", f"--out {self.out.stem}.h5")
        merge_datasets(self.files, self.out)
        return dataset_result(self.out, read_dataset(self.out))


@dataclass(kw_only=True)
class DatasetSplit(Command):
    """Make several datasets of one: a part for each value of a column, or parts of given shares."""

    file: Positional[Path]
    """The dataset: logged.h5 or augmented.h5 of a run."""
    by: Literal["policy", "context", "provenance", "action_source", "trace", "seed"] | None = None
    """The column by which to split, which names the parts. Counterfactual episodes then do not keep to the logged ones
    that they derive from."""
    share: str | None = None
    """Shares of the episodes that sum to 1, with names or without: train=0.8,test=0.2 or 0.8,0.2, whose parts are 1 and
    2. Episodes that derive from one logged trace come into one part."""
    seed: int = 0
    """The seed of the draw, with --share."""
    out: Path
    """The directory to write, with a file (.h5) for each part; it must not be there."""

    def execute(self) -> Result:
        """Writes the parts."""
        from cf_augment.dataset.combine import write_parts
        from cf_augment.dataset.storage.read import StoredEpisodes

        if (self.by is None) == (self.share is None):
            raise ConfigError("mlb dataset split: needs one of --by and --share", f"--by provenance, or {_SHARES}")
        episodes = StoredEpisodes(self.file)
        parts = self._parts(episodes)
        files = write_parts(self.file, parts, self.out)
        table = Table(Column("part", overflow="fold"), "episodes", Column("file", overflow="fold"))
        for name, chosen in parts.items():
            table.add_row(escape(printable(name)), str(len(chosen)), escape(str(files[name])))
        data = [{"part": name, "episodes": len(parts[name]), "file": str(file)} for name, file in files.items()]
        return Result(data, table)

    def _parts(self, episodes: Sequence[Episode]) -> Parts:
        from cf_augment.dataset.combine import parts_by, parts_by_share
        from cf_augment.exports.table import origin

        if self.share is not None:
            return parts_by_share(episodes, _shares(self.share), self.seed)
        column = str(self.by)
        return parts_by(episodes, lambda episode: origin(episode)[column])


@dataclass(kw_only=True)
class DatasetCard(Command):
    """Write the card of a dataset: where it is from, what its columns are, how it is distributed, what it lacks."""

    file: Positional[Path]
    """The dataset: logged.h5 or augmented.h5 of a run."""
    out: Path
    """The file to write: .html as a page of its own, or .md as Hugging Face reads it, with a directory of pictures
    beside it."""

    def execute(self) -> Result:
        """Writes the card."""
        from py_agent.report.dataset_card import write_card

        total = write_card(self.out, self.file).total
        table = Table(Column("card", overflow="fold"), "episodes", "transitions")
        table.add_row(escape(str(self.out)), str(total.episodes), str(total.transitions))
        return Result({"card": str(self.out), "episodes": total.episodes, "transitions": total.transitions}, table)


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
    import numpy as np

    from cf_augment.dataset import read_definitions

    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for episode in dataset.episodes:
        origin = episode.metadata.provenance
        means = float(episode.rewards.mean()), float(np.isfinite(episode.behavior_log_probs).mean())
        found.setdefault((origin.kind, origin.action_source), []).append(means)
    table = Table("rows", "actions", "episodes", "mean reward", "with log-probabilities")
    data = []
    for (kind, source), episodes in found.items():
        mean, known = (sum(of) / len(episodes) for of in zip(*episodes, strict=True))
        table.add_row(kind, source, str(len(episodes)), f"{mean:.3f}", f"{100 * known:.3g} %")
        row = {"kind": kind, "action_source": source, "episodes": len(episodes), "mean_reward": mean}
        data.append(row | {"with_log_probs": known})
    definitions = {name: printable(text, _LONGEST_TEXT) for name, text in asdict(read_definitions(path)).items()}
    lines = [f"{dataset.transitions} transitions in {path}", *(f"{name}: {text}" for name, text in definitions.items())]
    result = {"path": str(path), "transitions": dataset.transitions, **definitions, "episodes": data}
    return Result(result, Group(table, Text("\n".join(lines))))


def _shares(text: str) -> dict[str, float]:
    """Reads --share: the share of each part by its name, or by its number from 1."""
    shares: dict[str, float] = {}
    for number, word in zip(count(1), text.split(",")):
        name, _, share = word.rpartition("=")
        name = name.strip() or str(number)
        try:
            shares[name] = float(share)
        except ValueError:
            message = f"mlb dataset split: --share {printable(text)}: '{printable(share)}' is no number"
            raise ConfigError(message, _SHARES) from None
    if len(shares) < text.count(",") + 1:
        raise ConfigError(f"mlb dataset split: --share {printable(text)}: two parts have one name", _SHARES)
    return shares


def _head_table(frame: pd.DataFrame) -> Table:
    """What matters most of a frame of `cf_augment.exports.table` and is known, as many columns as fit into _COLUMNS."""
    loads = 100 * frame.filter(regex="^prb_utilization_")
    columns: dict[str, Iterable[object]] = {
        "episode": frame["episode"],
        "step": frame["step"],
        "policy": frame["policy"].map(lambda name: printable(name, 16)),
        "rows": frame["provenance"],
        "reward": _texts(frame["reward"], 3),
        "load\nstd": _texts(frame["load_std"], 3),
        "hand-\novers": _texts(frame["handovers"], 0),
        "PRBs of each\ncell in use, %": [" ".join(f"{text:>3}" for text in _texts(row, 0)) for row in loads.to_numpy()],
        "p5 throughput,\nkbit/s": _texts(frame["p5_throughput_bps"] / 1e3, 0),
        "largest\n|CIO|, dB": _texts(frame.filter(regex="^cio_").abs().max(axis=1), 1),
        "Jain": _texts(frame["jain"], 2),
    }
    table, texts, left = Table(box=None, padding=(0, 2, 0, 0)), [], _COLUMNS
    for heading, values in columns.items():
        column = [str(value) for value in values]
        if not set("".join(column)) - {_UNKNOWN, " "}:
            continue
        width = 2 + max(map(len, [*heading.split("\n"), *column]))
        if width <= left:
            left -= width
            table.add_column(heading, justify="left" if heading in ("policy", "rows") else "right", no_wrap=True)
            texts.append([escape(text) for text in column])
    for row in zip(*texts, strict=True):
        table.add_row(*row)
    table.caption = f"from {frame.shape[1]} columns, which --json and `mlb dataset export` have in full"
    table.caption_justify = "left"
    return table


def _texts(values: Iterable[float], digits: int) -> list[str]:
    return [_UNKNOWN if value != value else f"{value:.{digits}f}" for value in values]
