"""Kinds of one record: told apart by their names, described together, and known as soon as they are registered."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import pytest
from pydantic import Field

from sumo_mobility.base.contract import Contract
from sumo_mobility.base.errors import ConfigError
from sumo_mobility.base.kinds import Kinds


class Animal(Contract):
    """The base."""


class Cat(Animal):
    name: Literal["cat"] = "cat"
    lives: int = Field(9, ge=1)


class Dog(Animal):
    name: Literal["dog"] = "dog"
    place_m: tuple[float, float] = (0.0, 0.0)


ANIMALS: Kinds[Animal] = Kinds("animal", Animal)
ANIMALS.register(Cat)


class Zoo(Contract):
    animals: tuple[Annotated[Animal, ANIMALS], ...]


def test_a_kind_that_is_registered_after_the_first_use_is_known() -> None:
    assert Zoo.parse({"animals": [{"name": "cat", "lives": 3}]}, "zoo").animals == (Cat(lives=3),)
    with pytest.raises(ConfigError, match=r"^zoo: animals\.0\.name: must be 'cat', got 'dog'$"):
        Zoo.parse({"animals": [{"name": "dog"}]}, "zoo")
    ANIMALS.register(Dog)
    mixed = Zoo.parse({"animals": [{"name": "dog", "place_m": [1, 2]}, {"name": "cat"}]}, "zoo")
    assert mixed.animals == (Dog(place_m=(1, 2)), Cat())
    assert mixed == Zoo(animals=(Dog(place_m=(1, 2)), Cat())) == Zoo.parse(json.loads(mixed.model_dump_json()), "zoo")
    assert mixed.model_dump(exclude_unset=True)["animals"][1] == {"name": "cat"}
    mappings = [
        item["discriminator"]["mapping"] for item in [Zoo.model_json_schema()["properties"]["animals"]["items"]]
    ]
    assert mappings == [{"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}]
    with pytest.raises(ConfigError, match=r"^animal 'dog' is registered twice"):
        ANIMALS.register(Dog)


@pytest.mark.parametrize(
    ("animals", "message"),
    [
        ([{"name": "cow"}], "animals.0: name = 'cow' is not one of 'cat', 'dog'"),
        ([{"lives": 3}], "animals.0: needs the key 'name'"),
        ([{"name": "cat", "live": 3}], "animals.0.live: unknown key (did you mean 'lives'?)"),
        ([{"name": "cat"}, {"name": "cat", "lives": 0}], "animals.1.lives: must be greater than or equal to 1, got 0"),
        ([{"name": "cat", "lives": "3"}], "animals.0.lives: must be a valid integer, got '3'"),
        (["cat"], "animals.0: must be a mapping of keys, got 'cat'"),
    ],
)
def test_what_is_wrong_is_told_by_its_place(animals: list[object], message: str) -> None:
    if "dog" not in ANIMALS:
        ANIMALS.register(Dog)
    with pytest.raises(ConfigError) as caught:
        Zoo.parse({"animals": animals}, "zoo")
    assert caught.value.message == f"zoo: {message}"
