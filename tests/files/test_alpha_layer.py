"""HEVC with alpha as a source: what is decoded is what FFmpeg's own program shows, of our streams and of x265's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from decoder.test_descriptions import joined
from newest_ffmpeg import Planes, decoded, run
from pdum.nvenc import EncoderPool, InvalidConfig, SourceUnreadable
from pdum.nvenc._media.alpha_plane import has_alpha
from pdum.nvenc._media.decode import frames_from, stretch_frames
from pdum.nvenc._media.decoder import Decoding, every_frame
from pdum.nvenc._media.source import Index, index_source, look_through
from pdum.nvenc._media.stretches import Stretches
from stereo_streams import layer_of
from transparent_clips import FORMS, HEIGHT, WIDTH, transparent_clip

from simulator import Simulator

pytestmark = pytest.mark.one_abi

FRAMES = 24
SIZE = WIDTH, HEIGHT
X265 = "keyint=8:min-keyint=8:bframes=3:scenecut=0:log-level=none"
"""Key frames are CRA, with frames before them that refer back."""


@dataclass(frozen=True)
class Clip:
    path: Path
    wanted: list[Planes]
    """The pictures as FFmpeg's program shows them."""


def clip_of(path: Path) -> Clip:
    return Clip(path, decoded(path, SIZE))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return transparent_clip(tmp_path_factory.mktemp("alpha") / "source.mov", FORMS["PNG"], FRAMES)


@pytest.fixture(scope="module")
def ours(source: Path, simulator: Simulator) -> Clip:
    path = source.with_name("ours.mov")
    with simulator.machine(gpus=["RTX 5090"], backend="codec"), EncoderPool() as pool:
        pool.encode_file(source, path, alpha=True, qp=20, gop=8)
    return clip_of(path)


@pytest.fixture(scope="module")
def foreign(source: Path) -> Clip:
    return clip_of(by_x265(source, source.with_name("x265.mp4")))


def by_x265(source: Path, path: Path, *more: str) -> Path:
    run("-i", source, "-c:v", "libx265", "-pix_fmt", "yuva420p", "-x265-params", X265, *more, "-tag:v", "hvc1", path)
    return path


@pytest.fixture(params=["ours", "foreign"])
def clip(request: pytest.FixtureRequest) -> Clip:
    found: Clip = request.getfixturevalue(request.param)
    return found


def index_of(path: Path) -> Index:
    index, start = look_through(path, 2, lambda: None, True)
    start.close()
    return index


def planes_of(frame: Any) -> Planes:
    assert frame.format.name == "yuva420p"
    return [np.frombuffer(one, np.uint8).reshape(one.height, -1)[:, : one.width].copy() for one in frame.planes]


def assert_same(found: Sequence[Any], wanted: Sequence[Planes]) -> None:
    assert len(found) == len(wanted)
    for number, (frame, planes) in enumerate(zip(found, wanted, strict=True)):
        for seen, wants in zip(planes_of(frame), planes, strict=True):
            assert np.array_equal(seen, wants), number


def missing(number: int) -> None:
    pytest.fail(f"frame {number} is repeated")


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("first", [0, 5, 8, 13, FRAMES - 1])
def test_frames_from_anywhere(clip: Clip, first: int, threads: int) -> None:
    index = index_of(clip.path)
    assert index.frames == FRAMES
    assert (index.look.transparent, index.look.gives_alpha) == (True, True)
    with closing(frames_from(clip.path, index, first, Decoding(threads, strict=True), missing)) as frames:
        assert_same(list(frames), clip.wanted[first:])


@pytest.mark.parametrize("segments", [1, 2])
def test_a_result_keeps_it(clip: Clip, folder: Path, simulator: Simulator, segments: int) -> None:
    with simulator.machine(gpus=["RTX 5090"], backend="codec"), EncoderPool() as pool:
        told = pool.encode_file(clip.path, folder / "a.mov", alpha=True, qp=4, segments=segments)
    assert told.warnings == ()
    shown = decoded(folder / "a.mov", SIZE)
    assert len(shown) == FRAMES
    for number, (found, wanted) in enumerate(zip(shown, clip.wanted, strict=True)):
        for seen, wants in zip(found, wanted, strict=True):
            assert np.abs(seen.astype(int) - wants).mean() < 1, number


def test_stretches(clip: Clip) -> None:
    index = index_of(clip.path)
    stretches, found = Stretches(index, 1), []
    assert len(stretches) > 1
    for number in range(len(stretches)):
        with Decoding(1).opened(clip.path) as container:
            found += list(stretch_frames(container, index, stretches[number], Decoding(1)))
    assert_same(found, clip.wanted)


def test_colours_alone_unless_alpha_is_asked_for(clip: Clip) -> None:
    shown = list(every_frame(clip.path))
    assert not any(map(has_alpha, shown))
    for frame, planes in zip(shown, clip.wanted, strict=True):
        assert np.array_equal(np.frombuffer(frame.planes[0], np.uint8).reshape(HEIGHT, -1)[:, :WIDTH], planes[0])


@pytest.mark.parametrize(("name", "suffix"), [("ours", "mkv"), ("ours", "ts"), ("foreign", "ts"), ("foreign", "hevc")])
def test_other_containers(request: pytest.FixtureRequest, tmp_path: Path, name: str, suffix: str) -> None:
    """Packets with lengths or with start codes, with times or without."""
    clip, path = request.getfixturevalue(name), tmp_path / f"a.{suffix}"
    run("-i", clip.path, "-c", "copy", path)
    index = index_of(path)
    for first in (0, 13):
        with closing(frames_from(path, index, first)) as frames:
            assert_same(list(frames), clip.wanted[first:])


