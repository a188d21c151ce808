"""RGB frames converted on a real GPU for the encoder, which is simulated and reports what it has read.

What the conversion makes of every arrangement is proven in test_colour.py against float64. Here it is the encoder's
surfaces that have to hold the very same codes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from colour import reference
from colour.cases import Arrangement, Image, deviation, make_image, make_output
from gpu.frames import OnlyDlpack, WithStream
from gpu.library import EncodeLibrary
from pdum.nvenc import Colour, InvalidFrame, NvencEncoder

from simulator.echo import checksum, parse

WIDTH, HEIGHT = 640, 360
ONE = Arrangement(WIDTH, HEIGHT)

STREAMS: dict[str, dict[str, Any]] = {
    "nv12": {"codec": "h264"},
    "p010": {"codec": "hevc", "bit_depth": 10},
    "yuv444": {"codec": "h264", "chroma": "444"},
    "yuv444_10": {"codec": "hevc", "chroma": "444", "bit_depth": 10},
}


def encoder_for(a: Arrangement, **more: Any) -> NvencEncoder:
    colour = Colour.named(a.matrix, full_range=a.full_range)
    return NvencEncoder(a.width, a.height, format="rgb", colour=colour, **STREAMS[a.form], **more)


class Converter:
    """The checksum of an image's conversion, within one code of the exact values."""

    def __init__(self, cupy: Any) -> None:
        from pdum.nvenc import _nvenc

        self._cupy = cupy
        self._converter = _nvenc._RgbConverter(0)

    def expected(self, a: Arrangement, image: Image) -> int:
        cupy, output = self._cupy, make_output(a)
        source, planes = cupy.asarray(image.memory), cupy.asarray(output.memory)
        self._converter.convert(
            source=source.data.ptr + image.offset,
            shape=image.shape,
            strides=image.strides,
            layout=a.layout,
            type=a.type,
            destination=planes.data.ptr + output.offset,
            pitch=output.pitch,
            format=a.form,
            matrix=a.matrix,
            full_range=a.full_range,
            siting="left",
            stream=cupy.cuda.get_current_stream().ptr or 1,  # on which CuPy copies both arrays
        )
        output.memory[:] = cupy.asnumpy(planes)
        assert deviation(a, image, output).worst <= 1
        codes = output.codes()
        kind = np.uint16 if a.item_out == 2 else np.uint8
        shift = 6 if a.item_out == 2 else 0
        planes_out = [(plane << shift).astype(kind) for plane in codes]
        if a.subsampled:
            planes_out[1:] = [np.stack(planes_out[1:], axis=-1).reshape(-1, a.width)]
        return checksum(np.concatenate(planes_out))


@pytest.fixture(scope="module")
def converter(cupy: Any) -> Converter:
    return Converter(cupy)


def on_device(cupy: Any, image: Image) -> Any:
    memory = cupy.asarray(image.memory)
    pointer = cupy.cuda.MemoryPointer(memory.data.mem, memory.data.ptr - memory.data.mem.ptr + image.offset)
    return cupy.ndarray(image.shape, image.dtype, pointer, strides=image.strides)


def encoded(encoder: NvencEncoder, frame: Any) -> int:
    return int(parse(encoder.encode(frame))[-1].checksum)


@pytest.mark.parametrize("form", reference.FORMATS)
@pytest.mark.parametrize("layout", ["hwc", "chw"])
@pytest.mark.parametrize("kind", reference.TYPES)
def test_every_way_in(
    engine: EncodeLibrary, abi: str, cupy: Any, converter: Converter, kind: str, layout: str, form: str
) -> None:
    """From the device with both protocols and from the host, packed and padded."""
    a = dataclasses.replace(ONE, type=kind, layout=layout, form=form)
    cases = [
        a,
        dataclasses.replace(a, spare_elements=5, upside_down=True, bgr=True),
        dataclasses.replace(a, channels=4),
    ]
    with encoder_for(a) as encoder:
        for seed, case in enumerate(cases):
            image = make_image(case, seed)
            expected = converter.expected(case, image)
            frame = on_device(cupy, image)
            assert encoded(encoder, frame) == expected
            if min(image.strides) > 0:  # CuPy's DLPack has others wrong
                assert encoded(encoder, OnlyDlpack(frame)) == expected
            assert encoded(encoder, image.on_host()) == expected


@pytest.mark.parametrize("matrix", reference.MATRICES)
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("form", ["nv12", "p010"])
def test_the_matrix_is_the_one_signalled(
    engine: EncodeLibrary, cupy: Any, converter: Converter, matrix: str, full_range: bool, form: str
) -> None:
    a = dataclasses.replace(ONE, matrix=matrix, full_range=full_range, form=form)
    image = make_image(a, 5)
    with encoder_for(a) as encoder:
        assert encoded(encoder, on_device(cupy, image)) == converter.expected(a, image)


