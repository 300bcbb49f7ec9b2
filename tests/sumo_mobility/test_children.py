"""Programs never outlive who started them, and live as long as that one wants, whatever becomes of its threads."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest
from programs import gone

from sumo_mobility.base import bound
from sumo_mobility.base.children import Program, bound_to_us, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system cannot bind a child's life to its parent's")

SLEEP = ["sleep", "60"]


def said_by(script: str) -> str:
    """What a Python of its own prints, however it ends."""
    script = f"import os\nfrom sumo_mobility.base.children import bound_to_us, end_all, start\n{script}"
    return subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=60).stdout


@pytest.mark.parametrize("ending", ["", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_program_is_gone_when_its_owner_is(ending: str) -> None:
    assert gone(int(said_by(f"program = start({SLEEP}); print(program.pid, flush=True); {ending}")))


def test_a_program_whose_owner_is_gone_already_never_starts(tmp_path: Path) -> None:
    stranger = str(os.getppid())
    command = [sys.executable, "-I", "-S", bound.__file__, stranger, "touch", str(tmp_path / "file")]
    assert subprocess.run(command, timeout=60).returncode == 1
    assert not list(tmp_path.iterdir())
    assert subprocess.run(bound_to_us(["touch", str(tmp_path / "file")]), timeout=60).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_program_outlives_the_thread_that_asked_for_it() -> None:
    programs: list[Program] = []
    thread = Thread(target=lambda: programs.append(start(SLEEP)))
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert programs[0].poll() is None
    programs[0].kill()
    assert programs[0].wait(10) == -9


def test_a_forked_copy_starts_its_own_and_ends_only_those() -> None:
    mine = start(SLEEP)
    parts = said_by(f"""
mine = start({SLEEP})
if os.fork() == 0:
    its = start({SLEEP})
    print(its.pid, flush=True)
    end_all()
    print(its.wait(10), flush=True)
    os._exit(0)
os.wait()
print(mine.poll(), flush=True)
""").split()
    assert gone(int(parts[0]))
    assert parts[1:] == ["-9", "None"]
    assert mine.poll() is None
    mine.kill()
    mine.wait(10)


def test_what_starts_after_the_end_of_all_is_ended_as_well() -> None:
    script = f"one = start({SLEEP}); end_all(); print(one.wait(10), start({SLEEP}).wait(10), flush=True)"
    assert said_by(script) == "-9 -9\n"


def test_what_cannot_be_started_says_so(tmp_path: Path) -> None:
    program = start([str(tmp_path / "none")], stderr=subprocess.PIPE)
    assert program.stderr is not None
    assert program.stderr.read().decode() == f"error: cannot start {tmp_path}/none: No such file or directory\n"
    assert program.wait(10) == 127
    program.stderr.close()
    with pytest.raises(FileNotFoundError):
        start(SLEEP, cwd=tmp_path / "none")
