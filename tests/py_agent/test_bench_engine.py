"""What the engine is measured against: mobile-env itself, at the size that is asked for."""

from __future__ import annotations

import sys

import pytest

from py_agent.bench.engine import mobile_env
from sumo_mobility.base.errors import DependencyError


def test_mobile_env_has_the_size_that_is_asked_for() -> None:
    env = mobile_env(21, 5, seed=1)
    env.reset(seed=1)
    assert len(env.unwrapped.stations) == 21  # type: ignore[attr-defined]
    assert len(env.unwrapped.users) == 5  # type: ignore[attr-defined]
    places = {(station.x, station.y) for station in env.unwrapped.stations.values()}  # type: ignore[attr-defined]
    assert len(places) == 21
    _, _, _, truncated, _ = env.step(env.action_space.sample())
    assert not truncated


def test_without_mobile_env_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mobile_env.core.base", None)
    with pytest.raises(DependencyError, match=r"mobile-env(?s:.*)pip install 'mobile-env"):
        mobile_env(21, 5, seed=1)
