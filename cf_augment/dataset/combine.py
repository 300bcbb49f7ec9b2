"""Datasets of one scenario made one, and one dataset made several, an episode at a time."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

from cf_augment.dataset.records import Episode, EpisodeMetadata
from cf_augment.dataset.storage.groups import trace_sha256
from cf_augment.dataset.storage.read import StoredEpisodes
from cf_augment.dataset.storage.write import write_dataset
from ns3_scenarios.kpis import KPI_AXES
from sumo_mobility.base.documents import printable, shown
from sumo_mobility.base.errors import ConfigError, DataError, StorageError
from sumo_mobility.base.files import replacing
from sumo_mobility.base.seeds import stream
from sumo_mobility.trace import MobilityTrace

Parts = Mapping[str, Sequence[int]]
"""The numbers of the episodes of each part, by the part's name."""
_LONGEST_NAME = 60


def merge_datasets(paths: Sequence[Path], out: Path) -> None:
    """Writes the episodes of several dataset files of one scenario as one file, in their order, atomically.

    Every run calls its traces train-000 and so on. Where two files have different traces of one name, those of the
    later file are renamed to train-000-2 and so on, and so are the sources of the episodes that derive from them. A
    source whose trace is not in its own file is the trace of that name in the other files. Measured stretches without a
    trace keep their names, or get another one, in the same way.

    Args:
        paths: Two files at least.
        out: The file to write, which is replaced if there is one.

    Raises:
        ConfigError: there are fewer than two files, or `out` is one of them.
        DataError: a file is missing, damaged or of another scenario, an episode is there twice, or a source could be
            any of several traces.
        StorageError: the disk is full, or the directory is not writable; `out` is then as it was before.
    """
    if len(paths) < 2:
        raise ConfigError("merge: one dataset alone", "name two or more")
    if any(path.resolve() == out.resolve() for path in paths):
        raise ConfigError(f"merge: {out} is one of the datasets to be merged", "choose another file for the result")
    files = [StoredEpisodes(path) for path in paths]
    scenario = files[0].scenario
    for path, episodes in zip(paths, files, strict=True):
        found = _first_difference(scenario.model_dump(), episodes.scenario.model_dump())
        if found:
            what, one, other = found
            message = f"{path}: is of another scenario than {paths[0]}: {what} is {other}, there {one}"
            raise DataError(message, "merge datasets of one scenario only")
    names = _new_names(paths, [_surveyed(path, episodes) for path, episodes in zip(paths, files, strict=True)])
    write_dataset(out, scenario, _renamed(files, names))


def parts_by(episodes: Iterable[Episode], value: Callable[[Episode], object]) -> Parts:
    """Returns the parts in which all episodes have one value, by that value as text.

    Raises:
        DataError: all of them would be one part.
    """
    parts: dict[str, list[int]] = {}
    for index, episode in enumerate(episodes):
        parts.setdefault(str(value(episode)), []).append(index)
    if len(parts) == 1:
        (name,) = parts
        raise DataError(
            f"split: all episodes are of '{printable(name)}' and would be one part", "split by another column"
        )
    return parts


def parts_by_share(episodes: Iterable[Episode], shares: Mapping[str, float], seed: int) -> Parts:
    """Returns parts of about the given shares of the episodes, drawn at random.

    Episodes that derive from one logged trace come into one part: under other actions, among other crowds or as a
    model drew them, they tell what the trace does, and who judges by one part must not have learnt from the other.
    Measured stretches are drawn one by one, though they are of one table.

    Args:
        episodes: What is to be split; each is looked at once.
        shares: The share of each part by its name; they sum to 1.
        seed: Of the draw; the same seed gives the same parts.

    Raises:
        ConfigError: a share is not above 0, or they do not sum to 1.
        DataError: a part would be empty.
    """
    if not all(share > 0 for share in shares.values()) or abs(sum(shares.values()) - 1) > 1e-6:  # NaN is not above 0
        given = ", ".join(f"{share:g}" for share in shares.values())
        raise ConfigError(f"split: shares {given}: must be above 0 and sum to 1", "for example 0.8,0.2")
    families = _families([episode.metadata for episode in episodes])
    if len(families) < len(shares):
        raise DataError(
            f"split: {len(shares)} parts of {len(families)} would leave one empty: episodes that derive from the same "
            "logged traces stay together",
            "split by provenance first and then what is logged, or take fewer parts",
        )
    order = stream(seed, "split").permutation(len(families))
    # The largest first, so that the smaller ones can even out what is left.
    drawn = sorted((families[index] for index in order), key=len, reverse=True)
    parts: dict[str, list[int]] = {name: [] for name in shares}
    total = sum(map(len, families))
    for left, family in zip(range(len(drawn), 0, -1), drawn, strict=True):
        empty = [name for name, part in parts.items() if not part]
        wanted = empty if len(empty) == left else list(parts)
        most = max(wanted, key=lambda name: shares[name] * total - len(parts[name]))
        parts[most] += family
    return {name: sorted(part) for name, part in parts.items()}


