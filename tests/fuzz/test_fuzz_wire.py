"""What a simulator may send: damaged messages and structures that the protocol allows, read by the agent's end."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import zmq
from google.protobuf.message import Message
from gymnasium import spaces
from harness import hostile, survives
from hypothesis import example, given
from hypothesis import strategies as st

from ns3_scenarios.bridge import ns3gym_pb2 as pb
from ns3_scenarios.bridge.server import AgentServer
from ns3_scenarios.bridge.wire import pack, pack_space, parse, unpack, unpack_space

SPACE = spaces.Dict(
    [
        ("load", spaces.Box(-6, 6, (2, 1), np.float64)),
        ("count", spaces.Box(0, 2**32 - 1, (2,), np.uint32)),
        ("events", spaces.Box(-np.inf, np.inf, (0, 2), np.float64)),
        ("inner", spaces.Tuple([spaces.Discrete(3), spaces.Box(-9, 9, (), np.int32)])),
    ]
)
VALUE = {
    "load": np.ones((2, 1)),
    "count": np.ones(2, np.uint32),
    "events": np.empty((0, 2)),
    "inner": (2, np.array(7, np.int32)),
}
INIT = pb.SimInitMsg(simProcessId=1, obsSpace=pack_space(SPACE), actSpace=pack_space(SPACE))
STATE = pb.EnvStateMsg(obsData=pack(SPACE, VALUE), reward=-0.5, info="{}")
TOKENS = [b"type.googleapis.com/ns3opengym.BoxSpace", b"\xff\xff\xff\xff\x0f", b"\x12\x00"]


def read_init(data: bytes) -> None:
    message = pb.SimInitMsg()
    parse(message, data)
    for description in (message.obsSpace, message.actSpace):
        space = unpack_space(description)
        assert unpack_space(pack_space(space)) == space


def read_state(data: bytes) -> None:
    message = pb.EnvStateMsg()
    parse(message, data)
    value = unpack(SPACE, message.obsData)
    unpack(SPACE, pack(SPACE, value | {"events": np.empty((0, 2))}))


@given(hostile([INIT.SerializeToString()], TOKENS))
def test_damaged_spaces(data: bytes) -> None:
    survives(lambda: read_init(data))


@given(hostile([STATE.SerializeToString()], TOKENS))
def test_damaged_values(data: bytes) -> None:
    survives(lambda: read_state(data))


INT32 = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-1, 0, 1])
UINT32 = st.sampled_from([0, 1, 2, 2**16, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
SHAPES = st.lists(UINT32, max_size=3) | st.integers(30, 100).map(lambda axes: [1] * axes)
NAMES = st.sampled_from(["", "load", "inner", "count"]) | st.text(max_size=3)
SINGLES = st.floats(width=32)


def boxed(
    description: type[Message], kind: st.SearchStrategy[int], inner: st.SearchStrategy[Message]
) -> st.SearchStrategy:
    """A SpaceDescription or DataContainer of any type around a message, which may be of another."""

    def build(kind: int, message: Message, name: str) -> Message:
        outer = description(type=kind, name=name)
        getattr(outer, "space" if description is pb.SpaceDescription else "data").Pack(message)
        return outer

    return st.builds(build, kind, inner, NAMES)


TYPES = st.sampled_from([0, 1, 2, 3, 4, 9])
DTYPES = st.sampled_from([0, 1, 2, 3, 4, 9])
DESCRIPTIONS = st.recursive(
    boxed(pb.SpaceDescription, st.just(pb.Discrete), st.builds(pb.DiscreteSpace, n=INT32))
    | boxed(
        pb.SpaceDescription,
        TYPES,
        st.builds(pb.BoxSpace, low=SINGLES, high=SINGLES, dtype=DTYPES, shape=SHAPES),
    ),
    lambda inner: (
        boxed(
            pb.SpaceDescription, st.just(pb.Tuple), st.lists(inner, max_size=4).map(lambda e: pb.TupleSpace(element=e))
        )
        | boxed(pb.SpaceDescription, TYPES, st.lists(inner, max_size=4).map(lambda e: pb.DictSpace(element=e)))
    ),
    max_leaves=12,
)
CONTAINERS = st.recursive(
    boxed(pb.DataContainer, TYPES, st.builds(pb.DiscreteDataContainer, data=INT32))
    | boxed(
        pb.DataContainer,
        st.just(pb.Box),
        st.builds(
            pb.BoxDataContainer,
            dtype=DTYPES,
            shape=SHAPES | st.sampled_from([[2], [2, 1], [0, 2], []]),
            intData=st.lists(INT32, max_size=3),
            uintData=st.lists(UINT32, max_size=3),
            floatData=st.lists(SINGLES, max_size=3),
            doubleData=st.lists(st.floats(), max_size=3),
        ),
    ),
    lambda inner: (
        boxed(pb.DataContainer, TYPES, st.builds(pb.TupleDataContainer, element=st.lists(inner, max_size=4)))
        | boxed(pb.DataContainer, TYPES, st.builds(pb.DictDataContainer, element=st.lists(inner, max_size=4)))
    ),
    max_leaves=8,
)
PARTS = {key: pack(SPACE[key], VALUE[key], key) for key in SPACE}


def nested(depth: int) -> pb.SpaceDescription:
    space = pack_space(spaces.Discrete(2))
    for _ in range(depth):
        outer = pb.SpaceDescription(type=pb.Tuple)
        outer.space.Pack(pb.TupleSpace(element=[space]))
        space = outer
    return space


def box(**fields: float) -> pb.SpaceDescription:
    description = pb.SpaceDescription(type=pb.Box)
    description.space.Pack(pb.BoxSpace(**fields))
    return description


@given(DESCRIPTIONS)
@example(nested(400))
@example(box(low=-np.inf, high=-(2.0**31), dtype=pb.INT))
def test_any_declared_space(description: pb.SpaceDescription) -> None:
    survives(lambda: read_init(pb.SimInitMsg(obsSpace=description, actSpace=description).SerializeToString()))


@given(st.sampled_from(sorted(PARTS)), CONTAINERS)
def test_any_value_in_the_place_of_one(key: str, container: pb.DataContainer) -> None:
    container.name = key
    message = pb.DictDataContainer(element=[*(part for name, part in PARTS.items() if name != key), container])
    whole = pb.DataContainer(type=pb.Dict)
    whole.data.Pack(message)
    survives(lambda: read_state(pb.EnvStateMsg(obsData=whole).SerializeToString()))


@pytest.fixture(scope="module")
def socket_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wire")


@given(
    st.lists(
        st.lists(hostile([INIT.SerializeToString(), STATE.SerializeToString(), b""], TOKENS), min_size=1, max_size=3),
        min_size=2,
        max_size=4,
    ),
    st.booleans(),
)
def test_any_messages_over_a_socket(socket_folder: Path, messages: list[list[bytes]], first_is_good: bool) -> None:
    """Several parts, other things than are due, and a peer that speaks first and then nonsense."""
    said = [[INIT.SerializeToString()], [STATE.SerializeToString()], *messages] if first_is_good else messages
    with AgentServer(f"ipc://{socket_folder}/wire", timeout_s=0.2) as server:
        peer = threading.Thread(target=say, args=[PEERS, server.endpoint, said])
        peer.start()
        try:
            survives(lambda: serve(server))
        finally:
            server.close()
            peer.join()


PEERS = zmq.Context()
"""One for all peers, and never ended: of some thousand contexts that end in quick succession, libzmq leaves one hanging
for ever, which is no fault of the server."""


def serve(server: AgentServer) -> None:
    server.accept()
    for _ in range(3):
        server.receive()
        server.act(server.action_space.sample())


def say(context: zmq.Context, endpoint: str, messages: list[list[bytes]]) -> None:
    with context.socket(zmq.REQ) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVTIMEO, 200)
        socket.connect(endpoint)
        for parts in messages:
            socket.send_multipart(parts)
            try:
                socket.recv()
            except zmq.Again:
                return
