"""Jobs and what runs them; each job leaves one file, so that what was interrupted goes on where it stopped.

`LocalExecutor` is our own, because what it is for would be ours around a library too. `concurrent.futures` cannot kill
running workers before Python 3.14; neither it nor loky starts workers that are deaf to Ctrl-C from their first moment,
ends them when the parent is killed, passes on the progress of a running job, or says which job a process died of.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Protocol

from sumo_mobility.base.bound import die_with_parent
from sumo_mobility.base.errors import ConfigError, MlbError, SimulatorError, StorageError
from sumo_mobility.base.progress import progress
from sumo_mobility.base.scratch import sweep

_FEWER = "run the command again: finished episodes are kept; with fewer workers if memory is short"


class Job(Protocol):
    """Something to be done in another process, on this machine or another; it must be possible to pickle it."""

    @property
    def path(self) -> Path:
        """The file that it writes."""
        ...

    @property
    def work(self) -> float:
        """The amount of work, in a unit that takes about as long in every job."""
        ...

    def run(self, advance: Callable[[float], None]) -> None:
        """Does it, and writes the file last and at once.

        Args:
            advance: Called with the work that has been done since the last call.

        Raises:
            MlbError: it cannot be done; `Executor.run` raises it again.
        """
        ...


class Executor(ABC):
    """Runs jobs in other processes; a cluster would be another class beside `LocalExecutor`."""

    @abstractmethod
    def run(self, jobs: Sequence[Job], title: str) -> None:
        """Begins all jobs in their order, shows how far they are, and returns when all are done.

        Args:
            jobs: What to do. Whether a job has been done already is for the caller to know.
            title: The title of the progress bar.

        Raises:
            MlbError: the first error of a job. No job runs any more then, and files of finished jobs are kept.
            SimulatorError: a process died.
        """

    def each(self, jobs: Sequence[Job], title: str) -> Generator[Job]:
        """Does what `run` does, and yields each job that is done, at once if the executor can; here at the end.

        Other jobs go on while the caller looks at one. They stop when the iterator is closed.
        """
        self.run(jobs, title)
        yield from jobs


@dataclass(frozen=True)
class LocalExecutor(Executor):
    """Runs jobs in processes of this machine, which end with this process, however it ends.

    Attributes:
        workers: The number of processes.

    Raises:
        ConfigError: fewer than one worker.
    """

    workers: int = 2

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError(f"workers: {self.workers}, must be at least 1")

    def run(self, jobs: Sequence[Job], title: str) -> None:
        """See `Executor.run`."""
        for _ in self.each(jobs, title):
            pass

    def each(self, jobs: Sequence[Job], title: str) -> Generator[Job]:
        """See `Executor.each`."""
        todo = iter(jobs)
        running: dict[Connection, tuple[SpawnProcess, Job]] = {}
        total, count = sum(job.work for job in jobs), min(self.workers, len(jobs))
        with progress(title, total) as bar, _processes(count) as slots:
            for connection, process in slots.items():
                _assign(next(todo), connection, process, running)
            while running:
                for ready in wait(list(running)):
                    assert isinstance(ready, Connection)
                    process, job = running[ready]
                    done = _answer(ready, process, job)
                    if done is not None:
                        bar.advance(done)
                        continue
                    del running[ready]
                    following = next(todo, None)
                    if following is not None:
                        _assign(following, ready, process, running)
                    yield job


LOCAL = LocalExecutor()
"""Two processes of this machine, where nothing else is asked for."""


def _assign(
    job: Job, connection: Connection, process: SpawnProcess, running: dict[Connection, tuple[SpawnProcess, Job]]
) -> None:
    running[connection] = process, job
    try:
        connection.send(job)
    except BrokenPipeError:
        _answer(connection, process, job)


def _answer(connection: Connection, process: SpawnProcess, job: Job) -> float | None:
    """Takes a worker's answer: work that it has done, or None at the end of its job; raises what went wrong."""
    try:
        answer: float | MlbError | None = connection.recv()
    except (EOFError, ConnectionResetError):
        process.join()
        raise SimulatorError(
            f"the process that played {job.path.stem} died with exit code {process.exitcode}",
            _FEWER,
        ) from None
    if isinstance(answer, MlbError):
        raise answer
    return answer


@contextmanager
def _processes(count: int) -> Iterator[dict[Connection, SpawnProcess]]:
    """Worker processes and our ends of their pipes; killed at the end of the block."""
    spawn = multiprocessing.get_context("spawn")
    slots: dict[Connection, SpawnProcess] = {}
    try:
        for _ in range(count):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_work, args=(theirs, os.getpid()), daemon=True)
            with _deaf_to_interrupts():
                process.start()
                slots[ours] = process
            theirs.close()
        yield slots
    finally:
        for connection, process in slots.items():
            process.kill()
            process.join()
            connection.close()
        sweep()  # what they had no time to remove


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Keeps Ctrl-C from what is started in the block; this process receives all signals after it."""
    received: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # whoever of our threads is told, this one handles it
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            handlers[number] = signal.signal(number, lambda which, _: received.append(which))
    resource_tracker.ensure_running()  # which unblocks the signal as it starts
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            signal.raise_signal(received[0])


def _work(connection: Connection, parent: int) -> None:
    """A worker: does the jobs that it is sent, until it is killed."""
    die_with_parent(parent)
    os.environ["OMP_NUM_THREADS"] = "1"
    while True:
        job = connection.recv()
        try:
            job.run(connection.send)
        except MlbError as error:
            connection.send(error)
        except OSError as error:
            connection.send(StorageError(f"{job.path.stem}: {error}", "free some space or choose another directory"))
        except MemoryError:
            connection.send(SimulatorError(f"{job.path.stem}: no memory is left", _FEWER))
        else:
            connection.send(None)
