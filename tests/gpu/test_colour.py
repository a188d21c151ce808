"""RGB to YUV on a real GPU: the kernels of the module, compiled by its driver, against the float64 reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colour import reference
from colour.cases import Arrangement, Deviation, Image, Output, arrangements, deviation, make_image, make_output
from pdum.nvenc import InvalidFrame, _nvenc

FULL_HD = Arrangement(1920, 1080)


class OnDevice:
    """The converter with its images and planes in the GPU's memory."""

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._converter = _nvenc._RgbConverter(0)

    def convert(self, a: Arrangement, image: Image, output: Output) -> None:
        cupy = self._cupy
        source, planes = cupy.asarray(image.memory), cupy.asarray(output.memory)
        self.queue(a, image, output, source.data.ptr, planes.data.ptr, cupy.cuda.Stream.null.ptr)
        output.memory[:] = cupy.asnumpy(planes)

    def queue(self, a: Arrangement, image: Image, output: Output, source: int, planes: int, stream: int) -> None:
        self._converter.convert(
            source=source + image.offset,
            shape=image.shape,
            strides=image.strides,
            layout=a.layout,
            type=a.type,
            destination=planes + output.offset,
            pitch=output.pitch,
            format=a.form,
            matrix=a.matrix,
            full_range=a.full_range,
            siting=a.siting,
            stream=stream,
        )

    def deviation(self, a: Arrangement, seed: int) -> Deviation:
        image, output = make_image(a, seed), make_output(a)
        self.convert(a, image, output)
        return deviation(a, image, output)


@pytest.fixture(scope="module")
def device(cupy: Any) -> OnDevice:
    return OnDevice(cupy)


@settings(max_examples=500, deadline=None)
@given(arrangement=arrangements(), seed=st.integers(0, 2**32))
def test_every_arrangement_within_one_code(device: OnDevice, arrangement: Arrangement, seed: int) -> None:
    assert device.deviation(arrangement, seed).worst <= 1


@pytest.mark.parametrize("form", reference.FORMATS)
@pytest.mark.parametrize("kind", reference.TYPES)
def test_nearly_every_code_is_the_correctly_rounded_one(
    device: OnDevice, kind: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    inexact = total = 0
    for matrix in reference.MATRICES:
        for full_range in (False, True):
            for siting in reference.SITINGS:
                a = Arrangement(1920, 216, kind, form=form, matrix=matrix, full_range=full_range, siting=siting)
                found = device.deviation(a, 7)
                assert found.worst <= 1
                inexact, total = inexact + found.inexact, total + found.total
    with capsys.disabled():
        print(f"\n{kind} to {form}: {inexact} of {total} codes are one off ({inexact / total:.1e})")
    assert inexact <= total * 5e-4


@pytest.mark.parametrize("size", [(2, 2), (1920, 1080), (1080, 1920), (854, 480), (3840, 2160), (7680, 4320)])
@pytest.mark.parametrize("layout", ["hwc", "chw"])
@pytest.mark.parametrize("form", ["nv12", "p010"])
def test_sizes(device: OnDevice, size: tuple[int, int], layout: str, form: str) -> None:
    assert device.deviation(Arrangement(*size, layout=layout, form=form), 3).worst <= 1


def test_codes_are_those_of_the_processor(device: OnDevice, tmp_path: Any) -> None:
    """The GPU's results equal those of the tests without a GPU, bit for bit."""
    from colour.emulator import Emulator

    emulator = Emulator(tmp_path)
    for kind in reference.TYPES:
        for form in reference.FORMATS:
            for layout in ("hwc", "chw"):
                a = Arrangement(250, 32, kind, layout, 4, aligned_rows=True, form=form)
                image, here, there = make_image(a, 5), make_output(a), make_output(a)
                emulator.convert(a, image, here)
                device.convert(a, image, there)
                assert (here.memory == there.memory).all(), (kind, form, layout)


def test_the_stream_orders_it(device: OnDevice, cupy: Any) -> None:
    """A slow producer, the conversion and a copy on one stream, one image for all frames, no wait on the host."""
    spin = cupy.RawKernel(
        r"""extern "C" __global__ void produce(unsigned char* image, long long size, int number, long long cycles) {
            const long long start = clock64();
            while (clock64() - start < cycles) { }
            for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x)
                image[i] = (unsigned char)(i * 7 + number * 13);
        }""",
        "produce",
    )
    a = dataclasses.replace(FULL_HD, width=640, height=360)
    image, output = make_image(a, 0), make_output(a)
    source, planes = cupy.asarray(image.memory), cupy.asarray(output.memory)
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    results = []
    with stream:
        for number in range(50):
            spin((64,), (256,), (source, np.int64(source.size), np.int32(number), np.int64(1_000_000)))
            device.queue(a, image, output, source.data.ptr, planes.data.ptr, stream.ptr)
            results.append(planes.copy())
    stream.synchronize()
    for number, result in enumerate(results):
        image.memory[:] = (np.arange(image.memory.size) * 7 + number * 13).astype(np.uint8)
        output.memory[:] = cupy.asnumpy(result)
        assert deviation(a, image, output).worst <= 1, number


def test_it_can_be_captured_into_a_graph(device: OnDevice, cupy: Any) -> None:
    image, output = make_image(FULL_HD, 9), make_output(FULL_HD)
    source, planes = cupy.asarray(image.memory), cupy.asarray(output.memory)
    device.convert(FULL_HD, image, make_output(FULL_HD))  # compiles the kernel
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        device.queue(FULL_HD, image, output, source.data.ptr, planes.data.ptr, stream.ptr)
        graph = stream.end_capture()
        graph.launch(stream)
    stream.synchronize()
    output.memory[:] = cupy.asnumpy(planes)
    assert deviation(FULL_HD, image, output).worst <= 1


def refusals() -> list[Callable[[Arrangement], Arrangement]]:
    return [
        lambda a: dataclasses.replace(a, width=1919),
        lambda a: dataclasses.replace(a, height=1079),
        lambda a: dataclasses.replace(a, channels=2),
    ]


@pytest.mark.parametrize("change", refusals())
def test_refusals_queue_nothing(device: OnDevice, change: Callable[[Arrangement], Arrangement]) -> None:
    image, output = make_image(FULL_HD, 1), make_output(FULL_HD)
    wrong = change(FULL_HD)
    image.shape = (wrong.height, wrong.width, wrong.channels)
    with pytest.raises(InvalidFrame):
        device.convert(FULL_HD, image, output)
    assert (output.memory == make_output(FULL_HD).memory).all()
