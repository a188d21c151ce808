"""RGB frames up to the conversion, which the simulated libcuda cannot run; tests/gpu/test_rgb.py tests the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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

from simulator import Simulator
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


def reaches_the_kernels(encoder: NvencEncoder, frame: Any, **more: Any) -> bool:
    """Whether the frame was accepted, up to the kernel, which cannot run here."""
    with pytest.raises(CudaFailed) as caught:
        encoder.encode(frame, **more)
    assert "argb" in str(caught.value)
    return (caught.value.call, caught.value.status_name) == ("cuModuleLoadData", "CUDA_ERROR_NOT_SUPPORTED")


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
    return CudaFrame(pointer, array.shape, typestr=array.dtype.str, **more)


def tensor(device: Gpu, shape: tuple[int, ...], dtype: tuple[int, int, int], **more: Any) -> DlpackFrame:
    size = int(np.prod(shape)) * dtype[1] // 8
    return DlpackFrame(device.allocate(size), shape, dtype=dtype, **more)


def host_tensor(array: np.ndarray[Any, Any]) -> DlpackFrame:
    frame = DlpackFrame(array.ctypes.data, array.shape, device=(DlpackFrame.CPU, 0), dtype=(2, 32, 1))
    frame.keep = array  # type: ignore[attr-defined]
    return frame


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
    "device, padded rows": lambda g: CudaFrame(g.allocate(HEIGHT * 1024), HWC, strides=(1024, 3, 1)),
    "device, DLPack of float32": lambda g: tensor(g, CHW, (2, 32, 1)),
    "device, DLPack of float16": lambda g: tensor(g, HWC, (2, 16, 1)),
    "device, DLPack of uint8": lambda g: tensor(g, HWC, (1, 8, 1), strides=(WIDTH * 3, 3, 1)),
}


@pytest.mark.parametrize("kind", GOOD)
def test_frames_that_are_taken(encoder: NvencEncoder, device: Gpu, kind: str) -> None:
    frame = GOOD[kind](device)
    assert reaches_the_kernels(encoder, frame)
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
    assert reaches_the_kernels(encoder, np.zeros(HWC, np.uint8)), "the encoder is usable as before"


def test_a_frame_of_pyav(encoder: NvencEncoder) -> None:
    import av

    frame = av.VideoFrame(WIDTH, HEIGHT, "rgb24")
    with pytest.raises(InvalidFrame, match="to_ndarray"):
        encoder.encode(frame)
    assert reaches_the_kernels(encoder, frame.to_ndarray(format="rgb24"))


def test_a_failed_conversion_gives_everything_back(encoder: NvencEncoder, device: Gpu) -> None:
    released: list[object] = []
    for seq in range(3):
        with pytest.raises(CudaFailed):
            encoder.submit(GOOD["device, HWC"](device), seq, on_released=released.append)
    assert encoder.flush_pipeline() == []
    assert encoder.in_flight == 0
    encoder.close()
    with pytest.raises(EncoderClosed):
        encoder.encode(np.zeros(HWC, np.uint8))


# Order of streams


def test_a_host_frame_is_brought_over_in_one_piece(abi: str, simulator: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    flipped = np.zeros((HEIGHT, WIDTH + 64, 3), np.float32)[::-1, 64:]
    with simulator.machine(gpus=FAST, trace=str(path)), NvencEncoder(WIDTH, HEIGHT, format="rgb") as encoder:
        for _ in range(3):
            assert reaches_the_kernels(encoder, flipped)
    calls = read_calls(path)
    copies = [call.args for call in calls if call.name == "cuMemcpy2DAsync_v2"]
    assert len(copies) == 3
    staging = [call for call in calls if call.name.startswith("cuMemAllocPitch")]
    assert len(staging) == 2, "a surface, and one staging memory for all frames"


@pytest.mark.parametrize("order", ["told", "given"])
def test_it_waits_for_the_producer(abi: str, simulator: Simulator, tmp_path: Path, order: str) -> None:
    path = tmp_path / "trace"
    with (
        simulator.machine(gpus=FAST, trace=str(path)),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, format="rgb") as encoder,
    ):
        stream = device.stream()
        frame = on_device(device, np.zeros(HWC, np.uint8), stream=stream if order == "told" else None)
        assert reaches_the_kernels(encoder, frame, **({} if order == "told" else {"stream": stream}))
    calls = read_calls(path)
    names = [call.name for call in calls]
    (recorded,) = [i for i, c in enumerate(calls) if c.name == "cuEventRecord" and c.args.get("stream") == hex(stream)]
    load = names.index("cuModuleLoadData") if "cuModuleLoadData" in names else len(names)
    assert "cuStreamWaitEvent" in names[recorded:load]


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
        assert reaches_the_kernels(encoder, np.zeros((HEIGHT + 1, WIDTH + 1, 3), np.uint8))


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
    assert reaches_the_kernels(encoder, np.zeros((HEIGHT - 2, WIDTH - 2, 3), np.uint8))


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
        assert reaches_the_kernels(encoder, frame)
        theirs.close()
    (copy,) = [call.args for call in read_calls(path, "cuMemcpy2DAsync_v2")]
    assert str(frame.pointer) in str(copy) or hex(frame.pointer) in str(copy)
