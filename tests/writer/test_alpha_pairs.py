"""Frames of NV12 with their alpha beside them into files: both layers show what was written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from frames import Gpu
from mp4_files import boxes
from pdum.nvenc import EncoderConfig, InvalidFrame, NvencEncoder, VideoWriter, encode_frames
from pdum.nvenc._writer.frame_copies import kept
from pdum.nvenc._writer.frame_encoder import OneEngine
from pdum.nvenc._writer.views import checked_views
from stereo_streams import annex_b, arrays, sets_of_second_layer
from transparent_clips import alpha_in, packets_of

from simulator import Simulator

pytestmark = pytest.mark.one_abi

WIDTH, HEIGHT, COUNT = 192, 160, 8
"""An array of so many rows is no frame of NV12."""
Pixels = NDArray[np.uint8]
BESIDE: dict[str, Any] = {"codec": "hevc", "format": "nv12", "alpha": True, "qp": 8}
TWO = ["RTX 5090"]
"""A card with three encoders."""


@pytest.fixture
def machine(simulator: Simulator) -> Iterator[Any]:
    with simulator.machine(gpus=TWO, backend="codec") as made:
        yield made


def pair(number: int) -> tuple[Pixels, Pixels]:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    colour = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    colour[:HEIGHT] = 40 + 20 * number
    return colour, np.asarray(np.clip(2 * x + y - 80 + 15 * number, 0, 255), np.uint8)


def assert_written(path: Path, numbers: range = range(COUNT)) -> None:
    found = alpha_in(packets_of(path))
    with av.open(str(path)) as file:
        shown = [frame.to_ndarray(format="yuv420p")[:HEIGHT] for frame in file.decode(video=0)]
    assert len(found) == len(shown) == len(numbers)
    for number, seen, luma in zip(numbers, found, shown, strict=True):
        colour, alpha = pair(number)
        assert np.abs(seen[:HEIGHT, :WIDTH].astype(int) - alpha).mean() < 2, number
        assert np.abs(luma.astype(int) - colour[:HEIGHT]).max() < 4, number


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("suffix", ["mov", "mp4"])
@pytest.mark.parametrize(
    "more", [{}, {"engines": "all", "gop": 3}, {"bframes": 2}, {"drop": "oldest"}, {"on_error": "keep"}]
)
def test_what_is_written_is_in_the_file(tmp_path: Path, suffix: str, more: dict[str, Any]) -> None:
    """The caller uses the same memory for all frames."""
    colour, alpha = pair(0)
    with VideoWriter(tmp_path / f"a.{suffix}", fps=25, queue_frames=COUNT, **{**BESIDE, **more}) as video:
        for number in range(COUNT):
            colour[:], alpha[:] = pair(number)
            video.write((colour, alpha))
            colour[:], alpha[:] = 7, 9
    assert video.dropped == 0
    assert_written(tmp_path / f"a.{suffix}")


@pytest.mark.usefixtures("machine")
def test_the_same_from_batches_configurations_and_the_one_liner(tmp_path: Path) -> None:
    pairs = [pair(number) for number in range(COUNT)]
    batch = tuple(np.stack(views) for views in zip(*pairs, strict=True))
    with VideoWriter(tmp_path / "batch.mov", fps=25, **BESIDE) as video:
        video.write(batch)
    config = EncoderConfig(width=WIDTH, height=HEIGHT, codec="hevc", alpha=True, qp=8)
    with VideoWriter(tmp_path / "config.mov", fps=25, config=config) as video:
        for one in pairs:
            video.write(list(one))
    encode_frames(pairs, tmp_path / "one.mov", fps=25, **BESIDE)
    with VideoWriter(tmp_path / "pyav.mov", fps=25, **BESIDE) as video:
        for colour, alpha in pairs:
            video.write((av.VideoFrame.from_ndarray(colour, format="nv12"), alpha))
    for name in ("batch", "config", "one", "pyav"):
        assert_written(tmp_path / f"{name}.mov")


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("on_gpu", [(0,), (1,), (0, 1)], ids=str)
@pytest.mark.parametrize("engines", [1, "all"])
def test_either_may_lie_on_the_gpu(tmp_path: Path, on_gpu: tuple[int, ...], engines: Any) -> None:
    gpu = Gpu()
    try:
        with VideoWriter(tmp_path / "a.mov", fps=25, engines=engines, gop=3, **BESIDE) as video:
            for number in range(COUNT):
                views = [gpu.frame(view) if place in on_gpu else view for place, view in enumerate(pair(number))]
                video.write(tuple(views))
    finally:
        gpu.close()
    assert_written(tmp_path / "a.mov")


def test_copies_of_both_wait_in_a_queue() -> None:
    colour, alpha = pair(3)
    (held, plane), size = kept((colour, alpha), on_gpu=False)
    assert size == colour.nbytes + alpha.nbytes
    colour[:] = alpha[:] = 0
    wanted = pair(3)
    assert np.array_equal(held, wanted[0])
    assert np.array_equal(plane, wanted[1])


@pytest.mark.usefixtures("machine")
def test_a_pair_lies_where_one_of_its_two_lies() -> None:
    gpu = Gpu()
    try:
        colour, alpha = pair(0)
        for views in ((gpu.frame(colour), alpha), (colour, gpu.frame(alpha))):
            assert checked_views(views, "nv12", None, None, "alpha").location == "gpu"
        assert checked_views((colour, alpha), "nv12", None, None, "alpha").location == "host"
    finally:
        gpu.close()


COLOUR, ALPHA = pair(0)
WRONG: dict[str, tuple[Any, str]] = {
    "no pair": (COLOUR, r"a pair of a frame and its alpha.*ndarray.*write\(\(frame, alpha\)\).*abgr"),
    "three": ((COLOUR, ALPHA, ALPHA), "a tuple of 3"),
    "RGBA": (np.zeros((HEIGHT, WIDTH, 4), np.uint8), "format='abgr'"),
    "a smaller alpha": ((COLOUR, ALPHA[:100]), r"192x160 \(nv12\)'s size.*got 192x100"),
    "floats": ((COLOUR, ALPHA.astype(np.float32)), "uint8 for alpha.*float32"),
    "the frame twice": ((COLOUR, COLOUR), "got 192x240"),
    "a batch of one": ((COLOUR[None], ALPHA), "1 times 192x160"),
    "alpha of one axis": ((COLOUR[None], ALPHA.reshape(-1)), r"shape \(30720,\)"),
    "no array": ((COLOUR, None), "NoneType"),
    "changed places": ((ALPHA, COLOUR), "160 rows are not a whole picture"),
}


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("more", [{}, {"engines": "all"}, {"drop": "oldest"}], ids=str)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_pair_costs_nothing(tmp_path: Path, name: str, more: dict[str, Any]) -> None:
    frame, said = WRONG[name]
    with VideoWriter(tmp_path / "a.mov", fps=25, queue_frames=COUNT, **BESIDE, **more) as video:
        for number in range(COUNT):
            video.write(pair(number))
            with pytest.raises(InvalidFrame, match=said):
                video.write(frame)
    assert_written(tmp_path / "a.mov")


@pytest.mark.usefixtures("machine")
def test_flat_bytes_need_a_size(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mov", fps=25, size=(WIDTH, HEIGHT), **BESIDE) as video:
        for number in range(COUNT):
            video.write(tuple(view.tobytes() for view in pair(number)))
        with pytest.raises(InvalidFrame, match="for format 'alpha'"):
            video.write((pair(0)[0].tobytes(), bytes(10)))
    assert_written(tmp_path / "a.mov")


@pytest.mark.filterwarnings("ignore:Software encoding:RuntimeWarning")
def test_software_keeps_the_colours_and_says_so(tmp_path: Path) -> None:
    colour, alpha = pair(0)
    with VideoWriter(tmp_path / "a.mov", fps=25, backend="software", **BESIDE) as video:
        with pytest.warns(RuntimeWarning, match="Ignored by software encoding: .*alpha"):
            video.write((colour, alpha))
        for number in range(1, COUNT):
            colour[:], alpha[:] = pair(number)
            video.write((colour, alpha))
            colour[:] = 0
    assert bytes((39 << 1, 1, 165)) not in (tmp_path / "a.mov").read_bytes(), "players look for no alpha"
    with av.open(str(tmp_path / "a.mov")) as file:
        shown = [frame.to_ndarray(format="yuv420p")[:HEIGHT].astype(int) for frame in file.decode(video=0)]
    assert len(shown) == COUNT
    assert all(np.abs(seen - pair(number)[0][:HEIGHT]).max() < 4 for number, seen in enumerate(shown))


@pytest.mark.usefixtures("machine")
def test_pairs_are_awaited(tmp_path: Path) -> None:
    """The stream of awaited calls is that of calls that wait."""

    async def awaited() -> bytes:
        with NvencEncoder(WIDTH, HEIGHT, codec="hevc", alpha=True, qp=8) as encoder:
            packets = [packet for n in range(COUNT) for packet in await encoder.submit_async(pair(n), n)]
            return b"".join(packet.data for packet in [*packets, *await encoder.flush_pipeline_async()])

    with NvencEncoder(WIDTH, HEIGHT, codec="hevc", alpha=True, qp=8) as encoder:
        packets = [packet for n in range(COUNT) for packet in encoder.submit(pair(n), n)]
        plain = b"".join(packet.data for packet in [*packets, *encoder.flush_pipeline()])
    assert asyncio.run(awaited()) == plain


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("suffix", ["mov", "mp4"])
def test_parameter_sets_of_alpha_have_a_box_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """The simulated driver has one for both layers. Others may not."""
    header, sets = OneEngine.header, list[bytes]()

    def with_more(encoder: OneEngine) -> bytes:
        made = header(encoder)
        sets[:] = sets_of_second_layer(made)
        return made + annex_b(sets)

    monkeypatch.setattr(OneEngine, "header", with_more)
    with VideoWriter(tmp_path / f"a.{suffix}", fps=25, **BESIDE) as video:
        for number in range(COUNT):
            video.write(pair(number))
    data, entry = (tmp_path / f"a.{suffix}").read_bytes(), ("moov", "trak", "mdia", "minf", "stbl", "stsd", "hvc1")
    (further,) = boxes(data, *entry, "lhvC")
    assert sets
    assert [unit for units in arrays(further, 5).values() for unit in units] == sets
    assert list(arrays(boxes(data, *entry, "hvcC")[0], 22)) == [32, 33, 34, 39]
