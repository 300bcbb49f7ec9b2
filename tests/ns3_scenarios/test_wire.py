"""The ns3-gym wire against bytes assembled by hand, and round trips of any space and value."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.message import Message
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from recorded_messages import RECORDED

from ns3_scenarios.bridge import ns3gym_pb2 as pb
from ns3_scenarios.bridge.wire import Value, pack, pack_space, parse, unpack, unpack_space
from sumo_mobility.base.errors import ConfigError, SimulatorError

DISCRETE = spaces.Discrete(3)
BOX = spaces.Box(-6.0, 6.0, (2,), np.float64)
COLUMN = spaces.Box(-100.0, 100.0, (2, 1), np.float64)
DICT = spaces.Dict([("load", BOX), ("inner", spaces.Dict({"cell": DISCRETE}))])
COLUMN_DICT = spaces.Dict([("load", COLUMN), ("inner", spaces.Dict({"cell": DISCRETE}))])
NUMBERS = np.array([[1.23456789012], [-6.0]])


def recorded(name: str) -> bytes:
    return bytes.fromhex(RECORDED[name])


@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("DiscreteSpace", DISCRETE),
        ("BoxSpace", BOX),
        ("TupleSpace", spaces.Tuple([DISCRETE, BOX])),
        ("DictSpace", DICT),
    ],
)
def test_spaces_are_the_recorded_bytes(name: str, space: spaces.Space) -> None:
    description = pack_space(space)
    assert description.space.value == recorded(name)
    assert description.space.type_url == f"type.googleapis.com/ns3opengym.{name}"
    assert unpack_space(description) == space


def test_space_description_is_the_recorded_bytes() -> None:
    assert pack_space(DISCRETE, "cell").SerializeToString() == recorded("SpaceDescription")


@pytest.mark.parametrize(
    ("name", "space", "value"),
    [
        ("DiscreteDataContainer", DISCRETE, 2),
        ("BoxDataContainer INT", spaces.Box(-9, 999, (3,), np.int32), np.array([-1, 0, 300], np.int32)),
        ("BoxDataContainer UINT", spaces.Box(0, 2**32 - 1, (2,), np.uint32), np.array([2**32 - 1, 7], np.uint32)),
        ("BoxDataContainer FLOAT", spaces.Box(-9, 9, (2,), np.float32), np.array([0.5, -1.25], np.float32)),
        ("BoxDataContainer DOUBLE", COLUMN, NUMBERS),
        ("TupleDataContainer", spaces.Tuple([DISCRETE, COLUMN]), (2, NUMBERS)),
        ("DictDataContainer", COLUMN_DICT, {"load": NUMBERS, "inner": {"cell": 2}}),
    ],
)
def test_containers_are_the_recorded_bytes(name: str, space: spaces.Space, value: Value) -> None:
    container = pack(space, value)
    assert container.data.value == recorded(name)
    assert container.data.type_url == f"type.googleapis.com/ns3opengym.{name.split()[0]}"
    assert_same(unpack(space, container), value)


def test_named_container_is_the_recorded_bytes() -> None:
    assert pack(COLUMN, NUMBERS, "ue_sinr_db").SerializeToString() == recorded("DataContainer")


def test_init_is_read() -> None:
    message = pb.SimInitMsg()
    parse(message, recorded("SimInitMsg"))
    assert (message.simProcessId, message.wafShellProcessId) == (4242, 4241)
    assert unpack_space(message.obsSpace) == DICT
    assert unpack_space(message.actSpace) == BOX


def test_states_are_read() -> None:
    message = pb.EnvStateMsg()
    parse(message, recorded("EnvStateMsg"))
    assert (message.reward, message.isGameOver, message.reason) == (-0.25, False, pb.EnvStateMsg.SimulationEnd)
    assert message.info == '{"ns3_version": "3.44"}'
    assert_same(unpack(COLUMN_DICT, message.obsData), {"load": NUMBERS, "inner": {"cell": 2}})
    parse(message, recorded("EnvStateMsg over"))
    assert (message.isGameOver, message.reason) == (True, pb.EnvStateMsg.GameOver)
    parse(message, recorded("EnvStateMsg end"))
    assert (message.isGameOver, message.reason) == (True, pb.EnvStateMsg.SimulationEnd)


def test_answers_are_the_recorded_bytes() -> None:
    assert pb.SimInitAck(done=True).SerializeToString() == recorded("SimInitAck")
    assert pb.SimInitAck(stopSimReq=True).SerializeToString() == recorded("SimInitAck stop")
    action = pb.EnvActMsg(actData=pack(BOX, np.array([1.5, -6.0])))
    assert action.SerializeToString() == recorded("EnvActMsg")
    singles = pb.EnvActMsg(actData=pack(spaces.Box(-6.0, 6.0, (2,), np.float32), np.array([1.5, -6.0], np.float32)))
    assert singles.SerializeToString() == recorded("EnvActMsg FLOAT")
    assert pb.EnvActMsg(stopSimReq=True).SerializeToString() == recorded("EnvActMsg stop")


def test_numbers_of_the_enumerations() -> None:
    types = ["Unknown", "Init", "ActionSpace", "ObservationSpace", "IsGameOver", "Observation", "Reward", "ExtraInfo"]
    assert pb.MsgType.keys() == [*types, "Action", "StopEnv"]
    assert pb.SpaceType.keys() == ["NoSpaceType", "Discrete", "Box", "Tuple", "Dict"]
    assert pb.Dtype.keys() == ["NoDType", "INT", "UINT", "FLOAT", "DOUBLE"]
    for enum in (pb.MsgType, pb.SpaceType, pb.Dtype, pb.EnvStateMsg.Reason):
        assert enum.values() == list(range(len(enum.keys())))


@pytest.mark.skipif(shutil.which("protoc") is None, reason="protoc is not installed")
def test_generated_code_is_that_of_the_proto_file(tmp_path: Path) -> None:
    folder = Path(pb.__file__).parent
    subprocess.run(["protoc", f"-I{folder}", f"-o{tmp_path}/set", "ns3gym.proto"], check=True, timeout=60)
    fresh = FileDescriptorSet.FromString((tmp_path / "set").read_bytes()).file[0]
    for field in (field for message in fresh.message_type for field in message.field):
        field.ClearField("json_name")
    assert fresh == FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)


class TestHabitsOfOtherPeers:
    """What upstream's client and simulators send."""

    def test_float_data_for_doubles(self) -> None:
        box = pb.BoxDataContainer(dtype=pb.FLOAT, shape=[2], floatData=[1.5, -2.0])
        assert_same(unpack(BOX, boxed(box)), np.array([1.5, -2.0]))

    def test_data_in_another_field_than_dtype_says(self) -> None:
        box = pb.BoxDataContainer(dtype=pb.DOUBLE, shape=[2], floatData=[1.5, -2.0])
        assert_same(unpack(BOX, boxed(box)), np.array([1.5, -2.0]))

    def test_flat_data_takes_the_declared_shape(self) -> None:
        box = pb.BoxDataContainer(dtype=pb.DOUBLE, shape=[2], doubleData=[1.0, 2.0])
        assert_same(unpack(COLUMN, boxed(box)), np.array([[1.0], [2.0]]))

    def test_no_shape_at_all(self) -> None:
        box = pb.BoxDataContainer(dtype=pb.DOUBLE, doubleData=[1.0, 2.0])
        assert_same(unpack(COLUMN, boxed(box)), np.array([[1.0], [2.0]]))

    def test_zero_bounds_mean_none(self) -> None:
        description = pb.SpaceDescription(type=pb.Box)
        description.space.Pack(pb.BoxSpace(dtype=pb.FLOAT, shape=[1]))
        assert unpack_space(description) == spaces.Box(-np.inf, np.inf, (1,), np.float32)

    def test_a_list_of_another_length_than_declared(self) -> None:
        events = spaces.Box(-np.inf, np.inf, (0, 5), np.float64)
        assert_same(unpack(unpack_space(pack_space(events)), pack(events, np.empty((0, 5)))), np.empty((0, 5)))
        three = spaces.Box(-np.inf, np.inf, (3, 5), np.float64)
        assert_same(unpack(events, pack(three, np.ones((3, 5)))), np.ones((3, 5)))


