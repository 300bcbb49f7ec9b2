"""Programs that never outlive us, even if we are killed.

The system can send a child a signal when the thread that made it ends (prctl's PR_SET_PDEATHSIG). Three things follow.
The child asks for it after its start, when its parent may be gone, so it looks who its parent is then. What is made in
a thread would end with that thread, so one thread, which lives as long as the process, makes all. And since no code of
ours may run between fork and exec beside other threads, a small program (bound.py) binds itself and becomes the child.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from sumo_mobility.base import bound

Program = subprocess.Popen[bytes]
_Order = tuple[Future[Program], list[str], dict[str, Any]]

_lock = threading.Lock()
_orders: SimpleQueue[_Order] | None = None
_started: weakref.WeakValueDictionary[int, Program] = weakref.WeakValueDictionary()
_over = False


def bound_to_us(command: Sequence[str]) -> list[str]:
    """The command line that runs `command` as long as the calling thread lives, for what waits until it has ended."""
    return [sys.executable, "-I", "-S", bound.__file__, str(os.getpid()), *command]


def start(command: Sequence[str], **options: Any) -> Program:
    """Starts a program that the system kills (SIGKILL) when this process ends, however it ends.

    It leads a session of its own: Ctrl-C is ours to handle, and what it starts can be killed with it.

    Args:
        command: Program and arguments. One that cannot be started ends with exit code 127 and says why on stderr.
        options: As subprocess.Popen has them.

    Raises:
        OSError: there is no such directory, or the system refuses another process.
    """
    order: _Order = Future(), bound_to_us(command), options | {"start_new_session": True}
    _starter().put(order)
    try:
        return order[0].result()
    except BaseException:
        order[0].add_done_callback(_kill_unclaimed)  # we were interrupted as it started
        raise


def end(program: Program) -> None:
    """Kills a program that start() has started, with all that it started, and waits for its end."""
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def end_all() -> None:
    """Kills all that start() has started and will start: this process is about to end.

    Whoever waits for one learns that it ended by SIGKILL. May be called by a signal handler.
    """
    global _over
    _over = True
    for reference in _started.valuerefs():
        if (program := reference()) is not None:
            program.kill()


def _starter() -> SimpleQueue[_Order]:
    global _orders
    with _lock:
        if _orders is None:
            _orders = SimpleQueue()
            threading.Thread(target=_serve, args=(_orders,), daemon=True, name="starter of programs").start()
        return _orders


def _serve(orders: SimpleQueue[_Order]) -> None:
    while True:
        _fill(*orders.get())


def _fill(future: Future[Program], command: list[str], options: dict[str, Any]) -> None:
    try:
        program = subprocess.Popen(command, **options)
    except BaseException as error:
        future.set_exception(error)
        return
    _started[program.pid] = program
    if _over:
        program.kill()
    future.set_result(program)


def _kill_unclaimed(future: Future[Program]) -> None:
    if future.exception() is None:
        future.result().kill()


def _forget() -> None:
    """Forgets the programs in a forked copy, which has no such thread and does not own them."""
    global _lock, _orders, _started
    _lock, _orders, _started = threading.Lock(), None, weakref.WeakValueDictionary()


os.register_at_fork(after_in_child=_forget)
