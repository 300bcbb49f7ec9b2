"""Windows of traces, which are what latents are encoded from and how the ways of UEs are compared."""

from __future__ import annotations

from dataclasses import replace

from sumo_mobility.trace import MobilityTrace

WINDOW_S = 30.0


def windows(trace: MobilityTrace, length_s: float = WINDOW_S) -> list[MobilityTrace]:
    """Cuts a trace in windows that follow one another; one that is shorter than a window is a window."""
    long = min(round(length_s / trace.step_s), len(trace.time_s) - 1)
    starts = range(0, len(trace.time_s) - long, long)
    return [
        replace(
            trace,
            time_s=trace.time_s[: long + 1],
            position_m=trace.position_m[start : start + long + 1],
            speed_mps=trace.speed_mps[start : start + long + 1],
            heading_deg=trace.heading_deg[start : start + long + 1],
        )
        for start in starts
    ]
