"""The real program, driven by clients that are not ours: recorded bytes only, and the habits of ns3-gym's client."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import made_network
import numpy as np
import programs
import pytest
import zmq
from google.protobuf.message import Message
from recorded_messages import RECORDED

from ns3_scenarios.bridge import ns3gym_pb2 as pb

pytestmark = pytest.mark.ns3

OBSERVATION = [
    "time_s", "prb_utilization", "offered_bps", "served_bps", "connected_ues", "ue_position_m", "ue_serving_cell",
    "ue_rsrp_dbm", "ue_sinr_db", "ue_throughput_bps", "events",
]  # fmt: skip


@contextmanager
def played_by(folder: Path) -> Iterator[tuple[zmq.Socket, subprocess.Popen[str]]]:
    """A REP socket of one's own, and the program that was started by hand and connects to it."""
    with zmq.Context() as context, context.socket(zmq.REP) as socket:
        socket.setsockopt(zmq.RCVTIMEO, 30_000)
        socket.setsockopt(zmq.LINGER, 1000)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        argv = programs.command(folder, made_network.scenario(), made_network.trace(), f"tcp://localhost:{port}")
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        try:
            yield socket, process
        finally:
            process.kill()
            process.communicate()


def answer_with(socket: zmq.Socket, name: str) -> pb.EnvStateMsg:
    socket.send(bytes.fromhex(RECORDED[name]))
    return pb.EnvStateMsg.FromString(socket.recv())


def arrays(state: pb.EnvStateMsg) -> dict[str, list[float]]:
    """Name and numbers of each part of an observation."""
    observation = pb.DictDataContainer()
    assert state.obsData.data.Unpack(observation)
    found = {}
    for element in observation.element:
        box = pb.BoxDataContainer()
        assert element.data.Unpack(box)
        assert np.prod(box.shape) == len(box.doubleData)
        found[element.name] = list(box.doubleData)
    return found


@pytest.mark.parametrize("action", ["EnvActMsg", "EnvActMsg FLOAT"])
def test_an_episode_of_recorded_bytes(tmp_path: Path, action: str) -> None:
    with played_by(tmp_path) as (socket, process):
        init = pb.SimInitMsg.FromString(socket.recv())
        assert init.simProcessId == process.pid
        space = pb.DictSpace()
        assert init.obsSpace.type == pb.Dict
        assert init.obsSpace.space.Unpack(space)
        assert [element.name for element in space.element] == OBSERVATION
        offsets = pb.BoxSpace()
        assert init.actSpace.type == pb.Box
        assert init.actSpace.space.Unpack(offsets)
        assert (offsets.low, offsets.high, offsets.dtype, list(offsets.shape)) == (-6, 6, pb.DOUBLE, [2])

        states = [answer_with(socket, "SimInitAck")]
        for _ in range(made_network.STEPS):
            assert (states[-1].isGameOver, states[-1].reason) == (False, pb.EnvStateMsg.SimulationEnd)
            states.append(answer_with(socket, action))
        assert (states[-1].isGameOver, states[-1].reason) == (True, pb.EnvStateMsg.SimulationEnd)
        assert [arrays(state)["time_s"] for state in states] == [[0], [1], [2], [3]]
        assert arrays(states[0])["ue_serving_cell"] == [0, 0, 0, 0, 0, 1]
        for state in states:
            assert state.reward == np.float32(-np.std(arrays(state)["prb_utilization"]))
        socket.send(bytes.fromhex(RECORDED[action]))  # read and ignored
        assert process.wait(5) == 0


def test_stop_at_the_handshake(tmp_path: Path) -> None:
    with played_by(tmp_path) as (socket, process):
        socket.recv()
        socket.send(bytes.fromhex(RECORDED["SimInitAck stop"]))
        assert process.wait(5) == 0


def test_stop_with_no_action_data(tmp_path: Path) -> None:
    with played_by(tmp_path) as (socket, process):
        socket.recv()
        answer_with(socket, "SimInitAck")
        socket.send(bytes.fromhex(RECORDED["EnvActMsg stop"]))
        assert process.wait(5) == 0


def test_ns3_gyms_client_plays_an_episode(tmp_path: Path) -> None:
    """It sends an action as a flat list in single precision, and answers the last state by itself with a stop."""
    with played_by(tmp_path) as (socket, process):
        socket.recv()
        socket.send(pb.SimInitAck(done=True, stopSimReq=False).SerializeToString())
        steps = 0
        while True:
            state = pb.EnvStateMsg.FromString(socket.recv())
            if state.isGameOver:
                socket.send(pb.EnvActMsg(stopSimReq=True).SerializeToString())
                break
            action = pb.BoxDataContainer(dtype=pb.FLOAT, shape=[2], floatData=np.array([6.0, -5.9], np.float32))
            answer = pb.EnvActMsg()
            answer.actData.type = pb.Box
            answer.actData.data.Pack(action)
            socket.send(answer.SerializeToString())
            steps += 1
        assert process.wait(5) == 0
        assert steps == made_network.STEPS
        assert arrays(state)["ue_serving_cell"] == [1, 1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("reply", "what", "code"),
    [
        (b"hello", "error: agent: the answer is not a ns3opengym.SimInitAck; cure: ", 1),
        (bytes.fromhex(RECORDED["SimInitAck"]), "error: action: not a Box; cure: ", 2),
    ],
)
def test_foreign_bytes_end_the_program(tmp_path: Path, reply: bytes, what: str, code: int) -> None:
    with played_by(tmp_path) as (socket, process):
        socket.recv()
        socket.send(reply)
        if code == 2:
            socket.recv()
            socket.send(b"")  # an EnvActMsg without any action
        assert process.wait(10) == code
        assert process.stderr is not None
        assert what in process.stderr.read()


def act_msg(**fields: object) -> list[bytes]:
    return [pb.EnvActMsg(**fields).SerializeToString()]


def contained(kind: int, message: Message) -> pb.DataContainer:
    container = pb.DataContainer(type=kind)
    container.data.Pack(message)
    return container


@pytest.mark.parametrize(
    ("parts", "what", "code"),
    [
        ([b"", b""], "error: agent: the answer has several parts; cure: ", 1),
        (
            act_msg(actData=contained(pb.Box, pb.BoxDataContainer(doubleData=[0.0, np.nan]))),
            "error: action.1: CIO of pair 1: nan dB is not within -6 to 6 dB; cure: ",
            2,
        ),
        (
            act_msg(actData=contained(pb.Box, pb.BoxDataContainer(dtype=pb.INT, intData=[1, 1]))),
            "error: action: 0 values instead of 2; cure: ",
            2,
        ),
        (
            act_msg(actData=contained(pb.Discrete, pb.DiscreteDataContainer(data=1))),
            "error: action: not a Box; cure: ",
            2,
        ),
        (act_msg(branch=[pb.Branch()], branchTimeoutS=np.nan), "error: branchTimeoutS: not more than 0 s; cure: ", 2),
    ],
)
def test_answers_that_do_not_fit_end_the_program(tmp_path: Path, parts: list[bytes], what: str, code: int) -> None:
    with played_by(tmp_path) as (socket, process):
        socket.recv()
        answer_with(socket, "SimInitAck")
        socket.send_multipart(parts)
        assert process.wait(10) == code
        assert process.stderr is not None
        assert what in process.stderr.read()