class TestDamage:
    """Foreign or damaged messages are errors that say so."""

    def test_bytes_of_something_else(self) -> None:
        with pytest.raises(SimulatorError, match="5 bytes that are not a SimInitMsg"):
            parse(pb.SimInitMsg(), b"hello")

    def test_shape_and_data_differ(self) -> None:
        box = pb.BoxDataContainer(dtype=pb.DOUBLE, shape=[3], doubleData=[1.0, 2.0])
        with pytest.raises(SimulatorError, match=r"2 numbers for shape \(3,\)"):
            unpack(BOX, boxed(box))

    def test_any_of_another_type(self) -> None:
        container = pb.DataContainer(type=pb.Box)
        container.data.Pack(pb.DiscreteDataContainer(data=1))
        with pytest.raises(SimulatorError, match=r"DiscreteDataContainer' where ns3opengym\.BoxDataContainer is due"):
            unpack(BOX, container)

    def test_missing_key(self) -> None:
        with pytest.raises(SimulatorError, match="differ in inner"):
            unpack(DICT, pack(spaces.Dict({"load": BOX}), {"load": np.zeros(2)}))

    def test_tuple_of_another_length(self) -> None:
        with pytest.raises(SimulatorError, match="1 elements"):
            unpack(spaces.Tuple([DISCRETE, DISCRETE]), pack(spaces.Tuple([DISCRETE]), (1,)))

    @pytest.mark.parametrize(
        ("box", "message"),
        [
            (pb.BoxDataContainer(dtype=pb.DOUBLE, doubleData=[1.0, np.nan]), r"value\[1\]: nan is not a number"),
            (
                pb.BoxDataContainer(dtype=pb.DOUBLE, doubleData=[6.1, 0.0]),
                r"value\[0\]: 6.1 is not .* -6.0 to 6.0",
            ),
            (pb.BoxDataContainer(dtype=pb.DOUBLE, doubleData=[0.0, -np.inf]), r"value\[1\]: -inf is not"),
            (pb.BoxDataContainer(dtype=pb.DOUBLE, shape=[1, 2], doubleData=[0.0, 0.0]), r"shape \(1, 2\), but \(2,\)"),
            (pb.BoxDataContainer(dtype=pb.DOUBLE, shape=[2**32 - 1] * 40, doubleData=[0.0]), "1 numbers for shape"),
        ],
    )
    def test_numbers_that_do_not_fit(self, box: pb.BoxDataContainer, message: str) -> None:
        with pytest.raises(SimulatorError, match=message):
            unpack(BOX, boxed(box))

    @pytest.mark.parametrize(
        ("box", "message"),
        [
            (pb.BoxDataContainer(dtype=pb.FLOAT, floatData=[1.5]), "float32 where int32 was declared"),
            (pb.BoxDataContainer(dtype=pb.UINT, uintData=[2**31]), r"value\[0\]: 2147483648 is not"),
        ],
    )
    def test_numbers_that_no_integer_holds(self, box: pb.BoxDataContainer, message: str) -> None:
        with pytest.raises(SimulatorError, match=message):
            unpack(spaces.Box(-(2**31), 2**31 - 1, (1,), np.int32), boxed(box))

    @pytest.mark.parametrize("number", [-1, 3, 2**31 - 1])
    def test_a_number_that_the_space_has_not(self, number: int) -> None:
        container = pb.DataContainer(type=pb.Discrete)
        container.data.Pack(pb.DiscreteDataContainer(data=number))
        with pytest.raises(SimulatorError, match=rf"{number} does not fit Discrete\(3\)"):
            unpack(DISCRETE, container)

    @pytest.mark.parametrize("number", [0, -1, -(2**31)])
    def test_no_values_at_all(self, number: int) -> None:
        with pytest.raises(SimulatorError, match=f"Discrete space of {number} values"):
            unpack_space(described(pb.Discrete, pb.DiscreteSpace(n=number)))

    @pytest.mark.parametrize("shape", [[4_000_000_000], [2**16, 2**16], [0, 2**32 - 1, 2**32 - 1], [1] * 40])
    def test_too_large(self, shape: list[int]) -> None:
        with pytest.raises(SimulatorError, match="at most 16777216 numbers and 32 axes are taken"):
            unpack_space(described(pb.Box, pb.BoxSpace(low=0, high=1, dtype=pb.DOUBLE, shape=shape)))

    def test_too_large_together(self) -> None:
        box = described(pb.Box, pb.BoxSpace(low=0, high=1, dtype=pb.UINT, shape=[2**23]))
        with pytest.raises(SimulatorError, match="at most 16777216 numbers"):
            unpack_space(described(pb.Tuple, pb.TupleSpace(element=[box] * 3)))
        many = [described(pb.Discrete, pb.DiscreteSpace(n=1))] * 20_000
        with pytest.raises(SimulatorError, match="more than 16384 spaces"):
            unpack_space(described(pb.Tuple, pb.TupleSpace(element=many)))

    @pytest.mark.parametrize("depth", [33, 400])
    def test_too_deep(self, depth: int) -> None:
        space = described(pb.Discrete, pb.DiscreteSpace(n=1))
        for _ in range(depth):
            space = described(pb.Tuple, pb.TupleSpace(element=[space]))
        with pytest.raises(SimulatorError, match="nested more than 32 deep"):
            unpack_space(space)

    def test_two_of_a_name(self) -> None:
        inner = pack_space(DISCRETE, "cell")
        with pytest.raises(SimulatorError, match="have one name"):
            unpack_space(described(pb.Dict, pb.DictSpace(element=[inner, inner])))

    @pytest.mark.parametrize("bounds", [(np.nan, 1), (0, np.nan)])
    def test_bounds_that_are_no_numbers(self, bounds: tuple[float, float]) -> None:
        with pytest.raises(SimulatorError, match="nan"):
            unpack_space(described(pb.Box, pb.BoxSpace(low=bounds[0], high=bounds[1], dtype=pb.DOUBLE, shape=[1])))

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (np.array([0.0, np.nan]), r"wire: value\[1\]: nan is not a number from -6\.0 to 6\.0"),
            (np.array([-6.01, 0.0]), r"wire: value\[0\]: -6\.01 is not a number from -6\.0 to 6\.0"),
            (np.array([0.0, np.inf]), r"value\[1\]: inf"),
            ([[0.0], [1.0, 2.0]], "no array"),
            ("high", "does not fit"),
        ],
    )
    def test_actions_beyond_the_box_are_named(self, value: Value, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            pack(BOX, value)

    def test_bounds_are_compared_in_single_precision(self) -> None:
        tenth = unpack_space(pack_space(spaces.Box(-0.3, 0.1, (1,), np.float64)))
        assert tenth.high[0] > 0.1
        assert_same(unpack(tenth, pack(tenth, np.array([-0.3]))), np.array([-0.3]))

    def test_unknown_space(self) -> None:
        with pytest.raises(SimulatorError, match="unknown type 0"):
            unpack_space(pb.SpaceDescription())

    def test_bounds_upside_down(self) -> None:
        description = pb.SpaceDescription(type=pb.Box)
        description.space.Pack(pb.BoxSpace(low=6, high=3, dtype=pb.DOUBLE, shape=[1]))
        with pytest.raises(SimulatorError, match="from 6"):
            unpack_space(description)

    @pytest.mark.parametrize(
        ("space", "value"),
        [
            (BOX, np.zeros(3)),
            (spaces.Box(0, 9, (1,), np.int32), np.array([0.5])),
            (spaces.Box(0, 9, (1,), np.int32), np.array([2**40])),
            (DISCRETE, 3),
            (spaces.Tuple([DISCRETE]), (1, 1)),
            (DICT, {"load": np.zeros(2)}),
        ],
    )
    def test_values_that_do_not_fit(self, space: spaces.Space, value: Value) -> None:
        with pytest.raises(ConfigError):
            pack(space, value)

    @pytest.mark.parametrize("space", [spaces.Discrete(3, start=1), spaces.MultiBinary(3), spaces.Text(3)])
    def test_spaces_that_the_wire_has_not(self, space: spaces.Space) -> None:
        with pytest.raises(ConfigError, match="cannot be described"):
            pack_space(space)


SHAPES = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[spaces.Space, Value]:
    dtype = draw(st.sampled_from([np.int32, np.uint32, np.float32, np.float64]))
    shape = draw(SHAPES)
    low, high = (-1e6, 1e6) if dtype != np.uint32 else (0, 1e6)
    elements = npst.from_dtype(np.dtype(dtype), min_value=low, max_value=high, allow_nan=False)
    return spaces.Box(dtype(low), dtype(high), shape, dtype), draw(npst.arrays(dtype, shape, elements=elements))


@st.composite
def discretes(draw: st.DrawFn) -> tuple[spaces.Space, Value]:
    n = draw(st.integers(1, 2**31 - 1))
    return spaces.Discrete(n), draw(st.integers(0, n - 1))


def nested(inner: st.SearchStrategy[tuple[spaces.Space, Value]]) -> st.SearchStrategy[tuple[spaces.Space, Value]]:
    tuples = st.lists(inner, max_size=3).map(
        lambda parts: (spaces.Tuple([space for space, _ in parts]), tuple(value for _, value in parts))
    )
    dicts = st.dictionaries(st.text(max_size=5), inner, max_size=3).map(
        lambda parts: (
            spaces.Dict([(key, space) for key, (space, _) in parts.items()]),
            {key: value for key, (_, value) in parts.items()},
        )
    )
    return tuples | dicts


@given(st.recursive(boxes() | discretes(), nested, max_leaves=6))
def test_any_space_and_value_come_back(given_pair: tuple[spaces.Space, Value]) -> None:
    space, value = given_pair
    description = pb.SpaceDescription.FromString(pack_space(space).SerializeToString())
    back = unpack_space(description)
    assert describes(back, space)
    container = pb.DataContainer.FromString(pack(space, value).SerializeToString())
    assert_same(unpack(back, container), value)


def described(kind: int, message: Message) -> pb.SpaceDescription:
    description = pb.SpaceDescription(type=kind)
    description.space.Pack(message)
    return description


def boxed(box: pb.BoxDataContainer) -> pb.DataContainer:
    container = pb.DataContainer(type=pb.Box)
    container.data.Pack(box)
    return container


def describes(back: spaces.Space, space: spaces.Space) -> bool:
    """Equal, but for the bounds of an empty Box, which has none."""
    if isinstance(space, spaces.Box) and 0 in space.shape:
        return back.shape == space.shape and back.dtype == space.dtype
    if isinstance(space, spaces.Tuple) and isinstance(back, spaces.Tuple):
        return len(back) == len(space) and all(map(describes, back, space))
    if isinstance(space, spaces.Dict) and isinstance(back, spaces.Dict):
        return list(back) == list(space) and all(describes(back[key], space[key]) for key in space)
    return back == space


def assert_same(back: Value, value: Value) -> None:
    """Equal in type, shape, dtype and every number."""
    assert type(back) is type(value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
        assert np.array_equal(back, value)
    elif isinstance(value, dict):
        assert back.keys() == value.keys()
        for key in value:
            assert_same(back[key], value[key])
    elif isinstance(value, tuple):
        assert len(back) == len(value)
        for pair in zip(back, value, strict=True):
            assert_same(*pair)
    else:
        assert back == value
