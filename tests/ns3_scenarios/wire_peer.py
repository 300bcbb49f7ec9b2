"""A small simulator that speaks the ns3-gym wire: it counts steps and echoes actions.

usage: wire_peer.py ENDPOINT WAY, where WAY is one of
  count    steps until it is told to stop, or to the end after 3 steps
  game     like count, but the end is its own decision
  silent   connects and says nothing
  foreign  sends bytes that are no message
  mute     goes silent after the first state
  stubborn does not end when it is told to
"""

from __future__ import annotations

import sys
import time

import numpy as np
import zmq
from gymnasium import spaces

from ns3_scenarios.bridge import ns3gym_pb2 as pb
from ns3_scenarios.bridge.wire import pack, pack_space, unpack

STEPS = 3
OBSERVATION = spaces.Dict(
    [("step", spaces.Box(0, 99, (1,), np.float64)), ("echo", spaces.Box(-6, 6, (2,), np.float64))]
)
ACTION = spaces.Box(-6, 6, (2,), np.float64)


def main(endpoint: str, way: str) -> None:
    socket = zmq.Context().socket(zmq.REQ)
    socket.setsockopt(zmq.RCVTIMEO, 20_000)
    socket.connect(endpoint)
    print(f"peer: here I am, {way}", file=sys.stderr, flush=True)
    if way == "silent":
        time.sleep(60)
    if way == "foreign":
        socket.send(b"hello")
        socket.recv()
    socket.send(
        pb.SimInitMsg(simProcessId=1, obsSpace=pack_space(OBSERVATION), actSpace=pack_space(ACTION)).SerializeToString()
    )
    assert pb.SimInitAck.FromString(socket.recv()).done
    echo = np.zeros(2)
    for step in range(STEPS + 1):
        over = step == STEPS
        state = pb.EnvStateMsg(
            obsData=pack(OBSERVATION, {"step": np.array([float(step)]), "echo": echo}),
            reward=-0.5 * step,
            isGameOver=over,
            reason=pb.EnvStateMsg.GameOver if over and way == "game" else pb.EnvStateMsg.SimulationEnd,
            info=f"step {step}",
        )
        if way == "mute" and step > 0:
            time.sleep(60)
        socket.send(state.SerializeToString())
        action = pb.EnvActMsg.FromString(socket.recv())
        if action.stopSimReq:
            print("peer: told to stop", file=sys.stderr, flush=True)
            if way == "stubborn":
                time.sleep(60)
            return
        echo = np.asarray(unpack(ACTION, action.actData))


if __name__ == "__main__":
    main(*sys.argv[1:])
