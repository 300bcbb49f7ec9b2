"""A change that is not meant to change a result changes none."""

from __future__ import annotations

import json

import kept_results
import numpy as np
import pytest

KEPT = json.loads(kept_results.KEPT.read_text())


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.ns3) if name == "ns3" else name for name in KEPT]
)
def test_results_are_those_that_were_kept(name: str) -> None:
    """Other machines round otherwise, so that sums are compared; `kept_results.py` itself compares bytes."""
    now = kept_results.summary(kept_results.RESULTS[name]())
    assert now.keys() == KEPT[name].keys()
    for array, kept in KEPT[name].items():
        tolerance = 1e-3 if name == "training" else 1e-6
        np.testing.assert_allclose(now[array], kept, rtol=tolerance, atol=tolerance, err_msg=array)


def test_every_result_is_kept() -> None:
    assert set(KEPT) == set(kept_results.RESULTS) - {"dataset"}
