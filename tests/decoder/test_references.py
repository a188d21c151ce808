"""Pictures whose references are missing: of H.264 and HEVC, each that is wrong is told, and no other video has any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from damaged import without
from decoder.conftest import L4
from decoder.test_damage import decoded
from decoder.test_files import forget
from decoder.videos import Kind, assert_same, by_processor, make
from pdum.nvenc import Decoder, DecoderFailed, decode
from pdum.nvenc._media.stream_headers import filter_for, filtered

from simulator import Machine, Simulator

pytestmark = pytest.mark.one_abi


def by_x265(name: str, text: str, threads: str = ":pools=none", **more: Any) -> Kind:
    parameters = {"x265-params": f"log-level=error{threads}:{text}"}
    return Kind(f"hevc-{name}", "libx265", size=(192, 160), options=parameters, container="mkv", **more)


def by_x264(name: str, text: str, **more: Any) -> Kind:
    return Kind(f"h264-{name}", options={"x264-params": text}, container="mkv", **more)


HEVC = [
    by_x265("no-b", "bframes=0:ref=3"),
    by_x265("pyramid", "rc-lookahead=12:bframes=7:b-adapt=0:b-pyramid=1:open-gop=1:ref=4"),
    by_x265("slices", "bframes=3:b-adapt=0:open-gop=0:slices=2", threads=""),
    by_x265("refresh", "bframes=0:intra-refresh=1:keyint=10"),
    by_x265("short", "bframes=2:keyint=4:min-keyint=4:ref=4:open-gop=0"),
    by_x265("layers", "bframes=3:b-adapt=0:temporal-layers=3:ref=4"),
    by_x265("ten-bit", "bframes=4:weightp=1:scaling-list=default", pixels="yuv420p10le"),
    by_x265("fields", "bframes=2:interlace=tff"),
]
H264 = [
    by_x264("no-b", "bframes=0:ref=3"),
    by_x264("weights", "bframes=3:b-adapt=0:ref=3:b-pyramid=none:weightp=2:weightb=1:8x8dct=1:slices=3"),
    by_x264("pyramid", "bframes=3:b-adapt=0:ref=4:b-pyramid=normal"),
    by_x264("open", "bframes=3:b-adapt=0:ref=4:b-pyramid=normal:open-gop=1:keyint=10:min-keyint=10"),
    by_x264("refresh", "bframes=0:intra-refresh=1:keyint=10"),
    by_x264("interlaced", "tff=1:bframes=2:ref=4", size=(192, 160)),
]


def frames_of(path: Path) -> dict[Any, tuple[bool, Any]]:
    """By their times: whether they are told, and the pictures."""
    found: dict[Any, tuple[bool, Any]] = {}
    for frame in decode(path):
        assert frame.damaged or not frame.lacks_references
        found[frame.pts] = frame.damaged, np.asarray(frame)
    return found


def shown_by_processor(path: Path) -> set[Any]:
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return {frame.pts for frame in container.decode(video=0)}


def wrong_in(found: Mapping[Any, tuple[bool, Any]], whole: Mapping[Any, tuple[bool, Any]]) -> set[Any]:
    return {pts for pts, (_, picture) in found.items() if not np.array_equal(picture, whole[pts][1])}


def assert_each_wrong_picture_is_told(path: Path, tmp_path: Path, kind: Kind, numbers: Iterable[int]) -> None:
    """Packets are left out, one at a time."""
    whole = frames_of(path)
    assert not any(told for told, _ in whole.values())
    count_told = count_wrong = 0
    for number in numbers:
        lossy = without(path, {number}, tmp_path)
        found = frames_of(lossy)
        told, wrong = {pts for pts, (is_told, _) in found.items() if is_told}, wrong_in(found, whole)
        assert wrong <= told, f"without packet {number}"
        if kind in HEVC:
            assert told <= found.keys() - shown_by_processor(lossy), "the processor leaves these out"
        count_told += len(told)
        count_wrong += len(wrong)
    assert count_wrong
    assert count_told < (3 if kind in HEVC else 1.1) * count_wrong


@pytest.mark.parametrize("kind", [*HEVC, *H264], ids=lambda kind: kind.name)
def test_each_wrong_picture_is_told(machine: Machine, folder: Path, tmp_path: Path, kind: Kind) -> None:
    assert_each_wrong_picture_is_told(make(folder, kind), tmp_path, kind, range(1, kind.count))


@pytest.mark.parametrize("numbers", [{2}, {10}, {13}, {19}, {20}, {24, 25}], ids=str)
@pytest.mark.parametrize("kind", [*HEVC, *H264], ids=lambda kind: kind.name)
def test_files_give_the_processors_frames(
    machine: Machine, folder: Path, tmp_path: Path, kind: Kind, numbers: set[int]
) -> None:
    assert_files_give_the_processors_frames(make(folder, kind), numbers, tmp_path, kind)


def assert_files_give_the_processors_frames(
    path: Path, numbers: set[int], tmp_path: Path, kind: Kind, may_have_more: bool = False
) -> None:
    """The same ones are repeated, and those that are right are the same. How wrong the others are is the decoder's.

    ``may_have_more``: a real GPU shows a frame or two just before a missing one that the processor leaves out.
    """
    forget()
    whole = dict(by_processor(path))
    lossy = without(path, numbers, tmp_path)
    wanted, told, _ = decoded(lossy, 0, by_chip=False)
    found, repeated, chips = decoded(lossy, 0, by_chip=True)
    assert chips
    if (
        may_have_more or kind.name == "hevc-layers"
    ):  # the processor also leaves out what only could have referred to a missing picture
        assert {*repeated} <= {*told}
    else:
        assert repeated == told
    right = [at for at, (pts, picture) in enumerate(wanted) if at not in told and np.array_equal(picture, whole[pts])]
    assert right
    assert_same([found[at] for at in right], [wanted[at] for at in right])


@pytest.mark.parametrize("kind", [HEVC[1], H264[3]], ids=lambda kind: kind.name)
def test_decoding_may_begin_at_an_open_key_frame(machine: Machine, folder: Path, kind: Kind) -> None:
    """Only what is shown before that refers to what is not there. Messages are left out: a key frame of its container
    needs none at the beginning."""
    with av.open(str(make(folder, kind))) as container:
        video = container.streams.video[0]
        bitstream_filter = filter_for(video)
        packets = [one for one in container.demux(video) if one.size]
        keys = [number for number, one in enumerate(packets) if one.is_keyframe]
        coded = [(part.pts, without_messages(part)) for one in packets for part in filtered(one, bitstream_filter)]
        header = coded[0][1]
    begin = coded[keys[1]][0]
    assert any(pts < begin for pts, _ in coded[keys[1] :])
    sets = parameter_sets(header)
    with Decoder(kind.name.partition("-")[0], header=sets) as decoder:
        for ending in ("flush", "flush", "another stream", "flush"):
            frames = [one for pts, data in coded[keys[1] :] for one in decoder.decode(data, pts)]
            if ending == "flush":
                frames += decoder.flush()
                assert {frame.pts for frame in frames} >= {pts for pts, _ in coded[keys[1] :] if pts >= begin}
            else:
                decoder._native.begin_anew(sets)
            told = {frame.pts for frame in frames if frame.lacks_references}
            assert told <= {pts for pts, _ in coded if pts < begin}


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_picture_that_could_not_be_decoded_is_missing_too(simulator: Simulator, folder: Path, codec: str) -> None:
    kind = (H264 if codec == "h264" else HEVC)[0]
    whole = make(folder, kind)
    fault = {"call": "cuvidDecodePicture", "nth": 4, "status": 1}
    with simulator.machine(**{**L4, "faults": [fault]}), Decoder(codec) as decoder, av.open(str(whole)) as container:
        video = container.streams.video[0]
        bitstream_filter = filter_for(video)
        frames = []
        for part in [part for one in container.demux(video) for part in filtered(one, bitstream_filter) if part.size]:
            with suppress(DecoderFailed):
                frames += decoder.decode(bytes(part))
        told = [frame.lacks_references for frame in [*frames, *decoder.flush()]]
        del frames
    assert told == [False] * 3 + [True] * 6 + [False] * 20


def test_an_error_of_the_gpu_is_no_missing_reference(simulator: Simulator, folder: Path, tmp_path: Path) -> None:
    lossy = without(make(folder, H264[0]), {2}, tmp_path)
    for damage in ([], [{"picture": 4, "status": 9}]):
        with simulator.machine(**{**L4, "damage": damage}):
            told = [(frame.damaged, frame.lacks_references) for frame in decode(lossy)]
        assert told[2:4] == [(True, True), (True, not damage)]


def without_messages(packet: Any) -> bytes:
    """Of H.264. In HEVC, they would be slices of leading pictures."""
    parts = bytes(packet).split(b"\0\0\1")
    return b"\0\0\1".join([b"", *(part for part in parts[1:] if part[0] != 6)])


def parameter_sets(data: bytes) -> bytes:
    """What stands before the first slice."""
    parts = data.split(b"\0\0\1")
    is_hevc = parts[1][0] in (0x40, 0x46)
    kept = [part for part in parts[1:] if (part[0] >> 1 in (32, 33, 34) if is_hevc else part[0] & 31 in (7, 8))]
    return b"".join(b"\0\0\1" + part.rstrip(b"\0") for part in kept)
