"""A grid of one-way lanes and crowds that drive on it towards known places."""

from __future__ import annotations

from functools import cache

import numpy as np

from sumo_mobility.base.arrays import Floats
from sumo_mobility.base.seeds import stream
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace, TraceMetadata

BLOCKS, BLOCK_M, TURN_M, BESIDE_M = 6, 150.0, 8.0, 1.6
SIDE_M = BLOCKS * BLOCK_M
WEST_M, EAST_M = np.array([0.2, 0.5]) * SIDE_M, np.array([0.8, 0.5]) * SIDE_M


def _lane(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    along = (end - start) / np.hypot(*(end - start))
    right = np.array([along[1], -along[0]]) * BESIDE_M
    return np.stack([start + TURN_M * along + right, end - TURN_M * along + right])


def _lanes() -> dict[tuple[tuple[int, int], tuple[int, int]], np.ndarray]:
    """The lanes between neighbouring crossings, by the crossings that they lead from and to."""
    crossings = [(i, j) for i in range(BLOCKS + 1) for j in range(BLOCKS + 1)]
    lanes = {}
    for i, j in crossings:
        for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            if (i + di, j + dj) in crossings:
                start, end = np.array([i, j]) * BLOCK_M, np.array([i + di, j + dj]) * BLOCK_M
                lanes[(i, j), (i + di, j + dj)] = _lane(start, end)
    return lanes


def street_map() -> StreetMap:
    """A lane each way between neighbouring crossings, and a lane for each way through a crossing."""
    lanes = _lanes()
    inner = [
        np.stack([one[-1], other[0]])
        for (before, here), one in lanes.items()
        for (there, after), other in lanes.items()
        if here == there and after != before
    ]
    return StreetMap(
        name="grid", streets=(*lanes.values(), *inner), bounds_m=(0.0, 0.0, SIDE_M, SIDE_M), projection="",
        net_offset_m=(0.0, 0.0), licence="CC0-1.0", attribution="nobody",
    )  # fmt: skip


def crowd(seed: int, context: str, place_m: np.ndarray | None, ues: int = 24, steps: int = 25) -> MobilityTrace:
    """UEs that gather around a place: at each crossing most take the way that leads there; or anywhere, if None.

    Three in four start within 200 m of the place, and every UE has its own speed.
    """
    random = stream(seed, "crowd", context)
    position = np.zeros((steps + 1, ues, 2))
    heading, speed = np.zeros((steps + 1, ues)), np.zeros((steps + 1, ues))
    lanes = _lanes()
    keys = list(lanes)
    middle = np.array([lanes[key].mean(axis=0) for key in keys])
    for ue in range(ues):
        near = np.ones(len(keys))
        if place_m is not None and random.random() < 0.75:
            near = np.exp(-((middle - place_m) ** 2).sum(axis=1) / (2 * 200.0**2))
        key = keys[random.choice(len(keys), p=near / near.sum())]
        line, at, own = lanes[key], random.uniform(0, BLOCK_M - 2 * TURN_M), random.uniform(6, 12)
        for row in range(steps + 1):
            while at > (size := np.hypot(*(line[1] - line[0]))):
                at -= size
                if np.array_equal(line, lanes.get(key)):
                    ways = [other for other in keys if other[0] == key[1] and other[1] != key[0]]
                    score = random.gumbel(size=len(ways))
                    if place_m is not None:
                        goal = place_m - np.array(key[1]) * BLOCK_M
                        score += [3 * float((np.subtract(w[1], w[0]) * goal).sum() / np.hypot(*goal)) for w in ways]
                    following = ways[int(score.argmax())]
                    line = np.stack([line[1], lanes[following][0]])
                    key = following
                else:
                    line = lanes[key]
            along = (line[1] - line[0]) / size
            position[row, ue] = line[0] + at * along
            heading[row, ue] = np.degrees(np.arctan2(along[0], along[1])) % 360
            speed[row, ue] = own
            at += max(0.5, own + random.normal(0, 0.4))
    return MobilityTrace(
        time_s=np.arange(steps + 1, dtype=np.float64), position_m=position, speed_mps=speed, heading_deg=heading,
        metadata=TraceMetadata(
            source="made up", map_name="grid", licence="CC0-1.0", attribution="nobody", seed=seed, context=context,
            bounds_m=(0, 0, SIDE_M, SIDE_M),
        ),
    )  # fmt: skip


def two_contexts(seeds: range, ues: int = 24) -> dict[str, MobilityTrace]:
    """For each seed a crowd in the west and one in the east."""
    places = {"west": WEST_M, "east": EAST_M}
    return {f"{name}-{seed}": crowd(seed, name, place, ues) for seed in seeds for name, place in places.items()}


def _parked(lane_m: Floats) -> Floats:
    """Where UEs park beside the middle of a lane (2, 2)."""
    along = np.diff(lane_m, axis=0)[0] / np.hypot(*np.diff(lane_m, axis=0)[0])
    return lane_m.mean(axis=0) + 3.0 * np.array([along[1], -along[0]])


def travellers(
    seed: int, share: float, center_m: tuple[float, float], radius_m: float = 100.0, ues: int = 60,
    duration_s: int = 240, pace_mps: float = 8.0, stay_s: tuple[int, int] = (5, 20),
    origin_m: tuple[float, float] | None = None, onset_s: int = 0,
) -> MobilityTrace:  # fmt: skip
    """UEs that go from the middle of a lane to that of another, by few blocks, park there beside it, and go on.

    A share of them has destinations around a centre, all others anywhere; they have been under way for three minutes.
    With an onset, those wait around `origin_m` for it, and set out within a minute.
    """
    random, lanes, lead_s = stream(seed, "travellers"), _lanes(), 180
    keys = list(lanes)
    middle_m = np.array([lanes[key].mean(axis=0) for key in keys])
    drawn = np.exp(-((middle_m - center_m) ** 2).sum(axis=1) / radius_m**2)
    position_m = np.empty((lead_s + duration_s + 1, ues, 2))
    for ue in range(ues):
        member = random.random() < share
        here, row = int(random.integers(len(keys))), 0
        if member and onset_s and origin_m:
            near = np.exp(-((middle_m - origin_m) ** 2).sum(axis=1) / radius_m**2)
            here, row = int(random.choice(len(keys), p=near / near.sum())), lead_s + onset_s + int(random.integers(60))
            position_m[:row, ue] = _parked(lanes[keys[here]])
        while row < len(position_m):
            weight = drawn if member else np.ones(len(keys))
            there = int(random.choice(len(keys), p=weight / weight.sum()))
            if there == here:
                continue
            way = _way(keys[here], keys[there])
            line_m = np.concatenate([lanes[key] for key in way])
            line_m[0], line_m[-1] = middle_m[here], middle_m[there]
            at_m = np.append(0, np.hypot(*np.diff(line_m, axis=0).T).cumsum())
            driven_m = np.arange(0, at_m[-1], pace_mps * np.exp(0.1 * random.standard_normal()))
            driven = np.column_stack([np.interp(driven_m, at_m, line_m[:, axis]) for axis in (0, 1)])
            going = np.concatenate([driven, np.tile(_parked(lanes[keys[there]]), (int(random.integers(*stay_s)), 1))])
            rows = min(len(going), len(position_m) - row)
            position_m[row : row + rows, ue] = going[:rows]
            here, row = there, row + rows
    step_m = np.diff(position_m, axis=0, append=position_m[-1:])
    heading_deg = np.degrees(np.arctan2(step_m[..., 0], step_m[..., 1])) % 360
    return MobilityTrace(
        time_s=np.arange(duration_s + 1.0), position_m=position_m[lead_s:],
        speed_mps=np.hypot(step_m[..., 0], step_m[..., 1])[lead_s:], heading_deg=heading_deg[lead_s:],
        metadata=TraceMetadata(
            source="made up", map_name="grid", licence="CC0-1.0", attribution="nobody", seed=seed, context="crowd",
            bounds_m=(0, 0, SIDE_M, SIDE_M),
        ),
    )  # fmt: skip


@cache
def _way(first: tuple, last: tuple) -> list[tuple]:
    """Lanes from one to another, of as few as can be and without turning back at a crossing."""
    reached, edge = {first: [first]}, [first]
    while last not in reached:
        following = [after for here in edge for after in _onward()[here] if after not in reached]
        reached |= {after: [*reached[here], after] for here in edge for after in _onward()[here] if after in following}
        edge = following
    return reached[last]


@cache
def _onward() -> dict[tuple, list[tuple]]:
    """The lanes that follow each, but for the way back."""
    lanes = _lanes()
    return {here: [after for after in lanes if after[0] == here[1] and after[1] != here[0]] for here in lanes}
