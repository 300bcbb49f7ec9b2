"""Episode and dataset files, damaged byte by byte or altered with h5py: a value, or an error of the family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import made_episodes as made
import numpy as np
import pytest
from harness import hostile, survives, survives_file
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cf_augment.dataset import read_dataset, read_definitions, read_episode, write_dataset, write_episode

PLACE = made.scenario(ues=3)


READERS: dict[str, Callable[[Path], object]] = {
    "episode": read_episode, "dataset": lambda path: (read_definitions(path), read_dataset(path))
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a good file of each kind."""
    folder = tmp_path_factory.mktemp("hdf5")
    episodes = [made.episode(PLACE, seed, 3) for seed in range(2)]
    write_episode(folder / "episode.h5", episodes[0])
    write_dataset(folder / "dataset.h5", PLACE, episodes)
    return folder


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_damaged_bytes(folder: Path, name: str, data: st.DataObject) -> None:
    good = (folder / f"{name}.h5").read_bytes()
    damaged = data.draw(hostile([good], [b"\x89HDF\r\n\x1a\n", b"OHDR", b"TREE", b"SNOD", b"\xff" * 8]))
    survives_file(READERS[name], folder / "damaged.h5", damaged)


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_altered_fields(folder: Path, name: str, data: st.DataObject) -> None:
    path = folder / "altered.h5"
    path.write_bytes((folder / f"{name}.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        members: list[str] = []
        file.visit(members.append)
        alter = data.draw(st.sampled_from([set_values, replace, redirect, set_attribute]))
        alter(data.draw, file, data.draw(st.sampled_from(sorted(members))))
    survives(lambda: READERS[name](path))


NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(), st.sampled_from([-1, 0, 99, 2**31, 1e300]))
DTYPES = st.sampled_from([*"?bBhHiIqQefdgFD", ">f4", ">i8", "S1", "S0", "V3", "i4,f8", "O", "M8[s]"])


def set_values(draw: st.DrawFn, file: h5py.File, name: str) -> None:
    """Sets one element, or all."""
    if not isinstance(file[name], h5py.Dataset):
        return
    with np.errstate(all="ignore"):
        values = file[name][()]
        column = draw(st.sampled_from(values.dtype.names)) if values.dtype.names else ...
        part = values[column] if values.dtype.names else values
        if part.dtype.kind == "S":
            part[...] = draw(st.binary(max_size=40))
        else:
            which = draw(st.integers(0, max(part.size - 1, 0))) if draw(st.booleans()) else slice(None)
            part.reshape(-1)[which] = np.array(draw(NUMBERS)).astype(part.dtype)
        file[name][...] = values


def replace(draw: st.DrawFn, file: h5py.File, name: str) -> None:
    """Puts something else in its place: nothing, a group, an array of another type or shape, or a mere claim."""
    del file[name]
    match draw(st.sampled_from(["nothing", "group", "claim", "empty", "array"])):
        case "group":
            file.create_group(name)
        case "claim":
            shape = draw(st.lists(st.sampled_from([0, 1, 3, 6, 8, 2**20, 2**36]), max_size=3))
            options = draw(st.sampled_from([{}, {"chunks": True}, {"compression": "gzip"}, {"compression": "lzf"}]))
            if (shape and 0 not in shape) or not options:
                file.create_dataset(name, shape, draw(st.sampled_from(["f4", "f8", "i8", "?"])), **options)
        case "empty":
            file[name] = h5py.Empty("f8")
        case "array":
            dtype = draw(DTYPES)
            shape = draw(npst.array_shapes(min_dims=0, max_dims=3, max_side=8))
            if dtype == "O":
                file.create_dataset(name, data=np.full(shape, "text", object), dtype=h5py.string_dtype())
            elif dtype not in ("S0", "M8[s]"):
                file[name] = np.zeros(shape, dtype)


def redirect(draw: st.DrawFn, file: h5py.File, name: str) -> None:
    """Makes it a link, or stores it elsewhere."""
    link: Any = draw(
        st.sampled_from(
            [h5py.SoftLink("/rewards"), h5py.SoftLink(f"/{name}"), h5py.ExternalLink("/etc/passwd", name),
             h5py.ExternalLink("dataset.h5", name), "external", "virtual", "loop"]
        )
    )  # fmt: skip
    old = file[name]
    shape, dtype = (old.shape, old.dtype) if isinstance(old, h5py.Dataset) else ((3,), np.dtype("f4"))
    del file[name]
    if link == "external":
        file.create_dataset(name, shape, dtype, external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])
    elif link == "virtual":
        layout = h5py.VirtualLayout(shape, dtype)
        if shape and 0 not in shape:
            layout[...] = h5py.VirtualSource("dataset.h5", name, shape)
            file.create_virtual_dataset(name, layout)
    else:
        file[name] = file["/"] if link == "loop" else link


def set_attribute(draw: st.DrawFn, file: h5py.File, name: str) -> None:
    """Sets, damages or takes away an attribute of the file or of a group."""
    owner = file[name] if file[name].attrs else file
    key = draw(st.sampled_from(sorted(owner.attrs)))
    text = bytes(owner.attrs[key])
    old = draw(st.sampled_from([b'"', b"0", b"{", b"1", b"true", b"name", text or b"x"]))
    new = draw(
        st.sampled_from([b"", b"[" * 3000, b"9" * 5000, b"NaN", b"-1", b"1e999", b"null", b"\xff", b"a" * 6000, b"[]"])
    )
    del owner.attrs[key]
    value = draw(
        st.sampled_from([np.bytes_(text.replace(old, new, 1)), "text", 3.5, [b"a", b"b"], h5py.Empty("f4"), None])
    )
    if value is not None:
        owner.attrs[key] = value
