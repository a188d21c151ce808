"""The order of CUDA streams: a frame is read after its producer and before the next writer, without a wait on the host.

The simulated libcuda runs each stream later, on a thread of its own. A gate is a host function that holds a stream up
until the test opens it: what comes behind the gate cannot have happened while it is shut.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frames import HOST_FUNCTION, LEGACY_STREAM, PER_THREAD_STREAM, CudaFrame, DlpackFrame, Gpu, Nv12, gpu, nv12
from pdum.nvenc import InvalidFrame, NvencEncoder, Packet

from simulator import Simulator, checksum, parse
from simulator.trace import read_calls

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT = 192, 128
ROWS = HEIGHT * 3 // 2
MACHINE: dict[str, Any] = {"gpus": {"name": "RTX 4090", "fps_1080p": 0}, "async_streams": True}
GARBAGE = np.full((ROWS, WIDTH), 0xAA, np.uint8)


class Producer:
    """Makes pictures in one piece of device memory, in the order of a stream and late."""

    def __init__(self, device: Gpu, stream: int) -> None:
        self.device = device
        self.stream = stream
        self.pointer = device.allocate(GARBAGE.nbytes)
        self.opened = threading.Event()
        self._kept: list[Any] = []
        device.upload(self.pointer, GARBAGE)

    def run(self, function: Callable[[], object]) -> None:
        """On the host, when the stream gets there."""
        callback = HOST_FUNCTION(lambda _: function() and None)
        self._kept.append(callback)
        self.device.call("cuLaunchHostFunc", ctypes.c_void_p(self.stream), callback, None)

    def gate(self) -> None:
        self.run(lambda: self.opened.wait(60))

    def write(self, picture: Nv12, late: bool = True) -> None:
        if late:
            self.run(lambda: time.sleep(0.0005))
        self._kept.append(picture)
        self.device.upload(self.pointer, picture, self.stream)

    def frame(self, **interface: Any) -> CudaFrame:
        return CudaFrame(self.pointer, (ROWS, WIDTH), **interface)


@contextmanager
def production(stream: int | None = None, flags: int = 1) -> Iterator[Producer]:
    with gpu() as device, device.current():
        producer = Producer(device, device.stream(flags) if stream is None else stream)
        try:
            yield producer
        finally:
            producer.opened.set()
            device.call("cuCtxSynchronize")


def pixels(packets: list[Packet]) -> list[int]:
    return [parse(packet.data)[0].checksum for packet in packets]


def expected(count: int) -> list[int]:
    return [checksum(nv12(WIDTH, HEIGHT, number)) for number in range(count)]


STREAMS: dict[str, dict[str, Any]] = {
    "created": {},
    "created, blocking": {"flags": 0},
    "legacy default": {"stream": LEGACY_STREAM},
    "per thread": {"stream": PER_THREAD_STREAM},
}


@pytest.mark.parametrize("delay", [0, 3])
@pytest.mark.parametrize("kind", STREAMS)
def test_late_frames_that_are_overwritten_at_once(abi: str, simulator: Simulator, kind: str, delay: int) -> None:
    """Two hundred frames in one piece of memory: each is written late, and overwritten as soon as the call returns."""
    with (
        simulator.machine(**MACHINE),
        production(**STREAMS[kind]) as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay) as encoder,
    ):
        frame = producer.frame(stream=producer.stream)
        packets = []
        for number in range(200):
            producer.write(nv12(WIDTH, HEIGHT, number))
            packets += encoder.submit(frame, number)
            producer.write(GARBAGE, late=False)
        packets += encoder.flush_pipeline()
    assert pixels(packets) == expected(200)


@pytest.mark.parametrize("bframes", [1, 3])
def test_frames_that_are_held_back(abi: str, simulator: Simulator, bframes: int) -> None:
    with (
        simulator.machine(**MACHINE),
        production() as producer,
        NvencEncoder(WIDTH, HEIGHT, tuning="hq", bframes=bframes) as encoder,
    ):
        frame = producer.frame(stream=producer.stream)
        packets = []
        for number in range(40):
            producer.write(nv12(WIDTH, HEIGHT, number))
            packets += encoder.submit(frame, number)
            producer.write(GARBAGE, late=False)
        packets += encoder.flush_pipeline()
    assert pixels(sorted(packets, key=lambda packet: packet.pts)) == expected(40)


def test_an_interface_before_version_3_means_the_legacy_stream(abi: str, simulator: Simulator) -> None:
    with (
        simulator.machine(**MACHINE),
        production(stream=LEGACY_STREAM) as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=2) as encoder,
    ):
        packets = []
        for number in range(40):
            producer.write(nv12(WIDTH, HEIGHT, number))
            packets += encoder.submit(producer.frame(version=2), number)
            producer.write(GARBAGE, late=False)
        packets += encoder.flush_pipeline()
    assert pixels(packets) == expected(40)


@pytest.mark.parametrize("kind", STREAMS)
def test_the_host_does_not_wait(abi: str, simulator: Simulator, kind: str) -> None:
    """All calls return before the first frame is made."""
    with (
        simulator.machine(**MACHINE),
        production(**STREAMS[kind]) as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=8) as encoder,
    ):
        frame = producer.frame(stream=producer.stream)
        producer.gate()
        for number in range(8):
            producer.write(nv12(WIDTH, HEIGHT, number), late=False)
            assert encoder.submit(frame, number) == []
            producer.write(GARBAGE, late=False)
        assert not producer.opened.is_set()
        producer.opened.set()
        packets = encoder.flush_pipeline()
    assert pixels(packets) == expected(8)


@pytest.mark.parametrize("kind", ["created", "created, blocking"])
def test_the_next_writer_waits_until_a_frame_has_been_read(abi: str, simulator: Simulator, kind: str) -> None:
    """The encoder is held up by another producer's frame, so that it cannot have read this one yet."""
    with (
        simulator.machine(**MACHINE),
        production(**STREAMS[kind]) as slow,
        production(**STREAMS[kind]) as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=2) as encoder,
    ):
        slow.gate()
        slow.write(nv12(WIDTH, HEIGHT, 0), late=False)
        producer.write(nv12(WIDTH, HEIGHT, 1), late=False)
        for number, one in enumerate((slow, producer)):
            assert encoder.submit(one.frame(stream=one.stream), number) == []
        overwritten = threading.Event()
        producer.write(GARBAGE, late=False)
        producer.run(overwritten.set)
        too_early = overwritten.wait(0.2)
        slow.opened.set()
        packets = encoder.flush_pipeline()
    assert not too_early, "written over before it was read"
    assert pixels(packets) == expected(2)


