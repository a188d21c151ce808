"""Absurd frames and settings: they give clear errors or packets, never a crash.

It is meant to run under AddressSanitizer too. Pointers are null, of real memory large enough for what the frame says,
or (on the device alone, where the driver is asked) of no memory at all; nobody can check a host pointer, or a stream.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frames import CudaFrame, DlpackFrame, Gpu
from pdum.nvenc import InvalidFrame, MotionEstimator, NvencEncoder, NvencError, PictureStatistics, VideoWriter

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

WIDTH, HEIGHT = 160, 64
ROWS = HEIGHT * 3 // 2
SIZE = WIDTH * ROWS
FAST = [{"name": "RTX 4090", "fps_1080p": 0}]
BOUNDED = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# The errors that a caller may see. Python's own are for a wrong type or a number beyond a C type.
ALLOWED = (NvencError, TypeError, OverflowError)


@dataclass
class Bench:
    encoder: NvencEncoder
    device: int  # memory for frames with rows of up to 4 times the width
    host: int
    keep: Any


@pytest.fixture
def bench(simulator: Simulator) -> Iterator[Bench]:
    with simulator.machine(gpus=FAST):
        gpu = Gpu()
        memory = np.full(SIZE * 4, 7, np.uint8)
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            yield Bench(encoder, gpu.allocate(SIZE * 4), memory.ctypes.data, memory)
            assert encoder.encode(memory[:SIZE].reshape(ROWS, WIDTH)), "it stays usable"
        gpu.close()


class Anything:
    """Raises the given error for every attribute."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def fail(self, *_: Any, **__: Any) -> Any:
        raise self.error

    __index__ = __int__ = __len__ = __iter__ = __getitem__ = __eq__ = __hash__ = __str__ = __repr__ = __bool__ = fail
    __cuda_array_interface__ = property(fail)


class Offering:
    """An object with these attributes, all of them values."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Own(ValueError):
    """The error that a caller's object raises."""


