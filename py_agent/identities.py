"""What each policy was whose episodes a directory holds, so that one name does not stand for two policies."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

from py_agent.policies import PolicyFactory
from sumo_mobility.base.documents import printable, read_json
from sumo_mobility.base.errors import DataError, StorageError
from sumo_mobility.base.files import sha256, write_text

BATCH = "batch-"
"""How the names of files begin that hold episodes of several policies."""


def remember(policies: Mapping[str, PolicyFactory], directory: Path, logged: Collection[str] = ()) -> None:
    """Writes down in policies.json what each policy is, or checks that it still is that, once it has played there.

    Args:
        policies: Policies by name.
        directory: Where their episodes are kept, in files that `EpisodeJob` names, or in folders of it. Files of
            batches may hold episodes of any policy that policies.json knows.
        logged: Names of the policies whose episodes are in the dataset that is made of them.

    Raises:
        StorageError: a policy is another one than when it played; or the directory cannot be written.
        DataError: policies.json is damaged.
    """
    path = directory / "policies.json"
    played = {file.stem for file in directory.glob("**/*.h5") if not file.name.startswith(".")}
    try:
        known = read_json(path) if (played or logged) and path.is_file() else {}
        if not isinstance(known, dict) or not all(isinstance(identity, str) for identity in known.values()):
            raise DataError(f"{path}: does not say in text what each policy was")
    except DataError as error:
        raise DataError(error.message, "choose another directory") from None
    now = {name: identity_of(factory) for name, factory in policies.items()}
    any_played = any(stem.startswith(BATCH) for stem in played)
    for name, identity in now.items():
        of_policy = re.compile(rf".*-{re.escape(name)}-\d+")
        has_played = any_played or name in logged or any(map(of_policy.fullmatch, played))
        if has_played and known.get(name, identity) != identity:
            raise StorageError(
                f"{path}: episodes of '{name}' were played by {printable(known[name], 400)}, now it is {identity}",
                "choose another directory",
            )
    write_text(path, json.dumps(known | now, indent=2) + "\n")


def identity_of(factory: PolicyFactory) -> str:
    """Returns name and arguments of what makes a policy.

    A file counts by its content, and a policy within it by its own identity.
    """
    if not isinstance(factory, partial):
        return getattr(factory, "__qualname__", repr(factory))
    given = [*map(_argument, factory.args), *(f"{name}={_argument(v)}" for name, v in factory.keywords.items())]
    return f"{identity_of(factory.func)}({', '.join(given)})"


def _argument(value: object) -> str:
    if isinstance(value, Path):
        return f"sha256:{sha256(value)}"
    return identity_of(value) if callable(value) else repr(value)
