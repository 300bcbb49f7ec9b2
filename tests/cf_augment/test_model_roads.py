"""The road graph and map matching, on the made-up grid: ways are known there."""

from __future__ import annotations

import dataclasses
import itertools

import made_streets as made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cf_augment.model.matching import match
from cf_augment.model.roads import RoadGraph
from sumo_mobility.base.errors import DataError

STREETS = made.street_map()
GRAPH = RoadGraph.build(STREETS)


def test_every_lane_leads_on() -> None:
    assert len(GRAPH) == len(STREETS.streets)
    streets = [index for index in range(len(GRAPH)) if GRAPH.length_m[index] > 100]
    assert len(streets) == 2 * 2 * made.BLOCKS * (made.BLOCKS + 1)
    for road in streets:
        crossing = np.round(STREETS.streets[road][-1] / made.BLOCK_M)
        sides = int(((crossing == 0) | (crossing == made.BLOCKS)).sum())
        # Three ways on at a crossing, two at the map's side, one at its corner.
        assert len(GRAPH.successors[road]) == 3 - sides


@settings(max_examples=60)
@given(road=st.integers(0, len(GRAPH) - 1), share=st.floats(0, 1), beside_m=st.floats(-1, 1))
def test_place_and_nearest_are_inverse(road: int, share: float, beside_m: float) -> None:
    offset = share * GRAPH.length_m[road]
    place, direction = GRAPH.place(np.array(road), np.array(offset))
    assert STREETS.distance_m(place) < 1e-6
    assert np.hypot(*direction) == pytest.approx(1)
    beside = place + beside_m * np.array([direction[1], -direction[0]])
    found, square, ux, uy = GRAPH.nearest(beside[0], beside[1], road)
    assert found == pytest.approx(offset, abs=1e-6)
    assert square == pytest.approx(beside_m**2, abs=1e-6)
    assert (ux, uy) == pytest.approx(tuple(direction))
    assert GRAPH.nearest(place[0], place[1], road, offset + 1e-3)[0] >= offset + 1e-3 - 1e-9


def test_spots_cover_all_lanes_evenly() -> None:
    assert GRAPH.spot_weight.sum() == pytest.approx(GRAPH.length_m.sum())
    np.testing.assert_array_equal(GRAPH.spot(GRAPH.spot_road, GRAPH.spot_offset_m), np.arange(len(GRAPH.spot_road)))


def test_parallel_lanes_are_one_road() -> None:
    pair = [np.array([[0.0, 0.0], [100.0, 0.0]]), np.array([[0.0, 3.2], [100.0, 3.2]])]
    onward, back = np.array([[100.0, 3.2], [200.0, 3.2]]), np.array([[100.0, -3.2], [0.0, -3.2]])
    graph = RoadGraph.build(dataclasses.replace(STREETS, streets=(*pair, onward, back)))
    assert len(graph) == 3
    assert graph.lanes.tolist() == [2, 1, 1]
    assert graph.successors[0].tolist() == [1]


def test_a_map_without_streets_is_refused() -> None:
    with pytest.raises(DataError, match="map grid: no street of any length"):
        RoadGraph.build(dataclasses.replace(STREETS, streets=(np.zeros((2, 2)),)))


def test_matched_ways_are_those_driven() -> None:
    trace = made.crowd(3, "east", made.EAST_M)
    ways = match(GRAPH, trace)
    np.testing.assert_allclose(GRAPH.place(ways.road, ways.offset_m)[0] + ways.beside_m, trace.position_m, atol=1e-9)
    assert np.hypot(*np.moveaxis(ways.beside_m, -1, 0)).max() < 1e-6
    straight = np.hypot(*np.moveaxis(np.diff(trace.position_m, axis=0), -1, 0))
    assert (ways.distance_m >= straight - 1e-6).all()
    for ue, route in enumerate(ways.route):
        assert all(after in GRAPH.successors[before] for before, after in itertools.pairwise(route))
        np.testing.assert_array_equal(np.array(route)[ways.stage[:, ue]], ways.road[:, ue])


def test_positions_off_the_map_are_far_beside_it() -> None:
    trace = made.crowd(3, "east", made.EAST_M, ues=3)
    away = dataclasses.replace(trace, position_m=trace.position_m + 5000.0)
    ways = match(GRAPH, away)
    np.testing.assert_allclose(GRAPH.place(ways.road, ways.offset_m)[0] + ways.beside_m, away.position_m)
    assert np.hypot(*np.moveaxis(ways.beside_m, -1, 0)).min() > 4000
