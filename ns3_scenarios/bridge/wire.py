"""Gymnasium spaces and their values as ns3-gym messages, and back.

What other peers of this protocol do is read as well: float data for a space that declares doubles, arrays flattened
to one dimension, Boxes that declare 0 for both bounds because they have none.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from google.protobuf.message import DecodeError, Message
from gymnasium import spaces

from ns3_scenarios.bridge import ns3gym_pb2 as pb
from sumo_mobility.base.errors import ConfigError, SimulatorError

Space: TypeAlias = spaces.Box | spaces.Discrete | spaces.Tuple | spaces.Dict
Value: TypeAlias = "np.ndarray | int | tuple[Value, ...] | dict[str, Value]"

_FIELDS = {pb.INT: "intData", pb.UINT: "uintData", pb.FLOAT: "floatData", pb.DOUBLE: "doubleData"}
_DTYPES = {pb.INT: np.int32, pb.UINT: np.uint32, pb.FLOAT: np.float32, pb.DOUBLE: np.float64}
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
        SimulatorError: the description is damaged or of an unknown kind.
    """
    inner = description.space
    if description.type == pb.Discrete:
        return spaces.Discrete(_opened(inner, pb.DiscreteSpace()).n)
    if description.type == pb.Box:
        return _unpack_box_space(_opened(inner, pb.BoxSpace()))
    if description.type == pb.Tuple:
        return spaces.Tuple([unpack_space(element) for element in _opened(inner, pb.TupleSpace()).element])
    if description.type == pb.Dict:
        elements = _opened(inner, pb.DictSpace()).element
        return spaces.Dict([(element.name, unpack_space(element)) for element in elements])
    raise SimulatorError(f"wire: space of unknown type {description.type}", _CURE)


def pack(space: spaces.Space, value: Value, name: str = "") -> pb.DataContainer:
    """Packs a value of a space; Boxes keep their shape.

    Raises:
        ConfigError: the value does not fit the space.
    """
    where = f"wire: {name or 'value'}"
    if isinstance(space, spaces.Discrete) and isinstance(value, int | np.integer) and space.contains(value):
        kind, message = pb.Discrete, pb.DiscreteDataContainer(data=int(value))
    elif isinstance(space, spaces.Box):
        kind, message = pb.Box, _pack_box(space, np.asarray(value), where)
    elif isinstance(space, spaces.Tuple) and isinstance(value, tuple) and len(value) == len(space):
        elements = [pack(inner, part) for inner, part in zip(space, value, strict=True)]
        kind, message = pb.Tuple, pb.TupleDataContainer(element=elements)
    elif isinstance(space, spaces.Dict) and isinstance(value, dict) and value.keys() == space.keys():
        kind, message = pb.Dict, pb.DictDataContainer(element=[pack(space[key], value[key], key) for key in space])
    else:
        raise ConfigError(f"{where}: {value!r:.80} does not fit {space}")
    container = pb.DataContainer(type=kind, name=name)
    container.data.Pack(message)
    return container


def unpack(space: spaces.Space, container: pb.DataContainer) -> Value:
    """Returns the value of a space: Box an array of the space's dtype in the shape that was sent, Discrete an int.

    A Box that was sent flat takes the declared shape if it fits; other shapes may differ from the declared one
    (a list of events has a length of its own).

    Raises:
        SimulatorError: the container is damaged or does not fit the space.
    """
    inner, where = container.data, f"wire: {container.name or 'value'}"
    if isinstance(space, spaces.Discrete) and container.type == pb.Discrete:
        return int(_opened(inner, pb.DiscreteDataContainer()).data)
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


def _unpack_box_space(box: pb.BoxSpace) -> spaces.Box:
    if box.dtype not in _DTYPES or box.low > box.high:
        raise SimulatorError(f"wire: Box of dtype {box.dtype} from {box.low} to {box.high}", _CURE)
    low, high = (box.low, box.high) if box.low < box.high else (-np.inf, np.inf)
    shape = tuple(box.shape)
    if box.dtype in (pb.FLOAT, pb.DOUBLE):
        return spaces.Box(low, high, shape, np.float32 if box.dtype == pb.FLOAT else np.float64)
    dtype = np.int32 if box.dtype == pb.INT else np.uint32
    # Bounds travel as floats, which round 2^32 - 1 up to what the integer cannot hold.
    limits = np.iinfo(dtype)
    return spaces.Box(int(max(low, limits.min)), int(min(high, limits.max)), shape, dtype)


def _pack_box(space: spaces.Box, array: np.ndarray, where: str) -> pb.BoxDataContainer:
    if array.shape != space.shape or not np.can_cast(array.dtype, np.dtype(space.dtype), casting="same_kind"):
        raise ConfigError(f"{where}: array {array.shape} of {array.dtype} does not fit {space}")
    dtype = _wire_dtype(space.dtype)
    try:
        return pb.BoxDataContainer(dtype=dtype, shape=array.shape, **{_FIELDS[dtype]: array.ravel().tolist()})
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None


def _unpack_box(space: spaces.Box, box: pb.BoxDataContainer, where: str) -> np.ndarray:
    sent = next((dtype for dtype in (box.dtype, *_FIELDS) if dtype in _FIELDS and getattr(box, _FIELDS[dtype])), None)
    values = np.array(getattr(box, _FIELDS[sent]) if sent else [], dtype=_DTYPES[sent] if sent else space.dtype)
    shape = tuple(box.shape) or values.shape
    if shape == values.shape and values.size == math.prod(space.shape):
        shape = space.shape
    if values.size != math.prod(shape):
        raise SimulatorError(f"{where}: {values.size} numbers for shape {shape}", _CURE)
    return values.reshape(shape).astype(space.dtype, copy=False)