def test_a_hidden_stream_shows_wrong_pixels(abi: str, simulator: Simulator) -> None:
    """The proof that the tests above can fail: a caller that names no stream gets the old memory."""
    with (
        simulator.machine(**MACHINE),
        production() as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=1) as encoder,
    ):
        producer.gate()
        producer.write(nv12(WIDTH, HEIGHT, 0), late=False)
        encoder.submit(producer.frame(stream=None), 0)
        producer.opened.set()
        packets = encoder.flush_pipeline()
    assert pixels(packets) == [checksum(GARBAGE)]


def test_a_stream_given_with_the_frame_works_as_well(abi: str, simulator: Simulator) -> None:
    with (
        simulator.machine(**MACHINE),
        production() as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=4) as encoder,
    ):
        frame = producer.frame(stream=None)
        producer.gate()
        for number in range(4):
            producer.write(nv12(WIDTH, HEIGHT, number), late=False)
            encoder.submit(frame, number, stream=producer.stream)
            producer.write(GARBAGE, late=False)
        producer.opened.set()
        packets = encoder.flush_pipeline()
    assert pixels(packets) == expected(4)


class OrderedDlpack(DlpackFrame):
    """A producer that follows DLPack: the consumer's stream waits for its own."""

    def __init__(self, producer: Producer) -> None:
        super().__init__(producer.pointer, (ROWS, WIDTH))
        self._producer = producer
        self._event = ctypes.c_void_p()
        producer.device.call("cuEventCreate", ctypes.byref(self._event), 2)

    def close(self) -> None:
        self._producer.device.call("cuEventDestroy_v2", self._event)

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None) -> object:
        device = self._producer.device
        device.call("cuEventRecord", self._event, ctypes.c_void_p(self._producer.stream))
        device.call("cuStreamWaitEvent", ctypes.c_void_p(stream), self._event, 0)
        return super().__dlpack__(stream=stream, max_version=max_version)


@pytest.mark.parametrize("delay", [0, 3])
def test_dlpack(abi: str, simulator: Simulator, delay: int) -> None:
    """The producer orders itself before us. The next writer is unknown, so the call waits for the read."""
    with (
        simulator.machine(**MACHINE),
        production() as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay) as encoder,
    ):
        frame = OrderedDlpack(producer)
        packets = []
        for number in range(60):
            producer.write(nv12(WIDTH, HEIGHT, number))
            packets += encoder.submit(frame, number)
            producer.write(GARBAGE, late=False)
        packets += encoder.flush_pipeline()
        frame.close()
    assert pixels(packets) == expected(60)


