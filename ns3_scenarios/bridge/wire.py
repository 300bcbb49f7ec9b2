"""Gymnasium spaces and their values as ns3-gym messages, and back.

What other peers of this protocol do is read as well: float data for a space that declares doubles, arrays flattened
to one dimension, Boxes that declare 0 for both bounds because they have none. What does not fit its space is refused,
whoever sends it. Bounds travel in single precision, so that values are compared with them in that.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from google.protobuf.message import DecodeError, Message
from gymnasium import spaces

from ns3_scenarios.bridge import ns3gym_pb2 as pb
from sumo_mobility.base.documents import shown
from sumo_mobility.base.errors import ConfigError, SimulatorError

Space: TypeAlias = spaces.Box | spaces.Discrete | spaces.Tuple | spaces.Dict
Value: TypeAlias = "np.ndarray | int | tuple[Value, ...] | dict[str, Value]"

_FIELDS = {pb.INT: "intData", pb.UINT: "uintData", pb.FLOAT: "floatData", pb.DOUBLE: "doubleData"}
_DTYPES = {pb.INT: np.int32, pb.UINT: np.uint32, pb.FLOAT: np.float32, pb.DOUBLE: np.float64}
_MAX_DEPTH, _MAX_AXES = 32, 32
_MAX_ELEMENTS = 2**24
"""The greatest number of elements that all Boxes of a space may have together; Gymnasium stores two bounds for each."""
_SPACE_ELEMENTS = 2**10
"""Every space counts as this many elements, in addition to its own, so that nesting is bounded too."""
_CURE = "both ends must speak the protocol of ns3_scenarios/bridge/ns3gym.proto"


def pack_space(space: spaces.Space, name: str = "") -> pb.SpaceDescription:
    """Describes a space; a Box is reduced to its widest bounds and to 32 bits if it holds integers.

    Raises:
        ConfigError: the wire has no such space.
    """
    if isinstance(space, spaces.Discrete) and space.start == 0:
        kind, message = pb.Discrete, pb.DiscreteSpace(n=int(space.n))
    elif isinstance(space, spaces.Box):
        low, high = (float(space.low.min()), float(space.high.max())) if space.low.size else (0.0, 0.0)
        kind, message = pb.Box, pb.BoxSpace(low=low, high=high, dtype=_wire_dtype(space.dtype), shape=space.shape)
    elif isinstance(space, spaces.Tuple):
        kind, message = pb.Tuple, pb.TupleSpace(element=[pack_space(inner) for inner in space])
    elif isinstance(space, spaces.Dict):
        kind, message = pb.Dict, pb.DictSpace(element=[pack_space(inner, key) for key, inner in space.items()])
    else:
        raise ConfigError(f"wire: {space} cannot be described; Box, Discrete from 0, Tuple and Dict can")
    description = pb.SpaceDescription(type=kind, name=name)
    description.space.Pack(message)
    return description


def unpack_space(description: pb.SpaceDescription) -> Space:
    """Returns the space that a peer declared.

    Raises:
        SimulatorError: the description is damaged, of an unknown kind, too large or too deep, or holds nothing.
    """
    return _unpack_space(description, _MAX_DEPTH, [_MAX_ELEMENTS])


def pack(space: spaces.Space, value: Value, name: str = "") -> pb.DataContainer:
    """Packs a value of a space; Boxes keep their shape.

    Raises:
        ConfigError: the value does not fit the space: of another shape or type, not a number, or out of bounds.
    """
    where = f"wire: {name or 'value'}"
    if isinstance(space, spaces.Discrete) and isinstance(value, int | np.integer) and space.contains(value):
        kind, message = pb.Discrete, pb.DiscreteDataContainer(data=int(value))
    elif isinstance(space, spaces.Box):
        kind, message = pb.Box, _pack_box(space, value, where)
    elif isinstance(space, spaces.Tuple) and isinstance(value, tuple) and len(value) == len(space):
        elements = [pack(inner, part) for inner, part in zip(space, value, strict=True)]
        kind, message = pb.Tuple, pb.TupleDataContainer(element=elements)
    elif isinstance(space, spaces.Dict) and isinstance(value, dict) and value.keys() == space.keys():
        kind, message = pb.Dict, pb.DictDataContainer(element=[pack(space[key], value[key], key) for key in space])
    else:
        raise ConfigError(f"{where}: {shown(value)} does not fit {space}")
    container = pb.DataContainer(type=kind, name=name)
    container.data.Pack(message)
    return container


def unpack(space: spaces.Space, container: pb.DataContainer) -> Value:
    """Returns the value of a space: Box an array of the space's dtype and shape, Discrete an int.

    A Box that was sent flat takes the declared shape if it fits; an axis that was declared with size 0 may have any
    (a list of events has a length of its own).

    Raises:
        SimulatorError: the container is damaged or does not fit the space.
    """
    inner, where = container.data, f"wire: {container.name or 'value'}"
    if isinstance(space, spaces.Discrete) and container.type == pb.Discrete:
        number = int(_opened(inner, pb.DiscreteDataContainer()).data)
        if not space.contains(number):
            raise SimulatorError(f"{where}: {number} does not fit {space}", _CURE)
        return number
    if isinstance(space, spaces.Box) and container.type == pb.Box:
        return _unpack_box(space, _opened(inner, pb.BoxDataContainer()), where)
    if isinstance(space, spaces.Tuple) and container.type == pb.Tuple:
        elements = _opened(inner, pb.TupleDataContainer()).element
        if len(elements) != len(space):
            raise SimulatorError(f"{where}: {len(elements)} elements for {space}", _CURE)
        return tuple(unpack(inner, part) for inner, part in zip(space, elements, strict=True))
    if isinstance(space, spaces.Dict) and container.type == pb.Dict:
        named = {element.name: element for element in _opened(inner, pb.DictDataContainer()).element}
        if named.keys() != space.keys():
            differing = ", ".join(sorted(named.keys() ^ space.keys()))
            raise SimulatorError(f"{where}: the space and the data differ in {differing}", _CURE)
        return {key: unpack(space[key], named[key]) for key in space}
    raise SimulatorError(f"{where}: data of type {container.type} for {space}", _CURE)


def parse(message: Message, data: bytes) -> None:
    """Fills `message` from bytes; SimulatorError if they are something else."""
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise SimulatorError(f"wire: {len(data)} bytes that are not a {message.DESCRIPTOR.name}", _CURE) from None


def _opened(inner: Message, message: Message) -> Message:
    """Unpacks an Any into `message` and returns it."""
    try:
        fits = inner.Unpack(message)
    except DecodeError:
        fits = False
    if not fits:
        raise SimulatorError(f"wire: '{inner.type_url}' where {message.DESCRIPTOR.full_name} is due", _CURE)
    return message


def _wire_dtype(dtype: np.dtype | None) -> pb.Dtype:
    kind = np.dtype(dtype).kind
    if kind == "f":
        return pb.DOUBLE if np.dtype(dtype).itemsize > 4 else pb.FLOAT
    if kind in "iu":
        return pb.INT if kind == "i" else pb.UINT
    raise ConfigError(f"wire: Box of {dtype}; integers and floats can be sent")


def _unpack_space(description: pb.SpaceDescription, depth: int, room: list[int]) -> Space:
    """See `unpack_space`; `room` counts down the elements that may still come."""
    inner = description.space
    room[0] -= _SPACE_ELEMENTS
    if room[0] < 0:
        raise SimulatorError(f"wire: more than {_MAX_ELEMENTS // _SPACE_ELEMENTS} spaces in one", _CURE)
    if description.type == pb.Discrete:
        number = _opened(inner, pb.DiscreteSpace()).n
        if number < 1:
            raise SimulatorError(f"wire: Discrete space of {number} values", _CURE)
        return spaces.Discrete(number)
    if description.type == pb.Box:
        return _unpack_box_space(_opened(inner, pb.BoxSpace()), room)
    if description.type not in (pb.Tuple, pb.Dict):
        raise SimulatorError(f"wire: space of unknown type {description.type}", _CURE)
    if depth == 0:
        raise SimulatorError(f"wire: spaces nested more than {_MAX_DEPTH} deep", _CURE)
    elements = _opened(inner, pb.TupleSpace() if description.type == pb.Tuple else pb.DictSpace()).element
    parts = [_unpack_space(element, depth - 1, room) for element in elements]
    if description.type == pb.Tuple:
        return spaces.Tuple(parts)
    names = [element.name for element in elements]
    if len(set(names)) < len(names):
        raise SimulatorError(f"wire: two elements of a Dict have one name of {sorted(names)!s:.80}", _CURE)
    return spaces.Dict(list(zip(names, parts, strict=True)))


def _unpack_box_space(box: pb.BoxSpace, room: list[int]) -> spaces.Box:
    if box.dtype not in _DTYPES or not box.low <= box.high:
        raise SimulatorError(f"wire: Box of dtype {box.dtype} from {box.low} to {box.high}", _CURE)
    shape = tuple(box.shape)
    # An axis of 0 takes no memory, but NumPy multiplies the others nonetheless.
    room[0] -= math.prod(size or 1 for size in shape)
    if len(shape) > _MAX_AXES or room[0] < 0:
        limits = f"{_MAX_ELEMENTS} numbers and {_MAX_AXES} axes"
        raise SimulatorError(f"wire: Box of shape {shape!s:.80}, but at most {limits} are taken", _CURE)
    if box.dtype in (pb.FLOAT, pb.DOUBLE):
        low, high = (box.low, box.high) if box.low < box.high else (-np.inf, np.inf)
        return spaces.Box(low, high, shape, np.float32 if box.dtype == pb.FLOAT else np.float64)
    dtype = np.int32 if box.dtype == pb.INT else np.uint32
    # Bounds travel as floats, which round 2^32 - 1 up to what the integer cannot hold.
    span = np.iinfo(dtype)
    low, high = (min(max(bound, span.min), span.max) for bound in (box.low, box.high))
    low, high = (low, high) if low < high else (span.min, span.max)
    return spaces.Box(int(low), int(high), shape, dtype)


def _pack_box(space: spaces.Box, value: Value, where: str) -> pb.BoxDataContainer:
    try:
        array = np.asarray(value)
    except ValueError:
        raise ConfigError(f"{where}: {shown(value)} is no array") from None
    if array.shape != space.shape or not np.can_cast(array.dtype, np.dtype(space.dtype), casting="same_kind"):
        raise ConfigError(f"{where}: array {array.shape} of {array.dtype} does not fit {space}")
    misfit = _misfit(space, array)
    if misfit:
        raise ConfigError(f"{where}{misfit}")
    dtype = _wire_dtype(space.dtype)
    return pb.BoxDataContainer(dtype=dtype, shape=array.shape, **{_FIELDS[dtype]: array.ravel().tolist()})


def _unpack_box(space: spaces.Box, box: pb.BoxDataContainer, where: str) -> np.ndarray:
    sent = next((dtype for dtype in (box.dtype, *_FIELDS) if dtype in _FIELDS and getattr(box, _FIELDS[dtype])), None)
    values = np.array(getattr(box, _FIELDS[sent]) if sent else [], dtype=_DTYPES[sent] if sent else space.dtype)
    shape = tuple(box.shape) or values.shape
    if shape == values.shape and values.size == math.prod(space.shape):
        shape = space.shape
    if values.size != math.prod(shape):
        raise SimulatorError(f"{where}: {values.size} numbers for shape {shape!s:.80}", _CURE)
    if len(shape) != len(space.shape) or any(
        want not in (0, size) for want, size in zip(space.shape, shape, strict=True)
    ):
        raise SimulatorError(f"{where}: shape {shape!s:.80}, but {space.shape} was declared", _CURE)
    if not np.can_cast(values.dtype, np.dtype(space.dtype), casting="same_kind"):
        raise SimulatorError(f"{where}: {values.dtype} where {space.dtype} was declared", _CURE)
    values = values.reshape(shape)
    misfit = _misfit(space, values)
    if misfit:
        raise SimulatorError(f"{where}{misfit}", _CURE)
    return values.astype(space.dtype, copy=False)


def _fits(declared: int, size: int) -> bool:
    return declared in (0, size)


def _misfit(space: spaces.Box, values: np.ndarray) -> str:
    """Says which element of an array is not a number, or beyond the bounds or the type; empty if none is."""
    with np.errstate(over="ignore"):
        singles = values.astype(np.float32)
    bad = np.isnan(singles)
    if space.low.size:
        bad |= (singles < space.low.astype(np.float32)) | (singles > space.high.astype(np.float32))
    if space.dtype is not None and space.dtype.kind in "iu":
        limits = np.iinfo(space.dtype)
        bad |= (values < limits.min) | (values > limits.max)
    if not bad.any():
        return ""
    index = tuple(int(axis) for axis in np.argwhere(bad)[0])
    bounds = f" from {space.low[index]} to {space.high[index]}" if space.low.size else ""
    return f"{list(index)}: {values[index]} is not a number{bounds}"
