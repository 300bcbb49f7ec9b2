"""A grid of one-way lanes and crowds that drive on it towards known places."""

from __future__ import annotations

import numpy as np

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


def street_map() -> StreetMap:
    """A lane each way between neighbouring crossings, and a lane for each way through a crossing."""
    crossings = [(i, j) for i in range(BLOCKS + 1) for j in range(BLOCKS + 1)]
    lanes = {}
    for i, j in crossings:
        for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            if (i + di, j + dj) in crossings:
                start, end = np.array([i, j]) * BLOCK_M, np.array([i + di, j + dj]) * BLOCK_M
                lanes[(i, j), (i + di, j + dj)] = _lane(start, end)
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
    lanes = {}
    for i in range(BLOCKS + 1):
        for j in range(BLOCKS + 1):
            for di, dj in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                if 0 <= i + di <= BLOCKS and 0 <= j + dj <= BLOCKS:
                    here, there = np.array([i, j]) * BLOCK_M, np.array([i + di, j + dj]) * BLOCK_M
                    lanes[(i, j), (i + di, j + dj)] = _lane(here, there)
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
