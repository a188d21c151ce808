"""Interlaced video: the lines of both fields are in one frame, as the processor's decoder gives them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import field_coded
import field_coded_mpeg2
from decode_clips import run_ffmpeg
from decoder.videos import QUIET, Kind, assert_same, by_processor, laid_out, make, moving, on_host
from pdum.nvenc import Decoder, decode

from simulator import Machine

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

SIZE, COUNT, RATE = (160, 128), 8, 25
FIELDS_OF_FRAMES = {"flags": "+ildct+ilme", "bf": "2"}
OF_H264 = [
    Kind("h264-interlaced", size=SIZE, options=FIELDS_OF_FRAMES | {"x264-params": "tff=1"}),
    Kind("h264-bottom-first", size=SIZE, options=FIELDS_OF_FRAMES | {"x264-params": "bff=1"}, container="ts"),
    Kind("h264-interlaced-odd", size=(150, 92), options=FIELDS_OF_FRAMES | {"x264-params": "tff=1"}),
]
OF_MPEG = [
    Kind("mpeg2-interlaced", "mpeg2video", size=SIZE, options=FIELDS_OF_FRAMES | {"preset": ""}, container="ts"),
    # Without B-frames, since versions of FFmpeg do not agree on those of interlaced MPEG-4.
    Kind("mpeg4-interlaced", "mpeg4", size=SIZE, options=FIELDS_OF_FRAMES | {"preset": "", "bf": "0"}),
]


@pytest.mark.parametrize("kind", [*OF_H264, *OF_MPEG], ids=lambda kind: kind.name)
def test_frames_of_two_fields(machine: Machine, folder: Path, kind: Kind) -> None:
    path = make(folder, kind)
    frames = list(decode(path))
    assert {frame.interlaced for frame in frames} == {True}
    assert_same(on_host(frames), by_processor(path))


def fields_of(picture: Any) -> list[Any]:
    """The top and the bottom field."""
    planes = [plane_of(plane) for plane in picture.planes]
    return [
        av.VideoFrame.from_ndarray(np.concatenate([plane[bottom::2].ravel() for plane in planes]).reshape(-1, SIZE[0]),
                                   "yuv420p")
        for bottom in (0, 1)
    ]  # fmt: skip


def plane_of(plane: Any) -> Any:
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]


def moving_pictures() -> list[Any]:
    return [moving(number, SIZE, "yuv420p") for number in range(COUNT)]


def coded_fields(codec: str) -> list[bytes]:
    """Each field by itself."""
    pictures = moving_pictures()
    if codec == "h264":
        return list(field_coded.access_units([[*map(plane_of, one.planes)] for one in pictures], RATE, 4))
    return list(field_coded_mpeg2.access_units([field for one in pictures for field in fields_of(one)], RATE))


def by_processor_of_packets(codec: str, fields: Sequence[bytes]) -> list[Any]:
    decoder: Any = av.CodecContext.create({"mpeg2": "mpeg2video"}.get(codec, codec), "r")
    packets = [av.Packet(top + bottom) for top, bottom in zip(fields[::2], fields[1::2], strict=True)]
    return [laid_out(frame) for packet in [*packets, None] for frame in decoder.decode(packet)]


@pytest.mark.parametrize("together", [True, False], ids=["in one packet", "in two packets"])
@pytest.mark.parametrize("codec", ["h264", "mpeg2"])
def test_two_fields_make_a_frame(machine: Machine, codec: str, together: bool) -> None:
    """It is shown at the time of the first one."""
    fields = coded_fields(codec)
    packets = [(data, 40 * (number // 2) + 20 * (number % 2)) for number, data in enumerate(fields)]
    if together:
        packets = [(fields[at] + fields[at + 1], 20 * at) for at in range(0, len(fields), 2)]
    with Decoder(codec) as decoder:
        frames = [frame for data, pts in packets for frame in decoder.decode(data, pts)] + decoder.flush()
        pictures = machine.calls("decode")["cuvidDecodePicture"]
    wanted = by_processor_of_packets(codec, fields)
    assert pictures == 2 * COUNT
    assert {frame.interlaced for frame in frames} == {True}
    assert_same(on_host(frames), [(40 * number, picture) for number, picture in enumerate(wanted)])


@pytest.mark.parametrize("container", ["ts", "mkv"])
@pytest.mark.parametrize("codec", ["h264", "mpeg2"])
def test_files_of_fields(machine: Machine, tmp_path: Path, codec: str, container: str) -> None:
    stream, path = tmp_path / f"fields.{'h264' if codec == 'h264' else 'm2v'}", tmp_path / f"fields.{container}"
    stream.write_bytes(b"".join(coded_fields(codec)))
    run_ffmpeg(["-framerate", RATE, "-fflags", "+genpts", "-i", stream, "-c", "copy", path])
    found = on_host(decode(path))
    assert len(found) == COUNT
    assert_same(found, by_processor(path))


def test_fields_of_hevc_are_frames_of_half_the_height(machine: Machine, tmp_path: Path) -> None:
    """The codec knows no frame that two fields make, so neither decoder joins them."""
    half = (192, 160)
    params = f"{QUIET['x265-params']}:interlace=tff:bframes=2:keyint=8"
    kind = Kind("fields", "libx265", size=half, options={"x265-params": params}, container="mkv", count=12)
    path = make(tmp_path, kind)
    frames = list(decode(path))
    assert {(frame.width, frame.height) for frame in frames} == {half}
    assert_same(on_host(frames), by_processor(path))
