"""Programs for habemus-papadum-nvenc run on this package: its constructor, its calls and its errors."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import pdum.nvenc
from frames import Gpu, gpu, nv12
from pdum.nvenc import NvencEncoder

from simulator import Simulator, parse

WIDTH, HEIGHT = 256, 144
# The arguments of its constructor, in order, with their defaults.
ARGUMENTS = {
    "width": inspect.Parameter.empty,
    "height": inspect.Parameter.empty,
    "codec": "h264",
    "preset": "p3",
    "tuning": "ll",
    "fps": 30,
    "gop": 30,
    "bitrate": 0,
    "gpu_id": 0,
    "cuda_context": 0,
    "extra_output_delay": 0,
}


@pytest.fixture
def card(simulator: Simulator) -> Iterator[Gpu]:
    with simulator.machine(gpus=["RTX 4090"]), gpu() as one:
        yield one


def test_the_constructor_takes_the_same_arguments_in_the_same_order() -> None:
    ours = list(inspect.signature(NvencEncoder).parameters.values())[: len(ARGUMENTS)]
    assert [one.name for one in ours] == list(ARGUMENTS)
    for one in ours[2:]:
        assert one.default == ARGUMENTS[one.name]


def test_one_frame_in_and_its_access_unit_out(card: Gpu) -> None:
    encoder = NvencEncoder(WIDTH, HEIGHT, codec="h264", preset="p3", tuning="ll", fps=30, gop=30)
    frame = card.frame(nv12(WIDTH, HEIGHT))
    stream = encoder.encode(frame, force_idr=True)
    assert isinstance(stream, bytes)
    assert stream.startswith(b"\0\0\0\1"), "Annex B"
    stream += encoder.flush()
    encoder.close()
    assert [picture.is_idr for picture in parse(stream)] == [True]
    assert (encoder.width, encoder.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_a_pipeline_gives_each_seq_once_and_in_order(card: Gpu, depth: int) -> None:
    encoder = NvencEncoder(WIDTH, HEIGHT, codec="h264", fps=30, gop=8, bitrate=6_000_000, extra_output_delay=depth)
    frame = card.frame(nv12(WIDTH, HEIGHT))
    early, deepest = [], 0
    for number in range(24):
        early += encoder.submit(frame, seq=number, force_idr=number == 0)
        deepest = max(deepest, number + 1 - len(early))
    late = encoder.flush_pipeline()
    encoder.close()
    assert 1 <= deepest <= depth
    assert [seq for seq, _, _ in early + late] == list(range(24))
    for seq, data, keyframe in early + late:
        assert keyframe is (seq % 8 == 0)
        assert isinstance(bytes(data), bytes)


def test_frames_on_the_host_and_in_a_context_of_the_callers(card: Gpu) -> None:
    picture = nv12(WIDTH, HEIGHT, 5)
    with NvencEncoder(WIDTH, HEIGHT, "hevc", "p1", "ull", 60, 60, 4_000_000, 0, 0, 0) as encoder:
        (from_host,) = parse(encoder.encode(frame=picture))
        (from_gpu,) = parse(encoder.encode(frame=card.frame(picture), force_idr=False))
    assert from_host.checksum == from_gpu.checksum


def test_what_it_refuses_is_the_same_type_of_error_here(card: Gpu) -> None:
    wrongs: list[dict[str, Any]] = [{"width": 255}, {"height": 0}, {"preset": "p9"}, {"tuning": "fast"}]
    for wrong in wrongs:
        with pytest.raises(ValueError):  # noqa: PT011  # the messages are ours
            NvencEncoder(**{"width": WIDTH, "height": HEIGHT, **wrong})
    encoder = NvencEncoder(WIDTH, HEIGHT)
    encoder.close()
    with pytest.raises(RuntimeError):
        encoder.encode(card.frame(nv12(WIDTH, HEIGHT)))
    encoder.close()


def test_what_it_tells_of_itself(card: Gpu) -> None:
    assert isinstance(pdum.nvenc.nvtx_enabled, bool)
    assert isinstance(pdum.nvenc.abi, str)
    assert {"NvencEncoder", "nvtx_enabled", "abi"} <= set(pdum.nvenc.__all__)
