"""Registries name what they have, and plug-ins add to them, or are named and left out."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import programs
import pytest

from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.registry import Lazy, Registry

REWARD = """
import numpy as np
from ns3_scenarios.mdp import REWARDS, Reward

class MaxLoad(Reward):
    name = "max-load"
    formula = "-(greatest prb_utilization of a cell)"

    def of(self, network, kpis):
        return -kpis.prb_utilization.max(axis=-1)

REWARDS.register(MaxLoad())
"""
USE = """
from ns3_scenarios.scenario import Preset
preset = Preset.load("helsinki-event-v0").model_dump()
print(Preset.parse(preset | {"reward": "max-load"}, "mine").reward_weights)
"""


@dataclass(frozen=True)
class Fruit:
    name: str


def test_an_unknown_name_is_told_with_the_nearest_and_all() -> None:
    fruits: Registry[Fruit] = Registry("fruit")
    apple = fruits.register(Fruit("apple"))
    fruits.register(Fruit("cherry"))
    assert fruits["apple"] is apple
    assert list(fruits) == ["apple", "cherry"]
    with pytest.raises(
        ConfigError, match=r"^unknown fruit 'aple' \(did you mean 'apple'\?\); there are apple, cherry$"
    ):
        fruits["aple"]
    with pytest.raises(ValueError, match=r"^unknown fruit 'plum' \(known: apple, cherry\)$"):
        fruits.known("plum")
    with pytest.raises(ValueError, match=r"^unknown fruit 'x{60}\.\.\.' \(known: apple, cherry\)$"):
        fruits.known("x" * 5000)
    with pytest.raises(ConfigError, match=r"^unknown fruit 'a\\nb'"):
        fruits["a\nb"]


@pytest.mark.parametrize("path", ["nowhere.at_all:Thing", "json:Thing"])
def test_a_class_that_is_not_there_is_named(path: str) -> None:
    with pytest.raises(ConfigError, match=rf"^thing: {path} cannot be loaded"):
        Lazy[object]("thing", path).load()


def test_a_name_is_given_once() -> None:
    fruits: Registry[Fruit] = Registry("fruit")
    fruits.register(Fruit("apple"))
    with pytest.raises(ConfigError, match="fruit 'apple' is registered twice"):
        fruits.register(Fruit("apple"))


@pytest.mark.slow
def test_a_plug_in_adds_a_reward_and_a_broken_one_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(REWARD)
    (tmp_path / "broken.py").write_text("1 / 0")
    environ = programs.python_path()
    environ |= {"MLB_PLUGINS": "broken,mine", "PYTHONPATH": f"{environ['PYTHONPATH']}:{tmp_path}"}
    run = subprocess.run([sys.executable, "-c", USE], env=environ, capture_output=True, text=True)
    assert run.stdout == "{'max-load': 1.0}\n", run.stderr
    assert run.stderr == "note: plug-in broken is left out: ZeroDivisionError: division by zero\n"
