"""Frames of every kind that people have, and of every kind that is wrong."""

from __future__ import annotations

import array
import ctypes
import mmap
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from frames import CudaFrame, DlpackFrame, Gpu, Nv12, OnlyDlpack, gpu, nv12, pitched
from pdum.nvenc import CudaFailed, InvalidFrame, NvencEncoder, NvencError

from simulator import Simulator, checksum, parse
from simulator.trace import read_calls

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT = 256, 144
ROWS = HEIGHT * 3 // 2
FAST = {"name": "RTX 4090", "fps_1080p": 0}
WANTED = ("256x144", f"({ROWS}, {WIDTH})", "uint8")

Kind = Callable[[Gpu, Nv12], Any]


def picture(number: int = 0) -> Nv12:
    return nv12(WIDTH, HEIGHT, number)


def encoded(encoder: NvencEncoder, frame: Any, **options: Any) -> int:
    """The checksum of the pixels that the engine read."""
    (unit,) = parse(encoder.encode(frame, **options))
    assert (unit.format, unit.width, unit.height) == ("NV12", WIDTH, HEIGHT)
    return unit.checksum


@pytest.fixture
def device(simulator: Simulator) -> Iterator[Gpu]:
    """Two GPUs, of which the first is current."""
    with simulator.machine(gpus=[FAST, FAST]), gpu() as one:
        yield one


@pytest.fixture
def encoder(abi: str, device: Gpu) -> Iterator[NvencEncoder]:
    with NvencEncoder(WIDTH, HEIGHT) as one:
        assert one.abi == abi
        yield one


def read_only(picture: Nv12) -> Nv12:
    view: Nv12 = picture.view()
    view.flags.writeable = False
    return view


def in_anonymous_memory(picture: Nv12) -> mmap.mmap:
    memory = mmap.mmap(-1, picture.nbytes)
    memory[:] = picture.tobytes()
    return memory


HOST: dict[str, Callable[[Nv12], Any]] = {
    "array": lambda p: p,
    "read-only array": read_only,
    "array with padded rows": lambda p: pitched(p, WIDTH + 64),
    "array with rows of an odd pitch": lambda p: pitched(p, WIDTH + 1),
    "array behind an offset": lambda p: pitched(p, WIDTH, offset=7),
    "padded rows behind an offset, read-only": lambda p: read_only(pitched(p, WIDTH * 2, offset=WIDTH)),
    "every second row of a bigger array": lambda p: np.repeat(p, 2, axis=0)[::2],
    "packed array of one dimension": lambda p: p.reshape(-1),
    "subclass of an array": lambda p: p.view(type("Mine", (np.ndarray,), {})),
    "bytes": lambda p: p.tobytes(),
    "bytearray": lambda p: bytearray(p.tobytes()),
    "memoryview": lambda p: memoryview(p.tobytes()),
    "memoryview of two dimensions": lambda p: memoryview(p.data),
    "read-only memoryview": lambda p: p.data.toreadonly(),
    "slice of a memoryview": lambda p: memoryview(b"12345" + p.tobytes())[5:],
    "array.array": lambda p: array.array("B", p.tobytes()),
    "ctypes array": lambda p: (ctypes.c_ubyte * p.nbytes).from_buffer_copy(p.tobytes()),
    "mmap": in_anonymous_memory,
    "DLPack": OnlyDlpack,
    "DLPack before 1.0": lambda p: OnlyDlpack(p, modern=False),
    "DLPack, padded rows": lambda p: OnlyDlpack(pitched(p, WIDTH + 32)),
    "DLPack, read-only": lambda p: OnlyDlpack(read_only(p)),
}


@pytest.mark.parametrize("kind", HOST)
def test_host_frames(encoder: NvencEncoder, kind: str) -> None:
    for number in range(3):
        source = picture(number)
        frame = HOST[kind](source)
        assert encoded(encoder, frame) == checksum(source)