NO_NUMBERS = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.text(max_size=4),
    st.binary(max_size=0),
    st.tuples(),
    st.builds(object),
    st.builds(lambda: Anything(Own())),
)
JUNK = st.one_of(
    NO_NUMBERS,
    st.integers(),
    st.binary(max_size=4),
    st.lists(st.integers(-3, 3), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)
EXTENT = st.one_of(
    st.sampled_from([0, 1, -1, WIDTH, ROWS, HEIGHT, 2**31, 2**32, 2**63 - 1, -(2**63)]),
    st.integers(-(2**63), 2**63 - 1),
)
SHAPE = st.one_of(st.just((ROWS, WIDTH)), st.lists(EXTENT, max_size=10).map(tuple))
STRIDES = st.one_of(
    st.none(),
    st.tuples(
        st.sampled_from([WIDTH, WIDTH + 64, WIDTH * 4, WIDTH - 1, 0, -WIDTH]), st.sampled_from([1, 1, 1, 0, -1, 2])
    ),
    st.lists(EXTENT, max_size=10).map(tuple),
)
TYPES = st.sampled_from(["|u1", "<u1", "|i1", "<u2", "<f4", "|V1", "", "|O8", "u", "|u1" * 50, "|u1\0", "\ud800"])


def take(bench: Bench, frame: object, **options: Any) -> None:
    """Either a packet or an allowed error."""
    try:
        data = bench.encoder.encode(frame, **options)
    except ALLOWED:
        return
    assert isinstance(data, bytes)
    assert data


def interface(bench: Bench, **entries: Any) -> dict[str, Any]:
    return {
        "shape": (ROWS, WIDTH),
        "typestr": "|u1",
        "data": (bench.device, False),
        "version": 3,
        "stream": 1,
        **entries,
    }


@BOUNDED
@given(
    shape=SHAPE, strides=STRIDES, typestr=TYPES, stream=st.one_of(st.none(), st.sampled_from([1, 2])), data=st.data()
)
def test_array_interfaces_of_right_types(
    bench: Bench, shape: Any, strides: Any, typestr: str, stream: Any, data: st.DataObject
) -> None:
    pointer = data.draw(st.sampled_from([0, bench.device, bench.device + 1, 1, 2**47, 2**64 - 1]))
    frame = CudaFrame(pointer, shape, typestr=typestr, strides=strides, stream=stream)
    # A frame inside its memory is right; one that says more than there is, only its producer can know.
    if pointer == bench.device + 1 and strides is not None and strides[:1] == (WIDTH * 4,):
        return
    take(bench, frame)


@BOUNDED
@given(
    entries=st.dictionaries(
        st.sampled_from(["shape", "typestr", "data", "strides", "stream", "mask", "version", "descr", "more"]), JUNK
    ),
    missing=st.sets(st.sampled_from(["shape", "typestr", "data", "version", "stream"])),
)
def test_array_interfaces_of_wrong_types(bench: Bench, entries: dict[str, Any], missing: set[str]) -> None:
    whole = interface(bench, **entries)
    if isinstance(whole["stream"], int) and whole["stream"] not in (0, 1, 2, False, True):
        whole["stream"] = 2**64  # an invalid stream looks like a valid one
    take(bench, Offering(__cuda_array_interface__={key: whole[key] for key in whole.keys() - missing}))


@BOUNDED
@given(data=st.one_of(JUNK, st.tuples(JUNK, JUNK), st.tuples(JUNK), st.tuples(JUNK, JUNK, JUNK)))
def test_data_entries(bench: Bench, data: Any) -> None:
    take(bench, Offering(__cuda_array_interface__=interface(bench, data=data)))


@BOUNDED
@given(frame=JUNK, stream=st.one_of(NO_NUMBERS, st.sampled_from([0, 1, 2, -1, 2**64])), whole=st.booleans())
def test_objects_that_are_not_frames(bench: Bench, frame: Any, stream: Any, whole: bool) -> None:
    take(bench, frame)
    take(bench, Offering(__cuda_array_interface__=frame))
    take(bench, Offering(__dlpack__=lambda **_: frame, __dlpack_device__=lambda: (1, 0)))
    take(bench, Offering(__dlpack__=frame, __dlpack_device__=frame))
    take(bench, Offering(__dlpack__=lambda **_: frame, __dlpack_device__=lambda: frame))
    device_frame = CudaFrame(bench.device if whole else 0, (ROWS, WIDTH))
    for offered in (stream, Offering(cuda_stream=stream), Offering(ptr=stream)):
        take(bench, device_frame, stream=offered)
    take(bench, device_frame, stream=Offering(__cuda_stream__=lambda: stream))
    take(bench, device_frame, stream=Offering(__cuda_stream__=lambda: (0, stream)))
    take(bench, Offering(__torch_function__=1, __cuda_array_interface__={**interface(bench), "stream": None}))


@BOUNDED
@given(
    shape=SHAPE,
    strides=STRIDES,
    kind=st.sampled_from([1, 2, 3, 13, 0, -1, 4, 2**31 - 1]),
    dtype=st.one_of(
        st.just((1, 8, 1)), st.tuples(st.integers(0, 255), st.integers(0, 255), st.sampled_from([0, 1, 2, 2**16 - 1]))
    ),
    offset=st.sampled_from([0, 0, 1, WIDTH, 2**63, 2**64 - 1]),
    versioned=st.booleans(),
    major=st.sampled_from([0, 1, 2, 2**32 - 1]),
    null=st.booleans(),
)
def test_dlpack_tensors(
    bench: Bench,
    shape: Any,
    strides: Any,
    kind: int,
    dtype: Any,
    offset: int,
    versioned: bool,
    major: int,
    null: bool,
) -> None:
    on_host = kind in (1, 3)
    if on_host and offset > WIDTH:
        offset = 0
    pointer = 0 if null else bench.host if on_host else bench.device
    if offset and strides and strides[0] == WIDTH * 4:
        offset = 0
    tensor = DlpackFrame(
        pointer,
        shape,
        device=(kind, 0),
        strides=strides,
        dtype=dtype,
        byte_offset=offset,
        major=major,
        versioned=versioned,
    )
    take(bench, tensor)
    assert tensor.alive == 0


class Tensor(ctypes.Structure):
    """DLManagedTensor, with pointers that may be null."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32 * 2),
        ("dimensions", ctypes.c_int32),
        ("type", ctypes.c_uint8 * 4),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("offset", ctypes.c_uint64),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
    )


def capsule(tensor: Tensor, name: bytes) -> object:
    new = ctypes.pythonapi.PyCapsule_New
    new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    made: object = new(ctypes.addressof(tensor), name, None)
    return made


@BOUNDED
@given(
    dimensions=st.sampled_from([2, 0, 1, -1, 8, 9, 2**31 - 1, -(2**31)]),
    shape=st.booleans(),
    strides=st.booleans(),
    name=st.sampled_from([b"dltensor", b"used_dltensor", b"used_dltensor_versioned", b"", b"dltensor2", b"other"]),
    device=st.sampled_from([1, 2, 3, 13, 99]),
)
def test_dlpack_capsules(bench: Bench, dimensions: int, shape: bool, strides: bool, name: bytes, device: int) -> None:
    """Each capsule is consumed twice, which only a wrong producer allows."""
    extents = (ctypes.c_int64 * 16)(ROWS, WIDTH)
    steps = (ctypes.c_int64 * 16)(WIDTH, 1)
    tensor = Tensor(data=bench.host if device in (1, 3) else bench.device, dimensions=dimensions)
    tensor.device[0], tensor.type[0], tensor.type[1], tensor.type[2] = device, 1, 8, 1
    tensor.shape = ctypes.addressof(extents) if shape else None
    tensor.strides = ctypes.addressof(steps) if strides else None
    offered = capsule(tensor, name)
    for _ in range(2):
        take(bench, Offering(__dlpack__=lambda **_: offered, __dlpack_device__=lambda: (device, 0)))
    if not shape or dimensions != 2 or name != b"dltensor":
        with pytest.raises(InvalidFrame):
            bench.encoder.encode(Offering(__dlpack__=lambda **_: offered, __dlpack_device__=lambda: (device, 0)))


@BOUNDED
@given(first=JUNK, second=JUNK, stream=st.one_of(NO_NUMBERS, st.sampled_from([0, 1, 2, -1, 2**64])))
def test_what_an_estimator_is_given(bench: Bench, first: Any, second: Any, stream: Any) -> None:
    right = np.zeros((ROWS, WIDTH), np.uint8)
    with MotionEstimator(WIDTH, HEIGHT) as estimator:
        for frame, reference in ((first, right), (right, second), (CudaFrame(bench.device, (ROWS, WIDTH)), right)):
            with suppress(*ALLOWED):
                estimator.estimate(frame, reference, stream=stream)
        assert len(estimator.estimate(right, right)), "it stays usable"


@BOUNDED
@given(
    pair=st.one_of(JUNK, st.tuples(JUNK, JUNK), st.tuples(JUNK), st.tuples(JUNK, JUNK, JUNK)),
    wrong=st.sampled_from([0, 1]),
)
def test_what_is_no_pair_of_views(simulator: Simulator, pair: Any, wrong: int) -> None:
    right = np.zeros((ROWS, WIDTH), np.uint8)
    with (
        simulator.machine(gpus=[{"name": "RTX 5090", "fps_1080p": 0}]),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", stereo=True) as encoder,
    ):
        half = [right, right]
        half[wrong] = pair
        for frame in (pair, half, tuple(half), Offering(__len__=lambda: 2)):
            with suppress(*ALLOWED, Own):
                encoder.encode(frame)
        assert len(encoder.submit((right, right), 1)) == 1, "it stays usable"


@BOUNDED
@given(
    alpha=st.one_of(JUNK, st.tuples(JUNK, JUNK)),
    shape=st.lists(st.integers(0, 200), min_size=0, max_size=4),
    form=st.sampled_from(["u1", "i1", "u2", "f4", "?", "O"]),
    first=st.booleans(),
)
def test_what_is_no_alpha(simulator: Simulator, alpha: Any, shape: list[int], form: str, first: bool) -> None:
    colour, plane = np.zeros((ROWS, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    wrong = [alpha, np.zeros(shape, form), Offering(shape=tuple(shape), dtype=np.dtype(form))]
    pairs = [(one, plane) if first else (colour, one) for one in wrong]
    with (
        simulator.machine(gpus=[{"name": "RTX 5090", "fps_1080p": 0}]),
        NvencEncoder(WIDTH, HEIGHT, codec="hevc", alpha=True) as encoder,
        VideoWriter(None, codec="hevc", format="nv12", alpha=True, fragmented=True) as video,
    ):
        for pair in (alpha, *pairs):
            for take in (encoder.encode, video.write):
                with suppress(*ALLOWED, Own):
                    take(pair)
        assert len(encoder.submit((colour, plane), 1)) == 1, "it stays usable"
        if video.frames == 0:
            video.write((colour, plane))


@BOUNDED
@given(stream=JUNK, version=JUNK, device=JUNK, copy=st.booleans())
def test_what_is_asked_of_a_reconstruction(bench: Bench, stream: Any, version: Any, device: Any, copy: bool) -> None:
    asked = {"stream": stream, "max_version": version, "dl_device": device, "copy": copy}
    with NvencEncoder(WIDTH, HEIGHT, reconstruction=True) as encoder:
        frame: Any = encoder.submit(np.zeros((ROWS, WIDTH), np.uint8), 0)[0].reconstruction
        for name, value in asked.items():
            usable = name != "stream" or not isinstance(value, int) or value in (0, 1, 2, -1)
            with suppress(*ALLOWED, BufferError, Own, IndexError, RuntimeError):
                if usable:
                    frame.__dlpack__(**{name: value})
        assert not np.asarray(frame).any()
        del frame  # an error of the caller's own object keeps this function's variables


@BOUNDED
@given(state=st.one_of(JUNK, st.lists(st.one_of(EXTENT, st.binary(max_size=36)), min_size=8, max_size=11).map(tuple)))
def test_statistics_that_were_never_pickled(state: Any) -> None:
    made = PictureStatistics.__new__(PictureStatistics)
    with suppress(*ALLOWED, ValueError, RuntimeError):
        made.__setstate__(state)  # type: ignore[attr-defined]
        for units in (made.rows, made.blocks):
            assert units is None or units.nbytes <= 36


@BOUNDED
@given(
    shape=st.lists(st.integers(0, 300), max_size=6), dtype=st.sampled_from("bBhHiIlLfdg?"), order=st.sampled_from("CF")
)
def test_numpy_arrays(bench: Bench, shape: list[int], dtype: str, order: Any) -> None:
    if np.prod(shape, dtype=object) < 10**6:
        take(bench, np.zeros(shape, dtype, order))


@BOUNDED
@given(
    start=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    step=st.tuples(st.sampled_from([1, 1, 2, -1, -2]), st.sampled_from([1, 1, 2, -1])),
    transpose=st.booleans(),
)
def test_views(bench: Bench, start: Any, step: Any, transpose: bool) -> None:
    """Parts of a larger array, forwards and backwards."""
    memory = np.zeros((ROWS * 2 + 8, WIDTH * 2 + 8), np.uint8)
    view = memory[start[0] :: step[0], start[1] :: step[1]][:ROWS, :WIDTH]
    take(bench, view.T if transpose else view)


SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "width": st.one_of(st.sampled_from([0, 1, 2, 160, 193, 4096, 2**31, 2**32 - 2, 2**40, -2]), JUNK),
        "height": st.one_of(st.sampled_from([0, 1, 2, 128, 129, 4096, 2**32 - 2]), JUNK),
        "codec": st.one_of(st.sampled_from(["h264", "HEVC", "av1", "vp9"]), JUNK),
        "preset": st.one_of(st.sampled_from(["p1", "P7", "p0", "p8"]), JUNK),
        "tuning": st.one_of(st.sampled_from(["ll", "hq", "uhq", "lossless", "ultra_low_latency"]), JUNK),
        "fps": st.one_of(st.sampled_from([1, 30, 29.97, "24000/1001", "1/0", (30, 0), (1, 2, 3), 2**32, "nan"]), JUNK),
        "gop": st.one_of(st.sampled_from([0, 1, 2**32 - 1, 2**32, -1]), JUNK),
        "bitrate": st.one_of(st.sampled_from([0, 1, 10**6, 2**32 - 1, 2**32]), JUNK),
        "max_bitrate": st.one_of(st.sampled_from([0, 1, 2**32 - 1]), JUNK),
        "gpu_id": st.one_of(st.sampled_from([0, 1, -1, 2**31]), JUNK),
        "extra_output_delay": st.one_of(st.sampled_from([0, 1, 4, 256, 257]), JUNK),
        "profile": st.one_of(st.sampled_from(["auto", "baseline", "main10", "main"]), JUNK),
        "bframes": st.one_of(st.sampled_from([0, 1, 4, 31, 32]), JUNK),
        "lookahead": st.one_of(st.sampled_from([0, 1, 8, 255, 256]), JUNK),
        "stereo": st.one_of(st.booleans(), JUNK),
        "unknown": JUNK,
    },
)
BAD_CONTEXT = st.sampled_from([-1, 2**64, "0", 0.5, None, b""])


@BOUNDED
@given(given_settings=SETTINGS, context=st.one_of(st.just(0), BAD_CONTEXT))
def test_settings(simulator: Simulator, given_settings: dict[str, Any], context: Any) -> None:
    """A wrong setting of any type: an error, and nothing is left. Errors of the Python objects themselves propagate."""
    with simulator.machine(gpus=FAST):
        values = {"width": WIDTH, "height": HEIGHT, "cuda_context": context, **given_settings}
        try:
            encoder = NvencEncoder(**values)
        except (*ALLOWED, Own):
            return
        encoder.close()


@BOUNDED
@given(
    values=st.dictionaries(st.sampled_from(["bitrate", "max_bitrate", "fps", "gop", "width", "codec", "nothing"]), JUNK)
)
def test_changes(bench: Bench, values: dict[str, Any]) -> None:
    try:
        bench.encoder.reconfigure(**values)
    except (*ALLOWED, Own):
        return


def test_an_interface_that_takes_itself_apart(bench: Bench) -> None:
    """Reading a number runs code of the frame, which removes the entry from the dict while it is read."""

    class Eraser:
        def __init__(self, value: int) -> None:
            self.value = value

        def __index__(self) -> int:
            entries.clear()
            return self.value

    for build in (
        lambda: {"shape": (Eraser(ROWS), Eraser(WIDTH))},
        lambda: {"strides": (Eraser(WIDTH), Eraser(1))},
        lambda: {"stream": Eraser(1)},
        lambda: {"data": (Eraser(bench.device), Eraser(0))},
    ):
        entries = interface(bench, **build())
        take(bench, Offering(__cuda_array_interface__=entries))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_is_not_the_frames_fault(bench: Bench, error: type[BaseException]) -> None:
    anything = Anything(error())
    for frame in (
        anything,
        Offering(__dlpack__=anything.fail, __dlpack_device__=lambda: (1, 0)),
        Offering(__dlpack__=anything.fail, __dlpack_device__=anything.fail),
        Offering(__cuda_array_interface__=interface(bench, shape=(anything, WIDTH))),
    ):
        with pytest.raises(error):
            bench.encoder.encode(frame)
