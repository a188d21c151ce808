"""RGB frames, converted by the product's kernels, which the simulated libcuda runs on the processor.

tests/colour proves what the kernels compute, and tests/gpu/test_rgb.py runs them on a real GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from colour import reference
from frames import CudaFrame, DlpackFrame, Gpu, gpu
from pdum.nvenc import (
    Colour,
    CudaFailed,
    EncoderClosed,
    EncoderConfig,
    InvalidConfig,
    InvalidFrame,
    NvencEncoder,
    UnsupportedFeature,
)

from simulator import Simulator, checksum, parse
from simulator.trace import Call, read_calls

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

WIDTH, HEIGHT = 256, 144
HWC, CHW = (HEIGHT, WIDTH, 3), (3, HEIGHT, WIDTH)
FAST = {"name": "RTX 4090", "fps_1080p": 0}
WANTED = "float16 or float32 from 0 to 1"


@pytest.fixture
def device(simulator: Simulator) -> Iterator[Gpu]:
    with simulator.machine(gpus=FAST), gpu() as one:
        yield one


@pytest.fixture
def encoder(abi: str, device: Gpu) -> Iterator[NvencEncoder]:
    with NvencEncoder(WIDTH, HEIGHT, format="rgb") as one:
        yield one


def pixels_of(stream: bytes) -> int:
    """The checksum of the converted pixels, as the encoder has read them."""
    (unit,) = parse(stream)
    return unit.checksum


def is_black(encoder: NvencEncoder, frame: Any, **more: Any) -> bool:
    """Whether the frame is encoded as a black picture."""
    planes = np.full((encoder.height * 3 // 2, encoder.width), 16, np.uint8)
    planes[encoder.height :] = 128
    return pixels_of(encoder.encode(frame, **more)) == checksum(planes)


# The arguments of the driver's calls

SURFACES: dict[str, tuple[dict[str, Any], str]] = {
    "nv12": ({}, "NV_ENC_BUFFER_FORMAT_NV12"),
    "p010": ({"codec": "hevc", "bit_depth": 10}, "NV_ENC_BUFFER_FORMAT_YUV420_10BIT"),
    "444": ({"chroma": "444"}, "NV_ENC_BUFFER_FORMAT_YUV444"),
    "444 of 10 bits": ({"codec": "hevc", "chroma": "444", "bit_depth": 10}, "NV_ENC_BUFFER_FORMAT_YUV444_10BIT"),
}


def calls_of(simulator: Simulator, path: Path, settings: dict[str, Any]) -> list[Call]:
    with (
        simulator.machine(gpus=FAST, trace=str(path)),
        NvencEncoder(WIDTH, HEIGHT, format="rgb", **settings) as encoder,
    ):
        assert encoder.format == "rgb"
    return read_calls(path)


@pytest.mark.parametrize("kind", SURFACES)
def test_the_format_of_the_conversion(abi: str, simulator: Simulator, tmp_path: Path, kind: str) -> None:
    settings, surface = SURFACES[kind]
    calls = calls_of(simulator, tmp_path / "trace", settings)
    (registered, *_) = [call.args for call in calls if call.name == "nvEncRegisterResource"]
    assert registered["bufferFormat"] == surface


COLOURS: dict[str, tuple[dict[str, Any], str, bool]] = {
    "small pictures": ({}, "SMPTE170M", False),
    "bt709": ({"colour": "bt709"}, "BT709", False),
    "bt601-625": ({"colour": "bt601-625"}, "BT470BG", False),
    "hdr10": ({"colour": "hdr10", "codec": "hevc", "bit_depth": 10}, "BT2020_NCL", False),
    "srgb, full": ({"colour": Colour.named("srgb", full_range=True)}, "BT709", True),
}


@pytest.mark.parametrize("kind", COLOURS)
def test_the_stream_says_what_it_is_converted_by(abi: str, simulator: Simulator, tmp_path: Path, kind: str) -> None:
    settings, matrix, full = COLOURS[kind]
    calls = calls_of(simulator, tmp_path / "trace", settings)
    (told,) = [call.args for call in calls if call.name == "nvEncInitializeEncoder"]
    codec = told["encodeConfig"]["encodeCodecConfig"]
    vui = next(value for name, value in codec.items() if name.endswith("VUIParameters"))
    assert str(vui["colourMatrix"]).endswith(f"_{matrix}")
    assert bool(vui.get("videoFullRangeFlag", 0)) is full


# Frames that are taken

Make = Callable[[Gpu], Any]


def on_device(device: Gpu, array: np.ndarray[Any, Any], **more: Any) -> CudaFrame:
    pointer = device.allocate(array.nbytes)
    device.upload(pointer, array)
    return CudaFrame(pointer, array.shape, typestr=array.dtype.str, **more)


def tensor(device: Gpu, shape: tuple[int, ...], dtype: tuple[int, int, int], **more: Any) -> DlpackFrame:
    size = int(np.prod(shape)) * dtype[1] // 8
    pointer = device.allocate(size)
    device.upload(pointer, np.zeros(size, np.uint8))
    return DlpackFrame(pointer, shape, dtype=dtype, **more)


def host_tensor(array: np.ndarray[Any, Any]) -> DlpackFrame:
    frame = DlpackFrame(array.ctypes.data, array.shape, device=(DlpackFrame.CPU, 0), dtype=(2, 32, 1))
    frame.keep = array  # type: ignore[attr-defined]
    return frame


def padded(device: Gpu, array: np.ndarray[Any, Any], pitch: int) -> CudaFrame:
    rows = np.full((len(array), pitch), 0xEE, np.uint8)
    rows[:, : array[0].nbytes] = array.reshape(len(array), -1)
    pointer = device.allocate(rows.nbytes)
    device.upload(pointer, rows)
    return CudaFrame(pointer, array.shape, strides=(pitch, 3, 1))


GOOD: dict[str, Make] = {
    "host, HWC": lambda g: np.zeros(HWC, np.uint8),
    "host, CHW": lambda g: np.zeros(CHW, np.uint8),
    "host, float16": lambda g: np.zeros(HWC, np.float16),
    "host, float32": lambda g: np.zeros(CHW, np.float32),
    "host, four channels": lambda g: np.zeros((HEIGHT, WIDTH, 4), np.uint8),
    "host, four planes": lambda g: np.zeros((4, HEIGHT, WIDTH), np.float32),
    "host, flipped": lambda g: np.zeros(HWC, np.float32)[::-1, ::-1, ::-1],
    "host, cropped": lambda g: np.zeros((HEIGHT + 9, WIDTH + 7, 3), np.uint8)[9:, 7:],
    "host, one channel thrice": lambda g: np.broadcast_to(np.zeros((HEIGHT, WIDTH, 1), np.uint8), HWC),
    "host, transposed": lambda g: np.zeros((WIDTH, HEIGHT, 3), np.uint8).transpose(1, 0, 2),
    "host, one of some that lie interleaved": lambda g: np.zeros((*HWC, 4), np.uint8)[..., 2],
    "bytes": lambda g: bytes(HEIGHT * WIDTH * 3),
    "read-only": lambda g: np.frombuffer(bytes(HEIGHT * WIDTH * 3), np.uint8).reshape(HWC),
    "host, DLPack": lambda g: host_tensor(np.zeros(HWC, np.float32)),
    "device, HWC": lambda g: on_device(g, np.zeros(HWC, np.uint8)),
    "device, CHW": lambda g: on_device(g, np.zeros(CHW, np.float16)),
    "device, padded rows": lambda g: padded(g, np.zeros(HWC, np.uint8), 1024),
    "device, DLPack of float32": lambda g: tensor(g, CHW, (2, 32, 1)),
    "device, DLPack of float16": lambda g: tensor(g, HWC, (2, 16, 1)),
    "device, DLPack of uint8": lambda g: tensor(g, HWC, (1, 8, 1), strides=(WIDTH * 3, 3, 1)),
}


@pytest.mark.parametrize("kind", GOOD)
def test_frames_that_are_taken(encoder: NvencEncoder, device: Gpu, kind: str) -> None:
    frame = GOOD[kind](device)
    assert is_black(encoder, frame)
    assert encoder.in_flight == 0


# Frames that are not

BAD: dict[str, tuple[Make, str]] = {
    "nv12": (lambda g: np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8), WANTED),
    "another size": (lambda g: np.zeros((HEIGHT, WIDTH + 2, 3), np.uint8), WANTED),
    "two channels": (lambda g: np.zeros((HEIGHT, WIDTH, 2), np.uint8), WANTED),
    "grey": (lambda g: np.zeros((HEIGHT, WIDTH), np.uint8), WANTED),
    "a batch": (lambda g: np.zeros((1, *CHW), np.uint8), WANTED),
    "float64": (lambda g: np.zeros(HWC), "'f8'"),
    "int8": (lambda g: np.zeros(HWC, np.int8), "'i1'"),
    "uint16": (lambda g: np.zeros(HWC, np.uint16), "'u2'"),
    "big-endian": (lambda g: np.zeros(HWC, ">f4"), WANTED),
    "too few bytes": (lambda g: bytes(HEIGHT * WIDTH), WANTED),
    "strewn": (lambda g: np.zeros((*HWC, 50), np.uint8)[..., 3], "contiguous"),
    "null": (lambda g: CudaFrame(0, HWC), "null pointer"),
    "wild strides": (lambda g: CudaFrame(g.allocate(HEIGHT * WIDTH * 3), HWC, strides=(2**62, 3, 1)), "contiguous"),
    "two strides": (lambda g: CudaFrame(g.allocate(HEIGHT * WIDTH * 3), HWC, strides=(WIDTH * 3, 3)), "contiguous"),
    "split elements": (
        lambda g: CudaFrame(g.allocate(2**20), HWC, typestr="<f4", strides=(WIDTH * 12 + 1, 12, 4)),
        "multiples of their size",
    ),
    "DLPack of bfloat16": (lambda g: tensor(g, HWC, (4, 16, 1)), "DLPack type 4 of 16 bits"),
    "DLPack of strides that overflow": (lambda g: tensor(g, HWC, (2, 32, 1), strides=(2**62, 3, 1)), "multiples"),
    "not on the device": (lambda g: CudaFrame(np.zeros(HWC, np.uint8).ctypes.data, HWC), "not memory that CUDA knows"),
    "nothing": (lambda g: None, WANTED),
}


@pytest.mark.parametrize("kind", BAD)
def test_frames_that_are_refused(encoder: NvencEncoder, device: Gpu, kind: str) -> None:
    make, word = BAD[kind]
    frame = make(device)
    with pytest.raises(InvalidFrame) as caught:
        encoder.encode(frame)
    assert word in str(caught.value)
    assert is_black(encoder, np.zeros(HWC, np.uint8)), "the encoder is usable as before"


def test_a_frame_of_pyav(encoder: NvencEncoder) -> None:
    import av

    frame = av.VideoFrame(WIDTH, HEIGHT, "rgb24")
    with pytest.raises(InvalidFrame, match="to_ndarray"):
        encoder.encode(frame)
    assert encoder.encode(frame.to_ndarray(format="rgb24"))


@pytest.mark.parametrize("call", ["cuModuleLoadData", "cuModuleGetFunction", "cuLaunchKernel"])
def test_a_failed_conversion_gives_everything_back(abi: str, simulator: Simulator, call: str) -> None:
    fault = {"call": call, "nth": 0, "status": 209}
    with (
        simulator.machine(gpus=FAST, faults=[fault]),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, format="rgb") as encoder,
    ):
        released: list[object] = []
        for seq in range(3):
            with pytest.raises(CudaFailed) as caught:
                encoder.submit(GOOD["device, HWC"](device), seq, on_released=released.append)
            assert caught.value.call == call
        assert encoder.flush_pipeline() == []
        assert encoder.in_flight == 0
        encoder.close()
        with pytest.raises(EncoderClosed):
            encoder.encode(np.zeros(HWC, np.uint8))


# What the encoder reads

STREAMS: dict[str, dict[str, Any]] = {
    "nv12": {},
    "p010": {"codec": "hevc", "bit_depth": 10},
    "yuv444": {"chroma": "444"},
    "yuv444_10": {"codec": "hevc", "chroma": "444", "bit_depth": 10},
}
COLOUR_BARS = np.array(
    [[255, 255, 255], [255, 255, 0], [0, 255, 255], [0, 255, 0], [255, 0, 255], [255, 0, 0], [0, 0, 255], [0, 0, 0]],
    np.uint8,
)


def bars(width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Eight bars of colour from left to right."""
    picture = np.repeat(COLOUR_BARS, width // 8, axis=0)[None].repeat(height, axis=0)
    return np.ascontiguousarray(picture)


def expected_checksum(picture: np.ndarray[Any, Any], form: str, matrix: str, full_range: bool) -> int:
    """The reference's codes as the surface holds them."""
    exact = reference.exact_planes(reference.unit_rgb(picture), form, matrix, full_range, "left")
    deep = form in ("p010", "yuv444_10")
    planes = [reference.rounded(plane, form) << (6 if deep else 0) for plane in exact]
    planes = [plane.astype(np.uint16 if deep else np.uint8) for plane in planes]
    if form in ("nv12", "p010"):
        planes[1:] = [np.stack(planes[1:], axis=-1).reshape(-1, picture.shape[1])]
    return checksum(np.concatenate(planes))


@pytest.mark.parametrize("form", STREAMS)
@pytest.mark.parametrize("full_range", [False, True])
def test_a_picture_of_one_colour_is_the_reference(abi: str, simulator: Simulator, form: str, full_range: bool) -> None:
    colour = Colour.named("bt709", full_range=full_range)
    with (
        simulator.machine(gpus=FAST),
        NvencEncoder(WIDTH, HEIGHT, format="rgb", colour=colour, **STREAMS[form]) as encoder,
    ):
        for one in COLOUR_BARS:
            picture = np.broadcast_to(one, HWC)
            wanted = expected_checksum(picture, form, "bt709", full_range)
            assert pixels_of(encoder.encode(picture)) == wanted, f"the colour {one}"


def test_all_layouts_of_one_picture_are_converted_alike(encoder: NvencEncoder, device: Gpu) -> None:
    picture = bars(WIDTH, HEIGHT)
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))
    unit = (picture / 255).astype(np.float32)
    seen = {
        pixels_of(encoder.encode(frame))
        for frame in (
            picture,
            planes,
            unit,
            picture[:, :, ::-1].copy()[:, :, ::-1],
            on_device(device, picture),
            on_device(device, planes),
            on_device(device, unit),
            padded(device, picture, 1024),
        )
    }
    assert len(seen) == 1
    assert seen != {pixels_of(encoder.encode(np.zeros(HWC, np.uint8)))}


