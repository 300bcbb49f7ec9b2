"""The road graph, on the made-up grid."""

from __future__ import annotations

import dataclasses

import made_streets as made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
@given(road=st.integers(0, len(GRAPH) - 1), share=st.floats(0, 1))
def test_places_are_on_the_lanes(road: int, share: float) -> None:
    place, direction = GRAPH.place(np.array(road), np.array(share * GRAPH.length_m[road]))
    assert STREETS.distance_m(place) < 1e-6
    assert np.hypot(*direction) == pytest.approx(1)


def test_spots_cover_all_lanes_evenly() -> None:
    places = GRAPH.place(GRAPH.spot_road, GRAPH.spot_offset_m)[0]
    assert len(places) == pytest.approx(GRAPH.length_m.sum() / 5, rel=0.15)  # a lane of less than 5 m has one too
    near = GRAPH.spots_near(places, 2)
    assert near.shape == (len(places), 2)
    np.testing.assert_allclose(places[near[:, 0]], places, atol=1e-9)
    assert GRAPH.spots_near(places, 10 * len(places)).shape == (len(places), len(places))


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