@pytest.mark.parametrize("kind", HOST)
def test_host_frames_may_be_changed_at_once(abi: str, device: Gpu, kind: str) -> None:
    """The bytes are copied before the call returns, even if the frame is encoded later."""
    with NvencEncoder(WIDTH, HEIGHT, extra_output_delay=3) as encoder:
        packets = []
        for number in range(6):
            source = picture(number)
            frame = HOST[kind](source)
            packets += encoder.submit(frame, number)
            source[...] = 0
            if isinstance(frame, np.ndarray) and frame.flags.writeable:
                frame[...] = 0
        packets += encoder.flush_pipeline()
    assert [parse(p.data)[0].checksum for p in packets] == [checksum(picture(n)) for n in range(6)]


def hand_made(on: Gpu, picture: Nv12, **options: Any) -> DlpackFrame:
    frame = on.frame(picture)
    return DlpackFrame(frame.pointer, picture.shape, **options)


def padded_dlpack(device: Gpu, picture: Nv12) -> DlpackFrame:
    return DlpackFrame(device.frame(picture, pitch=512).pointer, picture.shape, strides=(512, 1))


def behind_an_offset(device: Gpu, picture: Nv12) -> DlpackFrame:
    pointer = device.allocate(picture.nbytes + 1000)
    device.upload(pointer + 1000, picture)
    return DlpackFrame(pointer, picture.shape, byte_offset=1000)


DEVICE: dict[str, Kind] = {
    "interface v3": lambda g, p: g.frame(p),
    "interface v3, stream None": lambda g, p: g.frame(p, stream=None),
    "interface v3, legacy stream": lambda g, p: g.frame(p, stream=1),
    "interface v3, per-thread stream": lambda g, p: g.frame(p, stream=2),
    "interface v3, created stream": lambda g, p: g.frame(p, stream=g.stream()),
    "interface v3, created blocking stream": lambda g, p: g.frame(p, stream=g.stream(flags=0)),
    "interface v2": lambda g, p: g.frame(p, version=2),
    "interface without version": lambda g, p: g.frame(p, version=None),
    "read-only": lambda g, p: with_data(g.frame(p), read_only=True),
    "padded rows": lambda g, p: g.frame(p, pitch=512),
    "padded rows, v2": lambda g, p: g.frame(p, pitch=257, version=2),
    "packed, with strides": lambda g, p: g.frame(p, strides=(WIDTH, 1)),
    "strides None": lambda g, p: g.frame(p, strides=None),
    "mask None": lambda g, p: g.frame(p, mask=None),
    "typestr of byte order": lambda g, p: g.frame(p, typestr="<u1"),
    "with descr": lambda g, p: g.frame(p, descr=[("", "|u1")]),
    "DLPack": hand_made,
    "DLPack, not versioned": lambda g, p: hand_made(g, p, versioned=False),
    "DLPack, read-only": lambda g, p: hand_made(g, p, read_only=True),
    "DLPack, packed strides": lambda g, p: hand_made(g, p, strides=(WIDTH, 1)),
    "DLPack, padded rows": padded_dlpack,
    "DLPack, managed memory": lambda g, p: hand_made(g, p, device=(DlpackFrame.CUDA_MANAGED, 0)),
    "DLPack, offset": behind_an_offset,
}


def with_data(frame: CudaFrame, read_only: bool) -> CudaFrame:
    frame.interface["data"] = (frame.pointer, read_only)
    return frame


@pytest.mark.parametrize("kind", DEVICE)
def test_device_frames(encoder: NvencEncoder, device: Gpu, kind: str) -> None:
    for number in range(3):
        frame = DEVICE[kind](device, picture(number))
        assert encoded(encoder, frame) == checksum(picture(number))
        assert encoded(encoder, frame) == checksum(picture(number)), "again"


def test_host_memory_that_cuda_knows(encoder: NvencEncoder, device: Gpu) -> None:
    source = picture(3)
    frame = DlpackFrame(source.ctypes.data, source.shape, device=(DlpackFrame.CUDA_HOST, 0))
    assert encoded(encoder, frame) == checksum(source)


def test_a_dlpack_producer_gets_the_encoders_stream(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    with simulator.machine(gpus=FAST, trace=str(path)), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        frame = hand_made(device, picture())
        encoder.encode(frame)
        host = DlpackFrame(picture().ctypes.data, (ROWS, WIDTH), device=(DlpackFrame.CPU, 0))
        with pytest.raises(InvalidFrame):
            encoder.encode(DlpackFrame(0, (ROWS, WIDTH), device=(DlpackFrame.CPU, 0)))
        source = picture(1)
        host = DlpackFrame(source.ctypes.data, source.shape, device=(DlpackFrame.CPU, 0))
        assert encoded(encoder, host) == checksum(source)
    (tied,) = read_calls(path, "nvEncSetIOCudaStreams")
    assert frame.streams == [int(tied.args["inputStream"], 16)]
    assert host.streams == [None]


def test_the_array_interface_goes_before_dlpack_and_buffers(encoder: NvencEncoder, device: Gpu) -> None:
    class Both(CudaFrame):
        def __dlpack__(self, **_: Any) -> Any:
            raise AssertionError("not asked")

        def __dlpack_device__(self) -> Any:
            raise AssertionError("not asked")

    assert encoded(encoder, Both(device.frame(picture(8)).pointer, (ROWS, WIDTH))) == checksum(picture(8))


def test_a_stream_given_with_the_frame(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    """`stream=` names the stream of a frame that does not name it: an int or any library's stream object."""

    class CudaPython:
        def __init__(self, handle: int) -> None:
            self._handle = handle

        def __cuda_stream__(self) -> tuple[int, int]:
            return 0, self._handle

    class CuPy:
        def __init__(self, handle: int) -> None:
            self.ptr = handle

    class PyTorch:
        def __init__(self, handle: int) -> None:
            self.cuda_stream = handle

    path = tmp_path / "trace"
    with simulator.machine(gpus=FAST, trace=str(path)), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        stream = device.stream()
        frame = device.frame(picture(), stream=None)
        streams = [stream, CudaPython(stream), CuPy(stream), PyTorch(stream), CuPy(0)]
        for one in streams:
            assert encoded(encoder, frame, stream=one) == checksum(picture())
        assert encoder.submit(frame, 1, stream=stream)[0].seq == 1
        for wrong in ("stream", 1.5, object(), -1, CudaPython, CuPy("x")):  # type: ignore[arg-type]
            with pytest.raises(InvalidFrame):
                encoder.encode(frame, stream=wrong)
        assert encoded(encoder, picture(2), stream=stream) == checksum(picture(2)), "a host frame needs none"
    recorded = [call for call in read_calls(path, "cuEventRecord") if call.args.get("stream") == hex(stream)]
    assert len(recorded) == 5


# Wrong frames: each is refused with helpful words, and the encoder goes on

HOST_MEMORY = picture()

BAD: dict[str, tuple[Kind, tuple[str, ...]]] = {
    # shape
    "rows of luma alone": (lambda g, p: g.frame(p[:HEIGHT]), (f"({HEIGHT}, {WIDTH})", *WANTED)),
    "too narrow": (lambda g, p: np.ascontiguousarray(p[:, :-2]), (f"({ROWS}, {WIDTH - 2})", *WANTED)),
    "too wide": (lambda g, p: np.zeros((ROWS, WIDTH + 2), np.uint8), (f"({ROWS}, {WIDTH + 2})", *WANTED)),
    "transposed": (lambda g, p: np.ascontiguousarray(p.T), (f"({WIDTH}, {ROWS})", *WANTED)),
    "RGB": (lambda g, p: np.zeros((HEIGHT, WIDTH, 3), np.uint8), (f"({HEIGHT}, {WIDTH}, 3)", *WANTED)),
    "three dimensions": (lambda g, p: CudaFrame(g.frame(p).pointer, (1, *p.shape)), (f"(1, {ROWS}, {WIDTH})", *WANTED)),
    "no dimension": (lambda g, p: np.uint8(5).reshape(()), ("()", *WANTED)),
    "nine dimensions": (lambda g, p: p.reshape(1, 1, 1, 1, 1, 1, 1, ROWS, WIDTH), ("9 dimensions",)),
    "nothing": (lambda g, p: np.zeros((0, WIDTH), np.uint8), (f"(0, {WIDTH})", *WANTED)),
    "nothing on the device": (lambda g, p: CudaFrame(0, (0, 0)), ("(0, 0)", *WANTED)),
    "empty bytes": (lambda g, p: b"", ("(0,)", *WANTED)),
    "bytes short of one": (lambda g, p: p.tobytes()[:-1], (f"({ROWS * WIDTH - 1},)", *WANTED)),
    "bytes over by one": (lambda g, p: p.tobytes() + b"x", (f"({ROWS * WIDTH + 1},)", *WANTED)),
    "negative shape": (lambda g, p: CudaFrame(g.frame(p).pointer, (-ROWS, WIDTH)), (f"(-{ROWS}, {WIDTH})", *WANTED)),
    "DLPack of another shape": (lambda g, p: DlpackFrame(g.frame(p).pointer, (ROWS, 10)), (f"({ROWS}, 10)", *WANTED)),
    "DLPack without a dimension": (lambda g, p: DlpackFrame(g.frame(p).pointer, ()), ("()", *WANTED)),
    # type
    "signed": (lambda g, p: p.view(np.int8), ("i1", *WANTED)),
    "16 bits": (lambda g, p: p.astype(np.uint16), ("u2", *WANTED)),
    "floats": (lambda g, p: p.astype(np.float32), ("type 'f4'", *WANTED)),
    "bool": (lambda g, p: p.astype(bool), ("?", *WANTED)),
    "floats on the device": (lambda g, p: g.frame(p, typestr="<f4"), ("<f4", *WANTED)),
    "signed on the device": (lambda g, p: g.frame(p, typestr="|i1"), ("|i1", *WANTED)),
    "DLPack of floats": (lambda g, p: hand_made(g, p, dtype=(2, 32, 1)), ("'f4'", *WANTED)),
    "DLPack of lanes": (lambda g, p: hand_made(g, p, dtype=(1, 8, 4)), ("DLPack type 1 of 8 bits", *WANTED)),
    # strides
    "upside down": (lambda g, p: p[::-1], (f"(-{WIDTH}, 1)", "contiguous copy", "side by side")),
    "mirrored": (lambda g, p: p[:, ::-1], (f"({WIDTH}, -1)", "contiguous copy")),
    "every second column": (lambda g, p: np.repeat(p, 2, axis=1)[:, ::2], (f"({WIDTH * 2}, 2)", "contiguous copy")),
    "columns first": (lambda g, p: np.asfortranarray(p), (f"(1, {ROWS})", "contiguous copy")),
    "one row for all": (lambda g, p: np.broadcast_to(p[0], p.shape), ("(0, 1)", "contiguous copy")),
    "rows that overlap": (lambda g, p: g.frame(p, strides=(WIDTH - 1, 1)), (f"({WIDTH - 1}, 1)", "contiguous")),
    "strides of bytes apart": (lambda g, p: g.frame(p, strides=(WIDTH * 2, 2)), (f"({WIDTH * 2}, 2)", "contiguous")),
    "too few strides": (lambda g, p: g.frame(p, strides=(WIDTH,)), (f"({WIDTH},)", "contiguous")),
    "upside down on the device": (lambda g, p: g.frame(p, strides=(-WIDTH, 1)), (f"(-{WIDTH}, 1)", "contiguous")),
    "DLPack, mirrored": (lambda g, p: hand_made(g, p, strides=(WIDTH, -1)), (f"({WIDTH}, -1)", "contiguous")),
    # memory
    "null pointer": (lambda g, p: CudaFrame(0, (ROWS, WIDTH)), ("null pointer", "allocated")),
    "DLPack, null pointer": (lambda g, p: DlpackFrame(0, (ROWS, WIDTH)), ("null pointer", "allocated")),
    "host memory that claims to be on a GPU": (
        lambda g, p: CudaFrame(HOST_MEMORY.ctypes.data, (ROWS, WIDTH)),
        ("not memory that CUDA knows", "host"),
    ),
    "freed": (lambda g, p: freed(g, p), ("not memory that CUDA knows", "freed")),
    "DLPack of another device": (lambda g, p: hand_made(g, p, device=(8, 0)), ("DLPack device 8", "CUDA", "host")),
    # protocols
    "None": (lambda g, p: None, ("NoneType", "__cuda_array_interface__", "__dlpack__", "buffer", *WANTED)),
    "a list": (lambda g, p: p.tolist(), ("list", "__cuda_array_interface__", *WANTED)),
    "a number": (lambda g, p: 5, ("int", *WANTED)),
    "text": (lambda g, p: "".join(["fr", "ame"]), ("str", *WANTED)),  # a literal would be shared with everybody
    "array of objects": (lambda g, p: np.zeros((ROWS, WIDTH), object), ("O", *WANTED)),
    "array of dates": (lambda g, p: np.zeros((ROWS, WIDTH), "M8[s]"), ("cannot be read",)),
    "stream 0": (lambda g, p: g.frame(p, stream=0), ("stream 0", "forbids", "1 is the legacy default stream")),
    "stream of text": (lambda g, p: g.frame(p, stream="main"), ("stream", "address")),
    "negative stream": (lambda g, p: g.frame(p, stream=-1), ("stream", "address")),
    "masked": (lambda g, p: g.frame(p, mask=object()), ("masked", "plain array")),
    "no typestr": (lambda g, p: without(g.frame(p), "typestr"), ("typestr",)),
    "typestr of bytes": (lambda g, p: g.frame(p, typestr=b"|u1"), ("typestr",)),
    "no shape": (lambda g, p: without(g.frame(p), "shape"), ("shape",)),
    "shape as a list": (lambda g, p: changed(g.frame(p), shape=[ROWS, WIDTH]), ("tuple", "shape")),
    "shape of floats": (lambda g, p: changed(g.frame(p), shape=(float(ROWS), WIDTH)), ("shape", "integer")),
    "shape beyond 64 bits": (lambda g, p: changed(g.frame(p), shape=(2**70, WIDTH)), ("shape",)),
    "no data": (lambda g, p: without(g.frame(p), "data"), ("data", "address")),
    "data without a flag": (lambda g, p: g.frame(p, data=(5,)), ("data", "address")),
    "data of text": (lambda g, p: g.frame(p, data=("0x5", False)), ("data", "address")),
    "negative pointer": (lambda g, p: g.frame(p, data=(-5, False)), ("data", "address")),
    "interface that is no dict": (lambda g, p: Raising(cuda=lambda: [1]), ("__cuda_array_interface__", "dict")),
    "interface that raises": (lambda g, p: Raising(cuda=lambda: 1 / 0), ("__cuda_array_interface__", "division")),
    "DLPack that raises": (lambda g, p: Raising(dlpack=lambda: 1 / 0), ("DLPack", "division")),
    "DLPack device that raises": (lambda g, p: Raising(device=lambda: 1 / 0), ("DLPack", "division")),
    "DLPack device that is none": (lambda g, p: Raising(device=lambda: "cuda"), ("DLPack",)),
    "DLPack device of text": (lambda g, p: Raising(device=lambda: ("cuda", 0)), ("DLPack",)),
    "DLPack device of nothing": (lambda g, p: Raising(device=lambda: ()), ("DLPack",)),
    "DLPack that gives no capsule": (lambda g, p: Raising(dlpack=lambda: object()), ("capsule",)),
    "DLPack that gives None": (lambda g, p: Raising(dlpack=lambda: None), ("capsule",)),
    "DLPack of a later version": (lambda g, p: hand_made(g, p, major=2), ("version 2", "version 1")),
}  # fmt: skip


def freed(device: Gpu, source: Nv12) -> CudaFrame:
    frame = device.frame(source)
    device.free(frame.pointer)
    return frame


def changed(frame: CudaFrame, **entries: Any) -> CudaFrame:
    frame.interface.update(entries)
    return frame


def without(frame: CudaFrame, entry: str) -> CudaFrame:
    del frame.interface[entry]
    return frame


class Raising:
    """Answers each protocol by a call, which may raise."""

    def __init__(self, **answers: Callable[[], Any]) -> None:
        self._answers = answers

    def __getattribute__(self, name: str) -> Any:
        answers = object.__getattribute__(self, "_answers")
        if name == "__cuda_array_interface__":
            if "cuda" in answers:
                return answers["cuda"]()
            raise AttributeError(name)
        return object.__getattribute__(self, name)

    def __dlpack_device__(self) -> Any:
        return self._answers.get("device", lambda: (1, 0))()

    def __dlpack__(self, **_: Any) -> Any:
        return self._answers["dlpack"]()


@pytest.mark.parametrize("kind", BAD)
def test_frames_that_cannot_be_right(encoder: NvencEncoder, device: Gpu, kind: str) -> None:
    make, words = BAD[kind]
    frame = make(device, picture())
    for call in (lambda: encoder.encode(frame), lambda: encoder.submit(frame, 1)):
        with pytest.raises(InvalidFrame) as caught:
            call()
        assert isinstance(caught.value, ValueError)
        for word in words:
            assert word in str(caught.value), str(caught.value)
    assert encoder.in_flight == 0
    assert encoded(encoder, picture(7)) == checksum(picture(7)), "the encoder goes on"
    assert encoded(encoder, device.frame(picture(8))) == checksum(picture(8))


def test_a_frame_on_another_gpu(abi: str, device: Gpu) -> None:
    with gpu(1) as other:
        elsewhere = other.frame(picture(1))
        by_dlpack = DlpackFrame(elsewhere.pointer, (ROWS, WIDTH), device=(DlpackFrame.CUDA, 1))
        for index, right, wrong in ((0, device.frame(picture(2)), elsewhere), (0, device.frame(picture(2)), by_dlpack)):
            with NvencEncoder(WIDTH, HEIGHT, gpu_id=index) as encoder:
                with pytest.raises(InvalidFrame) as caught:
                    encoder.encode(wrong)
                for word in ("GPU 1", "GPU 0", "gpu_id=1"):
                    assert word in str(caught.value)
                assert encoded(encoder, right) == checksum(picture(2))
        with NvencEncoder(WIDTH, HEIGHT, gpu_id=1) as encoder:
            assert encoded(encoder, elsewhere) == checksum(picture(1))
            assert encoded(encoder, by_dlpack) == checksum(picture(1))
            with pytest.raises(InvalidFrame, match="GPU 0"):
                encoder.encode(device.frame(picture(2)))


def test_device_memory_that_ends_too_early(abi: str, simulator: Simulator) -> None:
    """A shape that is larger than the allocation: the encoder goes on after any answer of CUDA."""
    with simulator.machine(gpus=FAST, check=False), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        short = CudaFrame(device.allocate(WIDTH * 10), (ROWS, WIDTH))
        with pytest.raises(NvencError):
            encoder.encode(short)
        assert encoded(encoder, picture(7)) == checksum(picture(7))


def test_pytorch_is_not_asked_if_the_caller_says_the_stream(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This question costs more than the rest of the frame."""
    asked: list[Any] = []
    torch = types.ModuleType("torch.cuda")
    torch.current_stream = lambda device: asked.append(device)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    monkeypatch.setitem(sys.modules, "torch.cuda", torch)

    class Tensor(CudaFrame):
        device = "cuda:0"

        def __torch_function__(self) -> None:
            raise NotImplementedError

    with simulator.machine(gpus=FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        frame = Tensor(device.frame(picture()).pointer, picture().shape, version=None)
        assert encoded(encoder, frame, stream=device.stream()) == checksum(picture())
        assert asked == []
        with pytest.raises(InvalidFrame, match="PyTorch"):
            encoder.encode(frame)
        assert asked == ["cuda:0"]


def test_an_object_that_is_not_a_cuda_stream(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=FAST, check=False), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        with pytest.raises(CudaFailed) as caught:
            encoder.encode(device.frame(picture(), stream=0xDEAD0))
        assert caught.value.call == "cuEventRecord"
        assert encoded(encoder, picture(7)) == checksum(picture(7))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_is_not_an_error_of_the_frame(encoder: NvencEncoder, error: type[BaseException]) -> None:
    def interrupted() -> Any:
        raise error

    for frame in (Raising(cuda=interrupted), Raising(dlpack=interrupted), Raising(device=interrupted)):
        with pytest.raises(error):
            encoder.encode(frame)
    assert encoded(encoder, picture(7)) == checksum(picture(7))


def test_the_first_frame_may_be_wrong(encoder: NvencEncoder) -> None:
    with pytest.raises(InvalidFrame):
        encoder.encode(None)
    (packet,) = encoder.submit(picture(), 5)
    assert (packet.seq, packet.pts, packet.keyframe) == (5, 0, True)


def test_a_wrong_frame_in_the_middle_costs_nothing(abi: str, device: Gpu) -> None:
    with NvencEncoder(WIDTH, HEIGHT, tuning="hq", bframes=2, extra_output_delay=4) as encoder:
        packets = []
        for number in range(20):
            packets += encoder.submit(picture(number), number)
            with pytest.raises(InvalidFrame):
                encoder.submit(picture(number)[:-1], number)
        packets += encoder.flush_pipeline()
    assert sorted((p.pts, p.seq) for p in packets) == [(n, n) for n in range(20)]


# References


def parts_of(frame: Any) -> list[Any]:
    """The frame and the parts of its array interface, without objects that Python shares."""
    interface = getattr(frame, "interface", {})
    return [
        *([] if frame is None else [frame]),
        interface,
        *(value for value in interface.values() if isinstance(value, tuple)),
    ]


def counted(objects: list[Any]) -> list[int]:
    return [sys.getrefcount(one) for one in objects]


@pytest.mark.parametrize("kind", [*HOST, *DEVICE])
def test_frames_leave_no_reference(encoder: NvencEncoder, device: Gpu, kind: str) -> None:
    frame = HOST[kind](picture()) if kind in HOST else DEVICE[kind](device, picture())
    held = parts_of(frame)
    before = counted(held)
    for _ in range(20):
        encoder.encode(frame)
    assert counted(held) == before
    if isinstance(frame, DlpackFrame):
        assert (len(frame.streams), frame.alive) == (20, 0), "each capsule was deleted"


@pytest.mark.parametrize("kind", BAD)
def test_refused_frames_leave_no_reference(encoder: NvencEncoder, device: Gpu, kind: str) -> None:
    frame = BAD[kind][0](device, picture())
    held = parts_of(frame)

    def refused() -> bool:  # pytest.raises would keep the frame in a cycle
        try:
            encoder.encode(frame)
        except InvalidFrame:
            return True
        return False

    assert refused()
    before = counted(held)
    assert sum(refused() for _ in range(10)) == 10
    assert counted(held) == before
    if isinstance(frame, DlpackFrame):
        assert frame.alive == 0


def test_a_bytearray_can_be_resized_after_it_was_refused(encoder: NvencEncoder) -> None:
    """A buffer that is still exported cannot be resized."""
    frame = bytearray(10)
    with pytest.raises(InvalidFrame):
        encoder.encode(frame)
    frame.extend(picture().tobytes())
    del frame[:10]
    assert encoded(encoder, frame) == checksum(picture())
    frame.clear()


@given(
    pitch=st.integers(WIDTH, WIDTH * 3),
    offset=st.integers(0, 100),
    number=st.integers(0, 2**62),
    on_device=st.booleans(),
)
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_any_pitch(encoder: NvencEncoder, device: Gpu, pitch: int, offset: int, number: int, on_device: bool) -> None:
    """Only the pixels are read, at any place."""
    source = picture(number)
    if not on_device:
        assert encoded(encoder, pitched(source, pitch, offset)) == checksum(source)
        return
    rows = pitched(source, pitch)
    whole: Nv12 = np.lib.stride_tricks.as_strided(rows, (ROWS, pitch), (pitch, 1))
    pointer = device.allocate(whole.nbytes + offset)
    device.upload(pointer + offset, whole)
    assert encoded(encoder, CudaFrame(pointer + offset, (ROWS, WIDTH), strides=(pitch, 1))) == checksum(source)
    device.free(pointer)


@pytest.mark.parametrize(("width", "height"), [(146, 50), (254, 146), (322, 98), (1000, 562)])
def test_sizes_that_no_block_divides(abi: str, device: Gpu, width: int, height: int) -> None:
    with NvencEncoder(width, height) as encoder:
        for frame in (nv12(width, height, 1), device.frame(nv12(width, height, 1))):
            (unit,) = parse(encoder.encode(frame))
            assert (unit.width, unit.height, unit.checksum) == (width, height, checksum(nv12(width, height, 1)))
