"""Commands that run the ns-3 program, and what is left of them."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from ns3_scenarios.build import program
from ns3_scenarios.scenario import Scenario
from sumo_mobility.trace import MobilityTrace


def command(folder: Path, scenario: Scenario, trace: MobilityTrace, endpoint: str, **options: Any) -> list[str]:
    """The command line for a scenario and a trace, which are written to `folder`."""
    (folder / "scenario.json").write_text(scenario.model_dump_json())
    trace.write_waypoints(folder / "waypoints.csv")
    files = [f"--scenario={folder}/scenario.json", f"--waypoints={folder}/waypoints.csv"]
    named = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return [str(program()), *files, f"--endpoint={endpoint}", *named]


def gone(pid: int, within_s: float = 5) -> bool:
    """Whether a process is no more (a zombie that its new parent has yet to reap is no more)."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def processes_with(variable: str, value: str) -> list[str]:
    """Command lines of the other processes that have a value in their environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(variable) == value:
                found.append(" ".join(process.cmdline()))
    return found


def left_with(variable: str, value: str, within_s: float = 5) -> list[str]:
    """Those that still run when what was killed has had time to die."""
    deadline = time.monotonic() + within_s
    while (left := processes_with(variable, value)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left


def python_path() -> dict[str, str]:
    """Environment in which a Python of its own finds what the tests find."""
    folders = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, folders))}


def with_fields(scenario: Scenario, fields: dict[str, Any]) -> str:
    """The scenario's JSON with other values at dotted paths; None takes a field away."""
    document = json.loads(scenario.model_dump_json())
    for path, value in fields.items():
        *parents, last = path.split(".")
        part = document
        for parent in parents:
            part = part[int(parent)] if isinstance(part, list) else part[parent]
        if value is None:
            del part[last]
        else:
            part[int(last) if isinstance(part, list) else last] = value
    return json.dumps(document)
