"""Gymnasium makes an environment of every shipped preset by its id."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import py_agent.env
from ns3_scenarios.scenario import Preset, Scenario, preset_ids

gymnasium.register_envs(py_agent.env)


@pytest.mark.sumo
@pytest.mark.parametrize("preset", preset_ids())
def test_gymnasium_makes_every_preset_and_its_checker_is_content(preset: str) -> None:
    with warnings.catch_warnings():
        # An RSRP has no natural bounds; all other complaints are errors.
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space (minimum|maximum) value is")
        env = gymnasium.make(f"mlb/{preset}", backend="engine")
        assert isinstance(env.unwrapped, py_agent.env.MlbEnv)
        assert env.unwrapped.scenario.model_dump().items() >= Preset.load(preset).model_dump().items()
        check_env(env.unwrapped)


@pytest.mark.sumo
def test_what_make_env_takes_gymnasium_passes_on() -> None:
    name, taken = "line3-right-none-left-v0", {"backend": "engine", "traces": 2, "seed": 3, "split": "test"}
    ours = py_agent.env.make_env(name, **taken)
    env = gymnasium.make(f"py_agent.env:mlb/{name}", **taken)
    for first, again in zip(ours.traces, env.unwrapped.traces, strict=True):
        np.testing.assert_array_equal(first.position_m, again.position_m)
    np.testing.assert_array_equal(ours.reset()[0], env.reset()[0])
    env.close()
    ours.close()


@pytest.mark.sumo
@pytest.mark.ns3
@pytest.mark.parametrize("preset", preset_ids())
def test_every_preset_has_a_back_end_without_being_told_one(preset: str) -> None:
    """The presets of the reference system have physics that ns-3 has not."""
    env = gymnasium.make(f"mlb/{preset}")
    env.reset(seed=1)
    assert env.step(env.action_space.sample())[0] in env.observation_space
    env.close()


@pytest.mark.sumo
def test_a_scenario_as_json_has_it_is_the_network_itself() -> None:
    """Of a preset that is not shipped nothing else may be left."""
    env = py_agent.env.make_env("line3-right-none-left-v0", backend="engine")
    cells = [cell.model_dump() | {"x_m": cell.x_m + 5} for cell in env.scenario.cells]
    moved = env.scenario.model_dump(mode="json") | {"id": "moved", "cells": cells}
    again = py_agent.env.make_env(json.loads(json.dumps(moved)), backend="engine")
    assert again.scenario == Scenario.parse(moved, "test") != env.scenario
    np.testing.assert_array_equal(again.traces[0].position_m, env.traces[0].position_m)
    again.close()
    env.close()


@pytest.mark.slow
def test_registering_loads_no_model_of_the_network() -> None:
    code = (
        "import sys, gymnasium, py_agent.env; gymnasium.spec('mlb/helsinki-event-v0')\n"
        "print({'torch', 'numba', 'cf_augment.physics'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr
