"""The reference dataset: the protocol of the reference system in ns-3 LTE, made by one command, with checksums.

The protocol is that of "A Counterfactual Framework for Data-Scarce Offline RL in Mobility Load Balancing": three sites,
50 UEs, 100 steps of 1 s, and contexts in which UEs of each site go right, left or loiter: two to learn from and three
to be judged in. One half is on open ground, the other on the streets of Helsinki. Its physics are ns-3's here, not that
system's, which the presets have that it is made of (profile `paper`).
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from cf_augment.dataset import Episode, read_dataset, write_dataset
from cf_augment.dataset.content import CONTENT, content_sha256
from ns3_scenarios.scenario import Preset, Scenario
from py_agent.collect import EpisodeJob, episode_jobs, play
from py_agent.identities import remember
from py_agent.jobs import Executor
from py_agent.policies import policy_factory
from py_agent.rundir import RunDirectory, begin_run
from sumo_mobility.base.documents import parse_json
from sumo_mobility.base.seeds import derive
from sumo_mobility.pipeline import load_map, make_traces
from sumo_mobility.trace import MobilityTrace

HALVES = ("line3", "helsinki3")
"""Open ground, and streets."""
BEHAVIOR = ("random", "noise:std=0.2,around=integral")
"""The reference's policy, and one that leads where a good policy does; both know the densities of their actions."""
_CONTEXTS = ("right-right-left", "right-loiter-left", "right-none-left")
_TRACES_PER_CONTEXT = 10
_SEED = 0
_BACKEND = "ns3"
_FILES = {"train": "logged.h5", "test": "test.h5"}


def reference_preset(half: str) -> Preset:
    """Returns the preset of one of HALVES: the shipped ones of its three test contexts in one, with ns-3's physics."""
    presets = [Preset.load(f"{half}-{context}-v0") for context in _CONTEXTS]
    base = presets[0].model_dump(exclude_unset=True)
    tests = [each.mobility.model_dump(exclude_unset=True)["test_contexts"][0] for each in presets]
    changes = {
        "id": f"{half}-reference-v0",
        "description": "The reference protocol in ns-3 LTE: two contexts to learn from, three to be judged in.",
        "mobility": base["mobility"] | {"test_contexts": tests},
        "profile": "ns3",
    }
    return Preset.parse(base | changes, f"reference {half}")


def make_reference(directory: Path, quick: bool, executor: Executor) -> dict[str, list[Path]]:
    """Makes the reference dataset, or what is missing of it: in ns-3, of both halves, for learning and for judging.

    Each half becomes a run directory, DIRECTORY/line3 and DIRECTORY/helsinki3, with its scenario, its traces, logged.h5
    (the train contexts) and test.h5 (the test contexts). Of each context there are 10 traces, on which every policy of
    BEHAVIOR plays; or one, on which one of them does, in turn. The quick episodes are among those of the whole.

    Args:
        directory: Where it goes.
        quick: One episode a context.
        executor: Where episodes are played; the data do not depend on it.

    Returns:
        The datasets of each half.

    Raises:
        DependencyError: the ns-3 program has not been built.
        StorageError: the directory has something else, such as the quick ones when all are asked for.
        SimulatorError: SUMO or ns-3 failed; what is finished is kept.
    """
    return {half: _make_half(half, directory / half, quick, executor) for half in HALVES}


def _make_half(half: str, folder: Path, quick: bool, executor: Executor) -> list[Path]:
    paths = []
    for file, jobs in reference_jobs(half, folder, quick).items():
        path = folder / file
        if not (path.is_file() and _holds(read_dataset(path).episodes, jobs)):
            write_dataset(path, jobs[0].scenario, play(jobs, executor))
        paths.append(path)
    return paths


def reference_jobs(half: str, folder: Path, quick: bool) -> dict[str, list[EpisodeJob]]:
    """Returns the episodes of one of HALVES, by the file that they go to, with their traces made in its run directory.

    Args:
        half: The half.
        folder: Its run directory.
        quick: One episode a context.

    Raises:
        StorageError: the directory has something else.
        SimulatorError: SUMO failed.
    """
    run, preset = RunDirectory(folder), reference_preset(half)
    scenario = Scenario.place(preset, preset.sites.place(load_map(preset.mobility.map)))
    begin_run(run, preset, scenario)
    policies = {text: policy_factory(text) for text in BEHAVIOR}
    episodes = run.episodes("collect")
    remember(policies, episodes)
    jobs = {}
    for split, file in _FILES.items():
        traces = _traces(run, scenario, split, 1 if quick else _TRACES_PER_CONTEXT)
        limit = len(traces) if quick else None
        jobs[file] = episode_jobs(scenario, traces, policies, [_SEED], episodes / _BACKEND, _BACKEND, limit=limit)
    return jobs


def _traces(run: RunDirectory, scenario: Scenario, split: str, per_context: int) -> dict[str, MobilityTrace]:
    """Returns traces by name, made if need be."""
    mobility = scenario.mobility
    contexts = mobility.train_contexts if split == "train" else mobility.test_contexts
    paths = [run.trace_path(split, index) for index in range(per_context * len(contexts))]
    missing = [index for index, path in enumerate(paths) if not path.with_suffix(".json").is_file()]
    jobs = [(contexts[index % len(contexts)], derive(_SEED, split, index)) for index in missing]
    if jobs:
        make_traces(mobility, jobs, keep=lambda index, trace: trace.write(paths[missing[index]]))
    return {path.stem: run.trace(path) for path in paths}


def _holds(episodes: Iterable[Episode], jobs: Iterable[EpisodeJob]) -> bool:
    return [episode.metadata for episode in episodes] == [job.metadata for job in jobs]


def checksums(half: str, path: Path) -> dict[str, str]:
    """Returns the content's checksum of each episode of a dataset, by half, trace and policy."""
    return {
        f"{half}/{episode.metadata.trace_name}/{episode.metadata.policy}": content_sha256(episode)
        for episode in read_dataset(path).episodes
    }


def shipped_checksums() -> dict[str, str]:
    """Returns the checksums that are in the repository, of the quick episodes; none if they are of another version."""
    text = files("py_agent").joinpath("reference_sha256.json").read_text(encoding="utf-8")
    shipped: dict[str, dict[str, str]] = parse_json(text, "reference_sha256.json")
    return shipped.get(CONTENT, {})
