"""Files of trained weights: named tensors, and beside them a JSON record of what trained them."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from py_agent.algorithms.networks import Layout
from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import DataError
from sumo_mobility.base.files import replacing

RECORD = "algorithm.json"
"""Name of the record, which lies in the checkpoints' directory."""
FUTURE = "future"
"""Name of what the policy's future has learned, which lies there too, if it learns."""
CURE = "train the policy anew with 'mlb train'"


class CheckpointRecord(Contract):
    """The algorithm that trained the checkpoints of a directory, with its configuration."""

    algorithm: str
    version: int
    """Version of the algorithm's checkpoints."""
    config: dict[str, Any]
    """Hyper-parameters of the algorithm."""
    layout: Layout
    """Form of the observations and actions."""

    @classmethod
    def beside(cls, checkpoint: Path) -> Self:
        """Reads the record of a checkpoint.

        Raises:
            DataError, ConfigError: it is missing, damaged or foreign.
        """
        path = checkpoint.parent / RECORD
        if not path.is_file():
            raise DataError(f"{checkpoint}: no checkpoint of an algorithm, for there is no {RECORD} beside it", CURE)
        return cls.read_json(path)

    def check_version(self, checkpoint: Path, algorithm: str, version: int) -> None:
        """Refuses a checkpoint of another algorithm, or of another version of it.

        Raises:
            DataError: names both.
        """
        found, expected = f"{self.algorithm}, version {self.version}", f"{algorithm}, version {version}"
        if found != expected:
            raise DataError(f"{checkpoint}: is a checkpoint of algorithm {found}, not of {expected}", CURE)


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Writes tensors atomically; the same tensors in the same order give the same bytes."""
    buffer = io.BytesIO()  # torch names the archive's members after the file, which is a random name here
    torch.save(tensors, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Reads what `save_tensors` wrote, without executing anything.

    Raises:
        DataError: the file is missing, damaged or foreign.
    """
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such checkpoint", CURE) from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"{path}: not a readable checkpoint ({error})", CURE) from None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise DataError(f"{path}: not a checkpoint of an algorithm", CURE)
    return tensors


def below(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The entries whose key starts with `name` and a dot, without it."""
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
