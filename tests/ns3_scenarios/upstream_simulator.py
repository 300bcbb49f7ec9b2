"""A simulation with the habits of ns3-gym's own, written from the protocol's table without this project's wire.

It connects to tcp://localhost:PORT, counts steps from a number that its seed gives, sends the reward in single
precision and reason 0 on every ordinary step, flattens what has a shape, ends at once when it is told to stop, and
waits for ever.

usage: upstream_simulator.py --openGymPort=PORT --simSeed=SEED [--space=NAME] [--end=WAY] [--wrapped] [--wild]

  --space  box (double), uint, discrete, tuple or dict
  --end    time: the simulated time is over after 3 steps; game: it says that the game is over; never;
           die: it kills itself in the second step; mute: it does not answer to the first action
  --wrapped  it is run by a shell, as './ns3 run' runs a simulation
  --wild     its observations are beyond the space that it declares
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time

import zmq
from google.protobuf.message import Message

from ns3_scenarios.bridge import ns3gym_pb2 as pb

STEPS = 3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--openGymPort", type=int, default=5555)
    parser.add_argument("--simSeed", type=int, default=1)
    parser.add_argument("--space", default="box")
    parser.add_argument("--end", default="time")
    parser.add_argument("--wrapped", action="store_true")
    parser.add_argument("--wild", action="store_true")
    options = parser.parse_args()
    if options.wrapped:
        inner = [argument for argument in sys.argv if argument != "--wrapped"]
        sys.exit(subprocess.run(["sh", "-c", '"$@"; exit $?', "sh", sys.executable, *inner], check=False).returncode)
    print("upstream: here I am", file=sys.stderr, flush=True)

    socket = zmq.Context().socket(zmq.REQ)
    socket.connect(f"tcp://localhost:{options.openGymPort}")
    init = pb.SimInitMsg(simProcessId=os.getpid(), wafShellProcessId=os.getppid())
    init.obsSpace.CopyFrom(space(options.space))
    init.actSpace.CopyFrom(space(options.space))
    socket.send(init.SerializeToString())
    if pb.SimInitAck.FromString(socket.recv()).stopSimReq:
        sys.exit(0)

    step, echo = 0, 0.0
    first = 2**31 - 1 if options.wild else options.simSeed % 5
    while True:
        over = step == STEPS and options.end in ("time", "game")
        state = pb.EnvStateMsg(reward=0.1 * step, isGameOver=over, info=f"seed {options.simSeed}")
        state.obsData.CopyFrom(value(options.space, first + step, echo))
        if over and options.end == "game":
            state.reason = pb.EnvStateMsg.GameOver
        if options.end == "die" and step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if options.end == "mute" and step == 1:
            time.sleep(600)
        socket.send(state.SerializeToString())
        answer = pb.EnvActMsg.FromString(socket.recv())
        if answer.stopSimReq or over:
            print("upstream: the end", file=sys.stderr, flush=True)
            os._exit(0)  # std::exit inside the callback
        echo = first_number(answer.actData)
        step += 1


def any_of(kind: int, message: Message, name: str = "") -> pb.SpaceDescription:
    description = pb.SpaceDescription(type=kind, name=name)
    description.space.Pack(message)
    return description


def container_of(kind: int, message: Message, name: str = "") -> pb.DataContainer:
    container = pb.DataContainer(type=kind, name=name)
    container.data.Pack(message)
    return container


def space(name: str, key: str = "") -> pb.SpaceDescription:
    if name == "discrete":
        return any_of(pb.Discrete, pb.DiscreteSpace(n=100), key)
    if name == "box":
        return any_of(pb.Box, pb.BoxSpace(low=0, high=100, dtype=pb.DOUBLE, shape=[2, 1]), key)
    if name == "uint":
        return any_of(pb.Box, pb.BoxSpace(low=0, high=2**32 - 1, dtype=pb.UINT, shape=[2]), key)
    parts = [space("box", "inner"), space("discrete", "number")]
    if name == "tuple":
        return any_of(pb.Tuple, pb.TupleSpace(element=parts), key)
    return any_of(pb.Dict, pb.DictSpace(element=parts), key)


def value(name: str, number: int, echo: float, key: str = "") -> pb.DataContainer:
    if name == "discrete":
        return container_of(pb.Discrete, pb.DiscreteDataContainer(data=number), key)
    if name == "box":
        return container_of(pb.Box, pb.BoxDataContainer(dtype=pb.DOUBLE, shape=[2], doubleData=[number, echo]), key)
    if name == "uint":
        numbers = pb.BoxDataContainer(dtype=pb.UINT, shape=[2], uintData=[number, int(echo)])
        return container_of(pb.Box, numbers, key)
    parts = [value("box", number, echo, "inner"), value("discrete", number, echo, "number")]
    if name == "tuple":
        return container_of(pb.Tuple, pb.TupleDataContainer(element=parts), key)
    return container_of(pb.Dict, pb.DictDataContainer(element=parts), key)


def first_number(container: pb.DataContainer) -> float:
    """What was sent, wherever it is: the first number of the first part."""
    if container.type == pb.Discrete:
        discrete = pb.DiscreteDataContainer()
        assert container.data.Unpack(discrete)
        return discrete.data
    if container.type == pb.Box:
        box = pb.BoxDataContainer()
        assert container.data.Unpack(box)
        return [*box.intData, *box.uintData, *box.floatData, *box.doubleData][0]
    parts = pb.TupleDataContainer() if container.type == pb.Tuple else pb.DictDataContainer()
    assert container.data.Unpack(parts)
    return first_number(parts.element[0])


if __name__ == "__main__":
    main()
