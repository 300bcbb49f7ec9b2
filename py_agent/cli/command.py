"""The base of all commands of `mlb`: options, a result for people and for machines, an exit code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType

if TYPE_CHECKING:
    from py_agent.rundir import Options


@dataclass(frozen=True)
class Result:
    """The result of a command.

    Attributes:
        data: The result for machines, which --json prints.
        view: The result for people; a str is printed as it is, because it may become a file.
        ok: False makes the exit code 1.
    """

    data: Any
    view: RenderableType
    ok: bool = True


@dataclass(kw_only=True)
class Command(ABC):
    """A command of `mlb`."""

    json: bool = False
    """Print the result as JSON."""

    @abstractmethod
    def execute(self) -> Result:
        """Does the command's one job."""


@dataclass(kw_only=True)
class StageCommand(Command):
    """A stage of the main job; it works in a run directory."""

    run: Path = Path("runs/default")
    """The run directory."""
    resume: bool = False
    """Go on with a stage that was begun before, keeping what is done."""

    @classmethod
    def words(cls) -> list[str]:
        """Returns the words after `mlb` that call the stage."""
        return [cls.__name__.lower()]

    @property
    def title(self) -> str:
        """The title of the command, for people."""
        return type(self).__name__.lower()

    def options(self) -> dict[str, Any]:
        """The options that define the stage's result."""
        plain = {key: _plain(value) for key, value in asdict(self).items()}
        for key in ("json", "run", "resume", "workers", "event_log", "overpass_url"):
            plain.pop(key, None)
        return plain | {key: _resolved(plain[key]) for key in _NAMES_OR_FILES if key in plain}

    @classmethod
    def defaults(cls, config: Options) -> dict[str, Any]:
        """Returns the options' defaults; `config` has the options on which the defaults of others depend."""
        return cls().options()


_NAMES_OR_FILES = ("preset", "map")
"""Options that take the name of something that is shipped, or a file."""


def _plain(value: Any) -> Any:
    """Returns a value as a record holds it; paths are absolute, so that the command can be run again anywhere."""
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return str(value.resolve()) if isinstance(value, Path) else value


def _resolved(name: str) -> str:
    return str(Path(name).resolve()) if Path(name).is_file() else name


def show(result: Result, as_json: bool) -> None:
    """Prints a result on stdout."""
    console = Console()
    if as_json:
        console.print_json(data=result.data)
    elif isinstance(result.view, str):
        print(result.view, end="" if result.view.endswith("\n") else "\n")
    else:
        console.print(result.view)
