"""A machine with one encode session, for the tests of the simulated encoder."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from simulator import EchoUnit, Machine, Simulator, parse
from simulator.raw import Api, Cuda, Session

WIDTH, HEIGHT = 320, 240
FAST = {"name": "RTX 4090", "fps_1080p": 0}
Image = np.ndarray[Any, np.dtype[np.uint8]]


def picture(seed: int, size: int = WIDTH * HEIGHT * 3 // 2) -> Image:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


class Rig:
    """A session with mapped device surfaces and output buffers; `close` releases what is left."""

    def __init__(self, machine: Machine, cuda: Cuda, version: str = "13.0") -> None:
        self.machine, self.cuda = machine, cuda
        self.api = Api(version)
        self.abi = self.api.abi
        self.session: Session = self.api.open(cuda.context)
        self.inputs: list[int] = []
        self.pointers: list[int] = []
        self.registered: list[int] = []
        self.outputs: list[int] = []
        self.open = True
        self.started = False

    def start(self, surfaces: int = 1, interval: int = 1, lookahead: int = 0, **arguments: Any) -> Rig:
        """Initialises the encoder and makes this many surfaces and outputs."""
        params = self.session.params(WIDTH, HEIGHT, **arguments)
        params.config.frameIntervalP = interval
        params.config.rcParams.enableLookahead = int(lookahead > 0)
        params.config.rcParams.lookaheadDepth = lookahead
        self.session.initialize_with(params)
        self.params, self.started = params, True
        for number in range(surfaces):
            self.add_surface(picture(number))
        return self

    def add_surface(self, image: Image) -> int:
        self.pointers.append(self.cuda.upload(image))
        self.registered.append(self.session.register(self.pointers[-1]))
        self.inputs.append(self.session.map(self.registered[-1]))
        self.outputs.append(self.session.bitstream())
        return self.inputs[-1]

    def encode(self, number: int, timestamp: int | None = None, **fields: Any) -> int:
        """Submits surface `number` with output `number`."""
        self.started = True
        time = number if timestamp is None else timestamp
        return self.session.encode(self.inputs[number], self.outputs[number], time, **fields)

    def take(self, number: int) -> EchoUnit:
        (unit,) = parse(self.session.take(self.outputs[number]))
        return unit

    def release(self) -> None:
        """Releases everything except the session."""
        for handle in self.inputs:
            self.session.call("nvEncUnmapInputResource", ctypes.c_void_p(handle))
        for handle in self.registered:
            self.session.call("nvEncUnregisterResource", ctypes.c_void_p(handle))
        for handle in self.outputs:
            self.session.call("nvEncDestroyBitstreamBuffer", ctypes.c_void_p(handle))
        self.inputs, self.registered, self.outputs = [], [], []

    def close(self) -> None:
        if self.open:
            self.open = False
            if self.started:
                self.session.end()
            self.release()
            self.session.destroy()

    def abandon(self) -> None:
        """Destroys the session with everything in it."""
        self.open = False
        self.session.destroy()


@contextmanager
def rig(simulator: Simulator, version: str = "13.0", *, check: bool = True, **config: Any) -> Iterator[Rig]:
    """A configured machine with an open session, which is closed properly unless the test has done so."""
    with simulator.machine(check=check, **{"gpus": [FAST], **config}) as machine, Cuda() as cuda:
        client = Rig(machine, cuda, version)
        try:
            yield client
            client.close()
        except BaseException:
            client.api.nvEncDestroyEncoder(client.session.handle)
            raise
