"""The pictures of a trace: what they show, and what they say of its origin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from py_agent.report.mobility_picture import nearest_site_counts, write_animation, write_picture
from sumo_mobility.streets import StreetMap
from sumo_mobility.trace import MobilityTrace, TraceMetadata

BOUNDS_M = (0.0, 0.0, 400.0, 200.0)
SITES_M = [(100.0, 100.0), (300.0, 100.0)]
STREETS = StreetMap("cross", (np.array([[0.0, 100.0], [400.0, 100.0]]),), BOUNDS_M, "", (0.0, 0.0), "ODbL-1.0", "© all")


def driving(seconds: int = 40) -> MobilityTrace:
    """UE 0 drives from the west to the east at 10 m/s, UE 1 stands in the east."""
    x_m = np.stack([10.0 * np.arange(seconds + 1), np.full(seconds + 1, 350.0)], axis=1)
    speed = np.tile([10.0, 0.0], (seconds + 1, 1))
    metadata = TraceMetadata(
        source="test", map_name="cross", licence="ODbL-1.0", attribution="© all", seed=3, context="tide",
        context_parameters={"strength": 0.5}, bounds_m=BOUNDS_M, projection="+proj=utm +zone=35",
    )  # fmt: skip
    position_m = np.stack([x_m, np.full_like(x_m, 100.0)], axis=2)
    return MobilityTrace(np.arange(seconds + 1.0), position_m, speed, np.zeros_like(speed), metadata)


def test_ues_are_counted_at_their_nearest_site() -> None:
    counts = nearest_site_counts(driving(), SITES_M)
    assert counts[0].tolist() == [1, 1]
    assert counts[30].tolist() == [0, 2]
    assert (counts.sum(axis=1) == 2).all()


def test_the_picture_shows_streets_and_sites(tmp_path: Path) -> None:
    write_picture(tmp_path / "trace.png", driving(), STREETS, SITES_M)
    with Image.open(tmp_path / "trace.png") as image:
        assert image.width > 800
        colors = {color for _, color in image.convert("RGB").getcolors(2**24) or []}
    assert {(0x28, 0x78, 0xC8), (0xF0, 0xA0, 0x00), (0xC3, 0xC8, 0xD1)} <= colors  # two sites, the streets


def test_the_animation_moves_who_moves_and_says_whose_the_map_is(tmp_path: Path) -> None:
    write_animation(tmp_path / "trace.gif", driving(), STREETS, SITES_M, frames=10)
    with Image.open(tmp_path / "trace.gif") as image:
        assert image.n_frames == 10
        assert image.info["comment"].decode() == "Map data © all, ODbL-1.0"
        frames = []
        for frame in (0, 9):
            image.seek(frame)
            frames.append(np.asarray(image.convert("RGB")).astype(int))
    changed = np.abs(frames[1] - frames[0]).sum(axis=2) > 60
    columns = np.flatnonzero(changed[: changed.shape[0] * 3 // 4].any(axis=0)) / changed.shape[1]
    assert columns.min() < 0.1  # where UE 0 was
    assert columns.max() > 0.9  # where it is