# Order of streams


def test_a_host_frame_is_brought_over_in_one_piece(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    flipped = np.zeros((HEIGHT, WIDTH + 64, 3), np.float32)[::-1, 64:]
    with simulator.machine(gpus=FAST, trace=str(path)), NvencEncoder(WIDTH, HEIGHT, format="rgb") as encoder:
        for _ in range(3):
            assert is_black(encoder, flipped)
    calls = read_calls(path)
    copies = [call.args for call in calls if call.name == "cuMemcpy2DAsync_v2"]
    assert len(copies) == 3
    staging = [call for call in calls if call.name.startswith("cuMemAllocPitch")]
    assert len(staging) == 2, "a surface, and one staging memory for all frames"


@pytest.mark.parametrize("order", ["told", "given"])
def test_it_waits_for_the_producer(abi: str, simulator: Simulator, order: str) -> None:
    with (
        simulator.machine(gpus=FAST, async_streams=True),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, format="rgb") as encoder,
    ):
        stream = device.stream()
        frame = on_device(device, np.full(HWC, 0xFF, np.uint8), stream=stream if order == "told" else None)
        black = np.zeros(HWC, np.uint8)
        device.upload(frame.pointer, black, stream)
        assert is_black(encoder, frame, **({} if order == "told" else {"stream": stream}))