@pytest.mark.parametrize("way", ["array interface", "stream=", "surface"])
def test_a_stream_that_is_being_captured_is_refused(abi: str, simulator: Simulator, way: str) -> None:
    """The graph would record the encoder's wait, and the frame would be read before it is made."""
    with (
        simulator.machine(**MACHINE),
        production() as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=2) as encoder,
    ):
        producer.write(nv12(WIDTH, HEIGHT, 0))
        frame = producer.frame(stream=producer.stream if way == "array interface" else None)
        surface = encoder.surface(producer.stream)
        given: tuple[Any, Any] = (surface, None) if way == "surface" else (frame, producer.stream)
        stream = ctypes.c_void_p(producer.stream)
        producer.device.call("cuStreamBeginCapture_v2", stream, 2)
        with pytest.raises(InvalidFrame, match=r"being captured.*end the capture"):
            encoder.submit(given[0], 0, stream=given[1])
        producer.device.call("cuStreamEndCapture", stream, ctypes.byref(ctypes.c_void_p()))
        assert encoder.submit(frame, 0, stream=producer.stream) == []
        assert pixels(encoder.flush_pipeline()) == expected(1)
        del surface, given


def test_producers_of_several_streams(abi: str, simulator: Simulator) -> None:
    with (
        simulator.machine(**MACHINE),
        production() as one,
        production() as other,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=5) as encoder,
    ):
        packets = []
        for number in range(60):
            producer = (one, other)[number % 2]
            producer.write(nv12(WIDTH, HEIGHT, number))
            packets += encoder.submit(producer.frame(stream=producer.stream), number)
            producer.write(GARBAGE, late=False)
        packets += encoder.flush_pipeline()
    assert pixels(packets) == expected(60)


def test_two_encoders_of_one_frame(abi: str, simulator: Simulator) -> None:
    with (
        simulator.machine(**MACHINE),
        production() as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=2) as one,
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", extra_output_delay=4) as other,
    ):
        frame = producer.frame(stream=producer.stream)
        packets: list[list[Packet]] = [[], []]
        for number in range(30):
            producer.write(nv12(WIDTH, HEIGHT, number))
            for mine, encoder in zip(packets, (one, other), strict=True):
                mine += encoder.submit(frame, number)
            producer.write(GARBAGE, late=False)
        for mine, encoder in zip(packets, (one, other), strict=True):
            mine += encoder.flush_pipeline()
    assert pixels(packets[0]) == pixels(packets[1]) == expected(30)


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("delay", [0, 3])
def test_nothing_is_synchronised(abi: str, simulator: Simulator, tmp_path: Path, kind: str, delay: int) -> None:
    """Frames with a known stream cost no wait on the host, neither for the device nor for a stream or an event."""
    path = tmp_path / "trace"
    with (
        simulator.machine(**MACHINE, trace=str(path)),
        production(**STREAMS[kind]) as producer,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay) as encoder,
    ):
        frame = producer.frame(stream=producer.stream)
        for number in range(20):
            producer.write(nv12(WIDTH, HEIGHT, number), late=False)
            encoder.submit(frame, number)
        encoder.flush_pipeline()
    names = [call.name for call in read_calls(path)]
    first = names.index("nvEncEncodePicture")
    last = len(names) - names[::-1].index("nvEncUnlockBitstream")
    waits = {name for name in names[first:last] if "Synchronize" in name}
    assert waits == set()
    assert names[first:last].count("cuEventRecord") >= 19
    assert not any(name.startswith("cuMemcpy") and "Async" not in name for name in names[first:last])


def test_the_engine_is_tied_to_the_encoders_streams(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    """Two streams of the encoder's own, which neither wait for the default stream nor make it wait."""
    path = tmp_path / "trace"
    with simulator.machine(**MACHINE, trace=str(path)), NvencEncoder(WIDTH, HEIGHT):
        pass
    (tied,) = read_calls(path, "nvEncSetIOCudaStreams")
    made = read_calls(path, "cuStreamCreate")
    assert len(made) == 2
    assert all(call.args["flags"] == 1 for call in made)
    assert tied.args["inputStream"] != tied.args["outputStream"]
