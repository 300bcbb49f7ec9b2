"""Runs of a study: the same traces, seeds and CIOs in ns-3 and in every model; runs of ns-3 are kept."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cf_augment.dataset import Episode, read_episode, stack_kpis
from ns3_scenarios.backend import Backend
from ns3_scenarios.bridge.backend import Ns3Backend
from ns3_scenarios.bridge.event_log import EventLog
from ns3_scenarios.build import program
from ns3_scenarios.control import Control
from ns3_scenarios.kpis import EVENT_DTYPE, KPI_AXES, StepKpis
from ns3_scenarios.mdp import action_size, control_from_action
from ns3_scenarios.scenario import Scenario
from py_agent.collect import EpisodeJob, simulation_work
from py_agent.env import open_backend
from py_agent.fidelity.cases import LOADS, NETWORKS, Case, case, traces
from py_agent.jobs import Executor
from py_agent.policies import PolicyFactory, policy_factory
from py_agent.policies.rules import IntegralRule
from sumo_mobility.base.arrays import Floats, Singles
from sumo_mobility.base.errors import ConfigError, DataError
from sumo_mobility.base.files import replacing, sha256
from sumo_mobility.base.seeds import derive, stream
from sumo_mobility.trace import MobilityTrace

NS3: str = "ns3"
BASELINE: str = "fluid"
TIERS: dict[str, str] = {"engine": "T0", "emulator": "T1"}
"""The models that are to agree with ns-3, and their short names."""


class WrongWay(IntegralRule):
    """The integral rule with a gain of 8 dB and the wrong sign: cells in need take even more UEs."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario, gain_db=8.0)

    def act(self, observation: Singles, kpis: StepKpis, cio_db: Floats) -> Singles:
        """Returns the opposite of what the rule would do from the opposite offsets."""
        return -super().act(observation, kpis, -cio_db)


POLICIES: dict[str, PolicyFactory] = {
    "random": policy_factory("random"),
    "static": policy_factory("static"),
    "integral-2": policy_factory("integral:gain_db=2"),
    "integral-8": policy_factory("integral:gain_db=8"),
    "integral-32": policy_factory("integral:gain_db=32"),
    "integral-wrong-way": WrongWay,
    "planner": policy_factory("planner"),
    "planner-hasty": policy_factory("planner:samples=40,rounds=1,sweeps=0"),
}
"""Policies that the models are to put in ns-3's order."""

RANKING_LOAD = "near saturation"
"""The load under which actions and policies are ranked: there it matters what they do."""
BEFORE, HORIZON = 3, 2
"""Steps before the state from which futures branch, and steps of each future."""
_DEFAULT_CQI_RANKED = "hex-7"
"""The network in which futures are ranked under the default CQI too, where ns-3's seed-to-seed variability matters."""
AGAIN_AT_MOST = 40
"""The greatest number of futures that are simulated in ns-3 again with another seed of the network."""


@dataclass(frozen=True)
class Plan:
    """The extent of a study.

    Attributes:
        networks: Of NETWORKS.
        traces: Traces a case, each with CIOs that change at random each second.
        futures: CIO sequences from one state, by network; those of none have no futures.
        ranked: Networks in which policies are ranked.
        policy_traces: Traces and seeds that every policy plays.
        loads: Of LOADS.
        policies: Of POLICIES.
    """

    networks: tuple[str, ...]
    traces: int
    futures: dict[str, int]
    ranked: tuple[str, ...]
    policy_traces: int = 5
    loads: tuple[str, ...] = LOADS
    policies: tuple[str, ...] = tuple(POLICIES)


WHOLE = Plan(NETWORKS, 3, dict.fromkeys(NETWORKS, 100), ("line-3", "hex-7", "helsinki"))
QUICK = Plan(("line-3", "hex-7"), 2, {"line-3": 40, "hex-7": 20}, ("line-3",), policy_traces=3)


