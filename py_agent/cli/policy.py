"""`mlb policy`: what a trained policy is, and the policy as a file for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.text import Text
from tyro.conf import Positional

from py_agent.cli.command import Command, Result
from sumo_mobility.base.documents import yaml_text
from sumo_mobility.base.errors import StorageError


@dataclass(kw_only=True)
class PolicyCommand(Command):
    """A command about a training of a run."""

    name: Positional[str]
    """The name of the training, as `mlb train` printed it."""
    run: Path = Path("runs/default")
    """The run directory."""

    def checkpoint(self) -> Path:
        """Returns the last checkpoint of the training.

        Raises:
            DataError: there is none.
        """
        from py_agent.rundir import RunDirectory, check_name, last_checkpoint

        check_name(self.name)
        run = RunDirectory(self.run)
        return run.require(last_checkpoint(run.training / self.name), "train")


@dataclass(kw_only=True)
class PolicyShow(PolicyCommand):
    """Print the card of a policy: what it sees, what its actions mean, what it was trained for."""

    def execute(self) -> Result:
        """Returns the card."""
        from py_agent.algorithms.deploy import policy_card
        from py_agent.rundir import RunDirectory

        card = policy_card(RunDirectory(self.run).scenario(), self.checkpoint())
        return Result(card, yaml_text(card))


@dataclass(kw_only=True)
class PolicyExport(PolicyCommand):
    """Write a policy as TorchScript, with its normaliser and its card, for programs that have PyTorch alone."""

    out: Path
    """The file to be written, for example policy.ts."""

    def execute(self) -> Result:
        """Writes the file, and checks that it acts as the policy does."""
        from py_agent.algorithms.deploy import export_policy
        from py_agent.rundir import RunDirectory

        if self.out.exists():
            raise StorageError(f"{self.out}: exists", "remove it, or choose another --out")
        card = export_policy(RunDirectory(self.run).scenario(), self.checkpoint(), self.out)
        text = f"{self.out}: torch.jit.load() gives a function of observations (N, {card['observation']['size']})"
        return Result({"file": str(self.out), **card}, Text(text))
