"""Rays over a map of roofs, in a compiled loop."""

from __future__ import annotations

import math

from ns3_scenarios.kernels import kernel
from sumo_mobility.base.arrays import AnyFloats, Bools, Floats


@kernel
def trace_rays(
    roofs_m: AnyFloats, pixel_m: float, antenna_m: Floats, point_m: Floats, point_height_m: float, seen: Bools
) -> None:
    """Tells which points are seen from an antenna.

    Args:
        roofs_m: (rows, columns) heights from the south-west corner, which is the origin of all positions.
        pixel_m: Size of a pixel, and the step along a ray.
        antenna_m: (3,) its place and height. What it stands on does not hide anything.
        point_m: (N, 2) the points.
        point_height_m: Their height.
        seen: (N,) bool, filled in.
    """
    rows, columns = roofs_m.shape
    x_m, y_m, height_m = antenna_m
    for n in range(len(point_m)):
        way_x, way_y = point_m[n, 0] - x_m, point_m[n, 1] - y_m
        steps = math.ceil(math.hypot(way_x, way_y) / pixel_m) + 1
        outside, seen[n] = False, True
        for step in range(steps + 1):
            share = step / steps
            column = math.floor((x_m + share * way_x) / pixel_m)
            row = math.floor((y_m + share * way_y) / pixel_m)
            hidden = False
            if 0 <= column < columns and 0 <= row < rows:
                hidden = roofs_m[row, column] > height_m + share * (point_height_m - height_m)
            if not hidden:
                outside = True
            elif outside:
                seen[n] = False
                break