def write_parts(path: Path, parts: Parts, out: Path) -> dict[str, Path]:
    """Writes each part of a dataset as a file of a new directory, all of them or none.

    Args:
        path: The dataset.
        parts: What each part has; a name becomes that of its file as far as it can be one.
        out: The directory, which must not be there.

    Returns:
        The file of each part.

    Raises:
        DataError: the file is missing or damaged, or a part is empty.
        StorageError: `out` exists, the disk is full, or the directory is not writable.
    """
    if out.exists():
        raise StorageError(f"{out}: exists", "choose another directory")
    files = _file_names(list(parts))
    episodes = StoredEpisodes(path)
    with replacing(out, directory=True) as temporary:
        for name, chosen in parts.items():
            write_dataset(temporary / files[name], episodes.scenario, episodes.read(chosen))
    return {name: out / file for name, file in files.items()}


@dataclass
class _Survey:
    """The traces of a file.

    Attributes:
        traces: What identifies each trace, or each measured stretch without one, by its name.
        measured: Names of measured stretches, which say when they were; in several of them UEs may have stood still.
        sources: Names of the traces from which counterfactual episodes derive.
        episodes: What identifies each episode.
    """

    traces: dict[str, bytes] = field(default_factory=dict)
    measured: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    episodes: dict[bytes, int] = field(default_factory=dict)


def _surveyed(path: Path, episodes: StoredEpisodes) -> _Survey:
    survey = _Survey()
    for index, episode in enumerate(episodes):
        metadata = episode.metadata
        measured = b""
        if metadata.measured:
            measured = _measured(episode)
            survey.measured.add(metadata.trace_name)
        if episode.trace is None:
            identity = measured
            survey.traces.setdefault(metadata.trace_name, identity)
        else:  # the reader has seen to it that a name means one trace
            identity = _identity(episode.trace)
            survey.traces[metadata.trace_name] = identity
        if metadata.synthetic:
            survey.sources.update(metadata.provenance.source)
        # Names are left out, since one trace may have several of them in several files.
        nameless = _with_names(metadata, "", ("",) * len(metadata.provenance.source)).model_dump_json().encode()
        key = hashlib.sha256(nameless + identity + measured + episode.actions.tobytes()).digest()
        first = survey.episodes.setdefault(key, index)
        if first != index:
            raise _doubled(path, index, path, first, metadata)
    return survey


def _identity(trace: MobilityTrace) -> bytes:
    return hashlib.sha256(f"{trace_sha256(trace)}{trace.metadata.model_dump_json()}".encode()).digest()


def _measured(episode: Episode) -> bytes:
    """Returns what identifies a measured episode: when it was and what was measured, in whatever file.

    Its name says when, behind the name of its table. At another time the counters may be the same, as at night.
    """
    record = episode.metadata
    table = record.provenance.source[0].split(".")[0] if record.provenance.source else ""
    when = re.sub(r"-\d+$", "", record.trace_name.removeprefix(table))  # without the number of an earlier merge
    values = (getattr(episode.kpis, name).tobytes() for name in KPI_AXES)
    return hashlib.sha256(b"".join([when.encode(), *values])).digest()


