"""What a check of a dataset file came to: readers refuse what is wrong, this says what they looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from cf_augment.dataset.definitions import Definitions
from cf_augment.dataset.storage import hdf5, read_dataset, read_definitions
from cf_augment.dataset.storage.write import FORMAT

CHECKED = (
    "types, shapes and storage of all arrays, and the metadata of every episode",
    "the SHA-256 of each trace that was written with one",
    "KPIs and events: finite, and of cells and UEs that exist; NaN in measured episodes alone, where nobody measured",
    "positions: those of the trace at that time; only measured episodes may be without one",
    "times, observations, next observations and rewards: what follows from the KPIs and the scenario",
    "infos: what the metadata of each episode says, in every row",
    "actions: finite, within -1 to 1; their log-densities: finite, or NaN where there is none",
)
"""What every reader of a dataset file checks."""


@dataclass(frozen=True)
class Validation:
    """What was found in a dataset file in which nothing is wrong.

    Attributes:
        scenario: Id of its scenario.
        episodes: Number of its episodes.
        transitions: Number of its transitions.
        traces: Number of its distinct traces.
        digests: Number of those traces that were written with a SHA-256, as all but those of older files were.
        reworded: The definitions (observation, reward, reward_unit) that the file words otherwise than the scenario
            does today; what they define was computed again and agrees.
    """

    scenario: str
    episodes: int
    transitions: int
    traces: int
    digests: int
    reworded: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> Self:
        """Reads every episode of a file, and checks all that CHECKED says.

        Raises:
            DataError: names the first fault: the file, the field, and what mends it.
        """
        dataset = read_dataset(path)
        traces, digests = _digests(path)
        today = asdict(Definitions.of(dataset.scenario))
        told = asdict(read_definitions(path))
        reworded = tuple(name for name, text in told.items() if text != today[name])
        return cls(dataset.scenario.id, len(dataset.steps), dataset.transitions, traces, digests, reworded)


def _digests(path: Path) -> tuple[int, int]:
    """The number of traces, and of those that were written with a digest."""
    with hdf5.opening(path, FORMAT) as file:
        traces = hdf5.group(file, "traces")
        digests = [hdf5.text(hdf5.group(traces, name), "sha256", absent="") for name in traces]
    return len(digests), sum(map(bool, digests))