def test_torch(engine: EncodeLibrary, abi: str, torch: Any, converter: Converter) -> None:
    for kind, dtype in (("u8", torch.uint8), ("f16", torch.float16), ("f32", torch.float32)):
        a = dataclasses.replace(ONE, type=kind, layout="chw")
        image = make_image(a, 4)
        tensor = torch.from_numpy(image.on_host().copy()).cuda()
        assert tensor.dtype == dtype
        with encoder_for(a) as encoder:
            assert encoded(encoder, tensor) == converter.expected(a, image)
            assert encoded(encoder, tensor.permute(1, 2, 0)) == converter.expected(a, image)
            pinned = torch.from_numpy(image.on_host().copy()).pin_memory()
            assert encoded(encoder, pinned.numpy()) == converter.expected(a, image)


PRODUCER = r"""extern "C" __global__ void produce(unsigned char* image, long long size, int number, long long cycles) {
    const long long start = clock64();
    while (clock64() - start < cycles) { }
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x)
        image[i] = (unsigned char)(i * 7 + number * 13);
}"""


@pytest.mark.parametrize("delay", [0, 3])
def test_the_frame_may_be_overwritten_at_once(
    engine: EncodeLibrary, abi: str, cupy: Any, converter: Converter, delay: int
) -> None:
    """A slow producer on its own stream, one image for all frames, no wait on the host."""
    produce = cupy.RawKernel(PRODUCER, "produce")
    stream = cupy.cuda.Stream(non_blocking=True)
    image = make_image(ONE, 0)
    array = cupy.zeros((HEIGHT, WIDTH, 3), cupy.uint8)
    cupy.cuda.Device().synchronize()
    packets: list[Any] = []
    with encoder_for(ONE, extra_output_delay=delay) as encoder, stream:
        for number in range(100):
            produce((64,), (256,), (array, np.int64(array.size), np.int32(number), np.int64(1_000_000)))
            packets += encoder.submit(WithStream(array, stream.ptr), number)
        packets += encoder.flush_pipeline()
    for packet in packets:
        image.memory[:] = (np.arange(image.memory.size) * 7 + packet.seq * 13).astype(np.uint8)
        assert parse(packet.data)[-1].checksum == converter.expected(ONE, image), packet.seq
    assert len(packets) == 100


def test_that_would_be_noticed(engine: EncodeLibrary, cupy: Any, converter: Converter) -> None:
    """Without the producer's stream, the previous image is read."""
    produce = cupy.RawKernel(PRODUCER, "produce")
    stream = cupy.cuda.Stream(non_blocking=True)
    array = cupy.zeros((HEIGHT, WIDTH, 3), cupy.uint8)
    cupy.cuda.Device().synchronize()
    image, wrong = make_image(ONE, 0), 0
    with encoder_for(ONE) as encoder, stream:
        for number in range(30):
            produce((64,), (256,), (array, np.int64(array.size), np.int32(number), np.int64(2_000_000)))
            found = encoded(encoder, WithStream(array, None))
            image.memory[:] = (np.arange(image.memory.size) * 7 + number * 13).astype(np.uint8)
            wrong += found != converter.expected(ONE, image)
    assert wrong


def test_pinned_memory_may_be_overwritten_at_once(engine: EncodeLibrary, torch: Any, converter: Converter) -> None:
    image = make_image(ONE, 0)
    pinned = torch.empty((HEIGHT, WIDTH, 3), dtype=torch.uint8).pin_memory().numpy()
    with encoder_for(ONE, extra_output_delay=3) as encoder:
        packets = []
        for number in range(60):
            pinned[...] = number
            packets += encoder.submit(pinned, number)
            pinned[...] = 255
        packets += encoder.flush_pipeline()
    for packet in packets:
        image.memory[:] = packet.seq
        assert parse(packet.data)[-1].checksum == converter.expected(ONE, image), packet.seq


def test_odd_sizes_in_444(engine: EncodeLibrary, cupy: Any, converter: Converter) -> None:
    a = dataclasses.replace(ONE, width=641, height=361, form="yuv444")
    image = make_image(a, 8)
    with encoder_for(a) as encoder:
        assert encoded(encoder, on_device(cupy, image)) == converter.expected(a, image)


def test_wrong_frames_are_refused_and_the_encoder_stays_usable(
    engine: EncodeLibrary, cupy: Any, converter: Converter
) -> None:
    image = make_image(ONE, 1)
    with encoder_for(ONE) as encoder:
        for wrong in (
            cupy.zeros((HEIGHT, WIDTH), cupy.uint8),
            cupy.zeros((HEIGHT, WIDTH, 3), cupy.float64),
            cupy.zeros((HEIGHT, WIDTH, 2), cupy.uint8),
        ):
            with pytest.raises(InvalidFrame):
                encoder.encode(wrong)
            assert encoded(encoder, on_device(cupy, image)) == converter.expected(ONE, image)
