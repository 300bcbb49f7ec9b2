"""ns-2 movements: what ns-3's Ns2MobilityHelper, SUMO's traceExporter, BonnMotion and ns-2's setdest read or write."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sumo_mobility.base.errors import DataError
from sumo_mobility.base.files import replacing
from sumo_mobility.fcd_rows import unpacked
from sumo_mobility.trace import MOST_ROWS, MobilityTrace, Stay, TraceMetadata, observed

SUFFIXES = (".tcl", ".ns_movements", ".ns2", ".mob")
"""Suffixes of files with ns-2 movements, each of which may be compressed (.gz)."""
_CURE = "write '$node_(0) set X_ 1.0' and '$ns_ at 2.0 \"$node_(0) setdest 3.0 4.0 5.0\"', with numbers in place"
_STEPS_S = (1.0, 0.5, 0.25, 0.2, 0.1)
_DURATION = re.compile(r"#\s*knots: 0 to (\S+) s in steps of (\S+) s")
_NODE = r"\$(?P<node>[A-Za-z_]\w{0,39}?(?:\(\s*\d{1,12}\s*\)|\d{1,12}))"
_SET = re.compile(_NODE + r"\s+set\s+(?P<axis>[XYZ])_\s+(?P<value>[^\s;\"{}]+)")
_TO = re.compile(_NODE + r"\s+setdest\s+(?P<values>[^\";{}]*)")
_AT = re.compile(r"\$\w+\s+at\s+(?P<time>[^\s\"{]+)\s*[\"{]\s*(?P<command>[^\"}]*)")
_MOVES = re.compile(r"\bsetdest\b|\bset\s+[XYZ]_")


def write_ns2(trace: MobilityTrace, path: Path) -> None:
    """Writes the movements that ns-3's Ns2MobilityHelper and others read; UE u is node_(u).

    At each knot a node sets out for the next one, at the speed that takes it there in time, so that positions are right
    at the knots and on the lines between. SUMO's own traceExporter sets out for where the node should be already.
    Heights are not in it: 1.5 m, say, are for the reader to add.

    Raises:
        StorageError: `path` cannot be written; what was there before is whole.
    """
    move = np.diff(trace.position_m, axis=0)
    speed = np.hypot(move[..., 0], move[..., 1]) / trace.step_s
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f"# {trace.metadata.map_name}: {trace.metadata.attribution}, {trace.metadata.licence}\n")
        file.write(f"# knots: 0 to {trace.duration_s:.9g} s in steps of {trace.step_s:.9g} s\n")
        for ue, (x, y) in enumerate(trace.position_m[0]):
            file.write(f"$node_({ue}) set X_ {x:.6f}\n$node_({ue}) set Y_ {y:.6f}\n$node_({ue}) set Z_ 0.0\n")
        for step, ue in np.argwhere(speed > 0):
            x, y = trace.position_m[step + 1, ue]
            at = f"{trace.time_s[step]:.9g}"
            file.write(f'$ns_ at {at} "$node_({ue}) setdest {x:.6f} {y:.6f} {speed[step, ue]:.9f}"\n')


def read_ns2(path: Path, begin_s: float | None = None, end_s: float | None = None) -> MobilityTrace:
    """Reads movements as ns-3 does: at its time a node sets out in a straight line, at the speed, and stops when it is
    there, or when it is told something else; at speed 0 it stops where it is.

    UEs are the nodes in the order of their names and numbers. Knots are at every second, or at every tenth to half
    second if all commands fall on those; a turn between two knots is cut short. Comments and commands of other objects
    are left out. (A file of SUMO's traceExporter tells each node to set out for where it should be already, so that it
    is some metres behind: floating car data is better.)

    Args:
        path: One of SUFFIXES, also packed (.gz).
        begin_s: Time at which the trace begins; 0 if not given.
        end_s: Time of its last knot; that at which the last node stops, if not given.

    Raises:
        DataError: the file is missing or damaged; a movement needs a Tcl interpreter, as it holds variables; a node has
            no first position; or nobody moves and no `end_s` is given.
    """
    if not path.is_file():
        raise DataError(f"{path}: {'is no regular file' if path.exists() else 'no such file'}", _CURE)
    nodes, knots = _read_nodes(path)
    ways = [_way(path, name, nodes[name]) for name in sorted(nodes, key=_order)]
    begin_s = 0.0 if begin_s is None else begin_s
    told_s = np.unique([time_s for node in nodes.values() for time_s, _ in node.commands])
    step_s = knots[1] if knots else next((s for s in _STEPS_S if _falls_on(told_s, s)), _STEPS_S[0])
    if end_s is None:
        last_s = knots[0] if knots else max(way[-1][0] for way in ways)
        end_s = begin_s + math.ceil((last_s - begin_s) / step_s - 1e-6) * step_s
    steps = (end_s - begin_s) / step_s + 1 + 1e-6
    if not begin_s >= 0 or not steps >= 2:
        raise DataError(
            f"{path}: nobody is told to move from {begin_s:g} to {end_s:g} s", "name a time: --begin-s, --end-s"
        )
    if steps * len(ways) > MOST_ROWS:
        raise DataError(
            f"{path}: would be {steps:.0f} steps of {len(ways)} UEs, more than {MOST_ROWS} rows",
            "name a shorter time: --begin-s, --end-s",
        )
    time_s = np.arange(int(steps), dtype=np.float64) * step_s
    position_m = np.empty((len(time_s), len(ways), 2))
    for ue, way in enumerate(ways):
        at_s, x, y = np.array(way).T
        for axis, values in enumerate((x, y)):
            position_m[:, ue, axis] = np.interp(begin_s + time_s, at_s, values)
    grid = observed(position_m, step_s)
    metadata = TraceMetadata.imported(
        path,
        "ns-2 movements",
        position_m,
        stays=tuple(
            Stay(ue=ue, who=name, begin_s=0.0, end_s=float(time_s[-1]))
            for ue, name in enumerate(sorted(nodes, key=_order))
        ),
        provenance={"file": path.name, "begin_s": begin_s, "end_s": end_s},
    )
    try:
        return MobilityTrace(time_s, grid[..., :2], grid[..., 2], grid[..., 3], metadata).flagged()
    except DataError as error:
        raise DataError(f"{path}: {error.message}", "leave that time out: --begin-s, --end-s") from None


@dataclass
class _Node:
    """A node of a file: its first position, and its commands by time (values by axis, or x, y and speed)."""

    first: dict[str, float] = field(default_factory=dict)
    commands: list[tuple[float, dict[str, float] | tuple[float, float, float]]] = field(default_factory=list)


def _read_nodes(path: Path) -> tuple[dict[str, _Node], tuple[float, float] | None]:
    """Returns the nodes by name, and the duration and step that `write_ns2` left."""
    nodes: dict[str, _Node] = {}
    knots = None
    for number, line in _lines(path):
        if line.startswith("#"):
            if match := _DURATION.match(line):
                knots = _number(path, number, match[1]), _number(path, number, match[2])
            continue
        if not _MOVES.search(line):
            continue
        at = _AT.match(line)
        command = at["command"] if at else line
        to, sets = _TO.match(command), _SET.match(command)
        if to and at:
            values = [_number(path, number, word) for word in to["values"].split()]
            if len(values) not in (3, 4) or values[-1] < 0:
                raise DataError(f"{path}: line {number}: setdest takes x, y and a speed", _CURE)
            node = nodes.setdefault(to["node"], _Node())
            node.commands.append((_time(path, number, at["time"]), (values[0], values[1], values[-1])))
        elif sets:
            node, value = nodes.setdefault(sets["node"], _Node()), _number(path, number, sets["value"])
            if at and (time_s := _time(path, number, at["time"])) > 0:
                node.commands.append((time_s, {sets["axis"]: value}))
            else:
                node.first[sets["axis"]] = value
        else:
            raise DataError(f"{path}: line {number}: a movement that is no plain one: {line:.80}", _CURE)
    if not nodes:
        raise DataError(f"{path}: moves no node", _CURE)
    if knots and not (knots[0] > 0 and 1e-3 <= knots[1] <= knots[0]):
        knots = None
    return nodes, knots


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with unpacked(path) as file:
            for number, line in enumerate(file, 1):
                yield number, line.decode("utf-8", errors="replace").strip()
    except OSError as error:
        raise DataError(f"{path}: damaged ({error})", _CURE) from None


def _number(path: Path, line: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}: line {line}: '{text:.40}' is not a number", _CURE)
    return value


def _time(path: Path, line: int, text: str) -> float:
    value = _number(path, line, text)
    if value < 0:
        raise DataError(f"{path}: line {line}: time {text:.40} is before 0", _CURE)
    return value


def _way(path: Path, name: str, node: _Node) -> list[tuple[float, float, float]]:
    """Times and places, (time, x, y), between which a node moves in straight lines."""
    if not {"X", "Y"} <= node.first.keys():
        raise DataError(f"{path}: ${name} has no first position", f"add '${name} set X_ ...' and Y_")
    x, y = node.first["X"], node.first["Y"]
    way, target, arrival_s = [(0.0, x, y)], (x, y), 0.0
    for time_s, command in sorted(node.commands, key=lambda timed: timed[0]):
        before_s = way[-1][0]
        share = 1.0 if time_s >= arrival_s else (time_s - before_s) / (arrival_s - before_s)
        x, y = x + share * (target[0] - x), y + share * (target[1] - y)
        if before_s < arrival_s <= time_s:
            way.append((arrival_s, x, y))
        way.append((time_s, x, y))
        if isinstance(command, dict):
            x, y = command.get("X", x), command.get("Y", y)
            way.append((time_s, x, y))
            target, arrival_s = (x, y), time_s
        else:
            far_m, speed = math.hypot(command[0] - x, command[1] - y), command[2]
            is_moving = speed > 0 and far_m > 0
            target = command[:2] if is_moving else (x, y)
            arrival_s = time_s + (far_m / speed if is_moving else 0.0)
    if arrival_s > way[-1][0]:
        way.append((arrival_s, *target))
    return way


def _order(name: str) -> tuple[str, int]:
    stem, number = re.match(r"(.*?)\(?\s*(\d+)\s*\)?$", name).groups()  # type: ignore[union-attr] # as _NODE has it
    return stem, int(number)


def _falls_on(time_s: np.ndarray, step_s: float) -> bool:
    return bool(np.abs(time_s / step_s - np.rint(time_s / step_s)).max(initial=0.0) < 1e-6)