@dataclass(frozen=True)
class FuturesJob:
    """Many futures of one state, and the file that they go to.

    Attributes:
        before: Controls up to the state, (BEFORE,).
        control: Controls of the futures, (K, HORIZON).
    """

    scenario: Scenario
    trace: MobilityTrace
    backend: str
    seed: int
    before: Control
    control: Control
    path: Path

    def is_done(self) -> bool:
        """Returns whether the futures are there already."""
        return self.path.is_file()

    @property
    def work(self) -> float:
        """See `simulation_work`."""
        steps = len(self.before) + math.prod(self.control.cio_db.shape[:2])
        episode = self.scenario.episode
        return simulation_work(self.scenario, episode.warmup_s + steps * episode.control_interval_s)

    def run(self, advance: Callable[[float], None] = lambda work: None) -> None:
        """Simulates them; `advance` is called once, as all futures come together."""
        backend = self._open()
        try:
            backend.reset(self.trace, self.seed)
            for row in self.before:
                backend.step(row)
            futures = backend.branch(self.control)
        finally:
            backend.close()
        stacked = [stack_kpis(future)[0] for future in futures]
        arrays: dict[str, Any] = {name: np.stack([getattr(k, name) for k in stacked]) for name in KPI_AXES}
        with replacing(self.path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        advance(self.work)

    def read(self) -> StepKpis:
        """The KPIs of the futures, with leading (K, HORIZON) and without events.

        Raises:
            DataError: the file is damaged.
        """
        try:
            with np.load(self.path, allow_pickle=False) as file:
                return StepKpis(**{name: file[name] for name in KPI_AXES}, events=np.empty(0, EVENT_DTYPE))
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{self.path}: damaged ({error})", "remove it and run the command again") from None

    def _open(self) -> Backend:
        # As many processes as there are workers, not as many as each of them finds cores.
        return (
            Ns3Backend(self.scenario, branch_workers=1)
            if self.backend == NS3
            else open_backend(self.scenario, self.backend)
        )


class Runs:
    """The runs of a study.

    Args:
        plan: How much.
        seed: Of all traces, CIOs, networks and their chance.
        directory: Where runs of ns-3 are kept: they are not run again by the same program.
        scratch: Where runs of the models go.
    """

    def __init__(self, plan: Plan, seed: int, directory: Path, scratch: Path) -> None:
        self.plan = plan
        self.seed = seed
        self._directory, self._scratch = directory, scratch
        self._asked: dict[tuple[str, str], bool] = {}
        self.lacking: dict[str, set[str]] = {}
        """Settings of scenarios that a model does not support, by model."""
        self.traces = {
            network: traces(network, seed, max(plan.traces, plan.policy_traces * (network in plan.ranked)), directory)
            for network in plan.networks
        }

    @cached_property
    def cases(self) -> list[Case]:
        """All loads with and without shadowing under control CQI, and some under the default CQI if a tier has it."""
        control = [
            case(network, load, shadowing, "control", self.seed)
            for network in self.plan.networks
            for load in self.plan.loads
            for shadowing in (False, True)
        ]
        default = [
            case(network, load, False, "pdsch", self.seed)
            for network in self.plan.networks
            for load in ("medium", RANKING_LOAD)
            if load in self.plan.loads
        ]
        return control + [case for case in default if any(self.supports(case, tier) for tier in TIERS)]

    def ranking_cases(self) -> list[Case]:
        """The cases in which futures are ranked, and under control CQI policies."""
        fitting = [case for case in self.cases if case.load == RANKING_LOAD and not case.shadowing]
        return [case for case in fitting if case.cqi == "control" or case.network == _DEFAULT_CQI_RANKED]

    def backends(self, case: Case) -> list[str]:
        """Returns the back ends that are compared with ns-3 in a case."""
        return [name for name in (*TIERS, BASELINE) if self.supports(case, name)]

    def supports(self, case: Case, name: str) -> bool:
        """Returns whether a model supports the scenario of a case."""
        key = case.name, name
        if key not in self._asked:
            try:
                open_backend(case.scenario, name).close()
                self._asked[key] = True
            except ConfigError as error:
                self.lacking.setdefault(name, set()).add(error.message)
                self._asked[key] = False
        return self._asked[key]

    def episode_job(self, case: Case, backend: str, policy: str, trace: int) -> EpisodeJob:
        """Returns the job of one policy on one trace."""
        name = f"{case.network}-{trace}"
        seed, folder = derive(self.seed, "fidelity", "run", trace), self._folder(case, backend)
        made = (name, self.traces[case.network][name])
        grants = EventLog(folder) if backend == NS3 and policy == "random" and trace == 0 else None
        return EpisodeJob.of(case.scenario, made, (policy, POLICIES[policy]), seed, folder, backend, event_log=grants)

    def futures_job(self, case: Case, backend: str, again: bool = False) -> FuturesJob:
        """The futures of one case; some of them under another seed of the network, if `again`."""
        random = stream(self.seed, "fidelity", "futures", case.network)
        size = action_size(case.scenario)
        before = control_from_action(case.scenario, random.uniform(-1, 1, (BEFORE, size)))
        shape = (self.plan.futures[case.network], HORIZON, size)
        control = control_from_action(case.scenario, random.uniform(-1, 1, shape))
        control = control[:AGAIN_AT_MOST] if again else control
        return FuturesJob(
            case.scenario,
            self.traces[case.network][f"{case.network}-0"],
            backend,
            derive(self.seed, "fidelity", "network", int(again)),
            before,
            control,
            self._folder(case, backend) / f"futures-{len(control)}-{self.seed}-{int(again)}.npz",
        )

    def episodes(self, case: Case, backend: str, policy: str = "random", count: int | None = None) -> list[Episode]:
        """Reads what has been run."""
        return [
            read_episode(self.episode_job(case, backend, policy, trace).path)
            for trace in range(count or self.plan.traces)
        ]

    def missing(self) -> list[EpisodeJob | FuturesJob]:
        """Runs of ns-3 that have not been done, those of the largest networks first."""
        return [job for case in reversed(self.cases) for job in self._jobs(case, NS3) if not job.is_done()]

    def run(self, executor: Executor) -> int:
        """Runs what is missing of ns-3, and all models.

        Args:
            executor: Where they are run.

        Returns:
            How many runs of ns-3 were missing.
        """
        missing = self.missing()
        for job in missing:
            if isinstance(job, EpisodeJob) and job.event_log is not None:
                shutil.rmtree(job.event_log.directory, ignore_errors=True)  # of a run that was interrupted
        models = [job for case in self.cases for model in self.backends(case) for job in self._jobs(case, model)]
        executor.run(missing, "runs of ns-3")
        executor.run(models, "runs of models")
        return len(missing)

    def grants_path(self, case: Case) -> Path:
        """ns-3's downlink DCIs of the first trace of a case."""
        logged = self.episode_job(case, NS3, "random", 0).event_log
        assert logged is not None
        return logged.path(0, "dl_dci")

    def _jobs(self, case: Case, backend: str) -> list[EpisodeJob | FuturesJob]:
        futures: list[EpisodeJob | FuturesJob] = []
        if case in self.ranking_cases() and self.plan.futures[case.network]:
            futures += [self.futures_job(case, backend, again) for again in (False, True)[: 1 + (backend == NS3)]]
        wanted = [("random", trace) for trace in range(self.plan.traces)]
        if self.ranks_policies(case):
            wanted += [(policy, trace) for policy in self.plan.policies for trace in range(self.plan.policy_traces)]
        return futures + [self.episode_job(case, backend, policy, trace) for policy, trace in dict.fromkeys(wanted)]

    def ranks_policies(self, case: Case) -> bool:
        """Returns whether policies are ranked in a case."""
        return case in self.ranking_cases() and case.cqi == "control" and case.network in self.plan.ranked

    def _folder(self, case: Case, backend: str) -> Path:
        if backend != NS3:
            return self._scratch / backend / case.name
        digest = hashlib.sha256(case.scenario.model_dump_json().encode() + self._program.encode()).hexdigest()
        return self._directory / "ns3" / f"{case.name}-{digest[:8]}"

    @cached_property
    def _program(self) -> str:
        return sha256(program())