def test_a_frame_may_be_overwritten_after_the_call(abi: str, simulator: Simulator) -> None:
    with (
        simulator.machine(gpus=FAST, async_streams=True),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, format="rgb", extra_output_delay=2) as encoder,
    ):
        stream = device.stream()
        pictures = [np.full(HWC, value, np.uint8) for value in (10, 100, 200, 250)]
        frame = on_device(device, pictures[0], stream=stream)
        packets = []
        for seq, picture in enumerate(pictures):
            device.upload(frame.pointer, picture, stream)
            packets += encoder.submit(frame, seq)
        packets += encoder.flush_pipeline()
        wanted = [expected_checksum(picture, "nv12", "bt601", False) for picture in pictures]
        assert [pixels_of(packet.data) for packet in packets] == wanted


# Settings


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"copy": "never"}, "copy='never'"),
        ({"chroma": "422"}, "chroma='422'"),
        ({"colour": "unspecified"}, "matrix='unspecified'"),
        ({"colour": Colour(matrix="gbr")}, "matrix='gbr'"),
        ({"colour": Colour(matrix="bt2020c")}, "matrix='bt2020c'"),
        ({"width": WIDTH + 1}, "width"),
        ({"height": HEIGHT + 1}, "height"),
    ],
)
def test_settings_that_contradict(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        EncoderConfig(**{"width": WIDTH, "height": HEIGHT, "format": "rgb", **settings})
    assert word in str(caught.value)


def test_sizes_may_be_odd_in_444(abi: str, simulator: Simulator) -> None:
    with (
        simulator.machine(gpus=FAST),
        NvencEncoder(WIDTH + 1, HEIGHT + 1, format="rgb", chroma="444") as encoder,
    ):
        picture = np.zeros((HEIGHT + 1, WIDTH + 1, 3), np.uint8)
        assert pixels_of(encoder.encode(picture)) == expected_checksum(picture, "yuv444", "bt601", False)


def test_it_goes_through_a_dict_and_toml() -> None:
    config = EncoderConfig(width=WIDTH, height=HEIGHT, format="rgb", chroma="444", colour="bt2020")
    assert EncoderConfig.from_dict(config.to_dict()) == config
    assert EncoderConfig.from_toml(config.to_toml()) == config


def test_there_is_no_surface_to_lend(encoder: NvencEncoder) -> None:
    with pytest.raises(UnsupportedFeature, match="array of your own"):
        encoder.surface()


def test_another_size_takes_other_frames(encoder: NvencEncoder) -> None:
    encoder.reconfigure(width=WIDTH - 2, height=HEIGHT - 2)
    with pytest.raises(InvalidFrame):
        encoder.encode(np.zeros(HWC, np.uint8))
    assert is_black(encoder, np.zeros((HEIGHT - 2, WIDTH - 2, 3), np.uint8))


def test_a_frame_on_another_gpu(abi: str, simulator: Simulator) -> None:
    with (
        simulator.machine(gpus=[FAST, FAST]),
        gpu(1) as other,
        NvencEncoder(WIDTH, HEIGHT, format="rgb") as encoder,
        pytest.raises(InvalidFrame, match="gpu_id=1"),
    ):
        encoder.encode(on_device(other, np.zeros(HWC, np.uint8)))


def test_memory_of_another_context_is_brought_into_reach(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    """Kernels only see memory of their own context."""
    from test_contexts import OwnContext

    path = tmp_path / "trace"
    with simulator.machine(gpus=FAST, trace=str(path)), NvencEncoder(WIDTH, HEIGHT, format="rgb") as encoder:
        theirs = OwnContext()
        frame = on_device(theirs, np.zeros(HWC, np.uint8), stream=theirs.stream())
        assert is_black(encoder, frame)
        theirs.close()
    (copy,) = [call.args for call in read_calls(path, "cuMemcpy2DAsync_v2")]
    assert str(frame.pointer) in str(copy) or hex(frame.pointer) in str(copy)