def test_ten_bits_and_a_size_that_is_cropped(source: Path, tmp_path: Path) -> None:
    form = "yuva420p10le"
    path = by_x265(source, tmp_path / "a.mov", "-vf", "scale=190:142", "-pix_fmt", form)
    with closing(frames_from(path, index_of(path), 0, Decoding(1, strict=True), missing)) as frames:
        found = list(frames)
    assert {(frame.format.name, frame.width, frame.height) for frame in found} == {(form, 190, 142)}
    planes = [np.frombuffer(one, np.uint16).reshape(one.height, -1)[:, : one.width] for f in found for one in f.planes]
    wanted = run("-i", path, "-f", "rawvideo", "-pix_fmt", form, "-")
    assert b"".join(plane.tobytes() for plane in planes) == wanted


def test_parts_with_their_own_headers(ours: Clip, foreign: Clip, tmp_path: Path) -> None:
    """As editors join videos: packets do not repeat the headers."""
    path = joined(tmp_path / "joined.mov", ours.path, foreign.path)
    index, wanted = index_of(path), ours.wanted + foreign.wanted
    assert index.changes_headers
    for first in (0, 13, FRAMES, FRAMES + 13):
        with closing(frames_from(path, index, first, Decoding(2, strict=True), missing)) as frames:
            assert_same(list(frames), wanted[first:])


def test_a_stream_is_known_by_its_headers(ours: Clip, tmp_path: Path) -> None:
    """FFmpeg finds those of MPEG-TS in its packets, without the message about alpha."""
    run("-i", ours.path, "-c", "copy", tmp_path / "a.ts")
    look = index_source(tmp_path / "a.ts").look
    assert (look.transparent, look.gives_alpha) == (True, False)


def test_a_layer_whose_headers_are_lost_is_no_alpha(foreign: Clip, tmp_path: Path, simulator: Simulator) -> None:
    """FFmpeg writes those of the first layer alone into Matroska's header, and the packets have none."""
    path = tmp_path / "a.mkv"
    run("-i", foreign.path, "-c", "copy", path)
    index = index_of(path)
    assert (index.look.transparent, index.look.gives_alpha, index.alpha) == (True, False, False)
    assert len(list(frames_from(path, index, 0))) == FRAMES
    with (
        simulator.machine(gpus=["RTX 5090"], backend="codec"),
        EncoderPool() as pool,
        pytest.raises(InvalidConfig, match="decoder for hevc gives the colours of this video without its alpha"),
    ):
        pool.encode_file(path, tmp_path / "b.mov", alpha=True)


def with_packet(clip: Clip, path: Path, place: int, changed: Callable[[bytes, bool], bytes], layer: int) -> Path:
    """The clip with other bytes for the slices of a layer in one of its packets. Their number stays."""
    with av.open(str(clip.path)) as source:
        packets = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    made = b"".join(changed(unit, layer_of(unit) == layer and unit[0] >> 1 < 32) for unit in units_of(packets[place]))
    assert len(made) == len(packets[place])
    path.write_bytes(clip.path.read_bytes().replace(packets[place], made))
    return path


def units_of(packet: bytes) -> list[bytes]:
    found = []
    while packet:
        size = int.from_bytes(packet[:4], "big")
        found.append(packet[4 : 4 + size])
        packet = packet[4 + size :]
    return found


def with_length(unit: bytes) -> bytes:
    return len(unit).to_bytes(4, "big") + unit


def gone(unit: bytes, is_it: bool) -> bytes:
    """In a layer that nobody knows."""
    return with_length(bytes((unit[0], 5 << 3 | 1)) + unit[2:] if is_it else unit)


def cut(unit: bytes, is_it: bool) -> bytes:
    """The beginning is left. The rest is in a unit that means nothing."""
    if not is_it:
        return with_length(unit)
    left = min(max(7, len(unit) // 50), len(unit) - 6)
    return with_length(unit[:left]) + with_length(bytes((48 << 1, 1)) + unit[left + 6 :])


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("spoil", [gone, cut])
@pytest.mark.parametrize("place", [0, 11, 16, FRAMES - 1])
def test_damage(clip: Clip, tmp_path: Path, layer: int, spoil: Callable[[bytes, bool], bytes], place: int) -> None:
    """There is a frame for each one that the source has, and those far from the damage are right. FFmpeg may take
    a picture that ends too early for a whole one, as it does without alpha."""
    path = with_packet(clip, tmp_path / "a.mov", place, spoil, layer)
    index, repeated = index_of(path), list[int]()
    with closing(frames_from(path, index, 0, Decoding(4), repeated.append)) as frames:
        found = list(frames)
    assert len(found) == index.frames
    assert all(map(has_alpha, found))
    if spoil is gone:
        assert repeated or index.frames < FRAMES
        with pytest.raises(SourceUnreadable):
            list(every_frame(path, Decoding(4, strict=True, alpha=True)))
    for frame in found:
        number = (frame.pts - index.pts[-1]) // (index.pts[1] - index.pts[0]) + FRAMES - 1
        if not place - 4 <= number < place // 8 * 8 + 8:
            assert all(map(np.array_equal, planes_of(frame), clip.wanted[number])), number