def _new_names(paths: Sequence[Path], surveys: Sequence[_Survey]) -> list[dict[str, str]]:
    """Returns the new name of each trace and source of each file, by its old one.

    Raises:
        DataError: two files have the same episode, or a source could be any of several traces.
    """
    known: dict[bytes, tuple[Path, int]] = {}
    for path, survey in zip(paths, surveys, strict=True):
        for key, index in survey.episodes.items():
            if key in known:
                raise _doubled(path, index, *known[key], StoredEpisodes(path)[index].metadata)
            known[key] = path, index
    given = {name for survey in surveys for name in (*survey.traces, *survey.sources)}
    same: dict[bytes, list[str]] = {}
    taken: set[str] = set()
    renamed: list[dict[str, str]] = []
    for survey in surveys:
        names: dict[str, str] = {}
        for name, identity in survey.traces.items():
            known_as = same.setdefault(identity, [])
            if name in known_as:
                names[name] = name
            elif known_as and name not in survey.measured:
                names[name] = known_as[0]
            else:
                numbered = (f"{name}-{number}" for number in count(2))
                names[name] = next(free for free in numbered if free not in given | taken) if name in taken else name
                taken.add(names[name])
                known_as.append(names[name])
        renamed.append(names)
    for path, survey, names in zip(paths, surveys, renamed, strict=True):
        for source in survey.sources - survey.traces.keys():
            found = {new[source] for new, other in zip(renamed, surveys, strict=True) if source in other.traces}
            if len(found) > 1:
                message = f"{path}: has episodes from a trace '{printable(source)}', which it does not hold itself"
                raise DataError(
                    f"{message}, and {len(found)} traces of the other files have that name",
                    "first merge it with the dataset that its episodes were made from",
                )
            names[source] = found.pop() if found else source
    return renamed


def _doubled(path: Path, index: int, other: Path, first: int, metadata: EpisodeMetadata) -> DataError:
    what = f"trace '{printable(metadata.trace_name)}', policy '{printable(metadata.policy)}', seed {metadata.seed}"
    where = f"{path}: episode {index} ({what})"
    return DataError(
        f"{where} is the same as episode {first} of {other}", "merge each dataset once, without parts of it"
    )


def _renamed(files: Sequence[StoredEpisodes], names: Sequence[Mapping[str, str]]) -> Iterator[Episode]:
    for episodes, new in zip(files, names, strict=True):
        changes = any(name != old for old, name in new.items())
        for episode in episodes:
            record = episode.metadata
            sources = record.provenance.source
            if record.synthetic:  # those of measurements are tables, not traces
                sources = tuple(new[source] for source in sources)
            metadata = _with_names(record, new[record.trace_name], sources)
            yield replace(episode, metadata=metadata) if changes else episode


def _with_names(metadata: EpisodeMetadata, trace: str, sources: tuple[str, ...]) -> EpisodeMetadata:
    """Returns the same with other names of the trace and the sources, in the words of the intervention too."""
    origin = metadata.provenance
    new = dict(zip(origin.source, sources, strict=True))
    intervention = origin.intervention
    if new:
        name = rf"(?<![\w-])({'|'.join(map(re.escape, new))})(?![\w-])"
        intervention = re.sub(name, lambda found: new[found[1]], intervention)
    provenance = origin.model_copy(update={"source": sources, "intervention": intervention})
    return metadata.model_copy(update={"trace_name": trace, "provenance": provenance})


def _first_difference(one: object, other: object, where: str = "") -> tuple[str, str, str] | None:
    """Returns the path of the first value in which plain values differ, and both values; None if they are equal."""
    pairs: list[tuple[object, object, object]]
    if isinstance(one, dict) and isinstance(other, dict):
        keys = dict.fromkeys([*one, *other])
        pairs = [(key, one.get(key), other.get(key)) for key in keys]
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = list(zip(count(), one, other, strict=False))
    else:
        return None if one == other else (where, shown(one), shown(other))
    below = (_first_difference(a, b, f"{where}.{key}" if where else str(key)) for key, a, b in pairs)
    return next(filter(None, below), None)


def _families(records: Sequence[EpisodeMetadata]) -> list[list[int]]:
    """Returns the numbers of the episodes that have a trace in common, directly or through others."""
    head: dict[str, str] = {}

    def first(name: str) -> str:
        while head.setdefault(name, name) != name:
            head[name] = head[head[name]]
            name = head[name]
        return name

    for record in records:
        for source in record.provenance.source if record.synthetic else ():  # tables hold many stretches
            head[first(source)] = first(record.trace_name)
    families: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        families.setdefault(first(record.trace_name), []).append(index)
    return list(families.values())


def _file_names(names: Sequence[str]) -> dict[str, str]:
    """Returns a name of a file for each name, which may hold anything."""
    files: dict[str, str] = {}
    for name in names:
        stem = re.sub(r"[^\w.+=-]+", "-", name, flags=re.ASCII)[:_LONGEST_NAME].strip("-.") or "part"
        free = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
        files[name] = next(f"{other}.h5" for other in free if f"{other}.h5" not in files.values())
    return files
