"""Each codec that GPUs decode gives the processor's pictures and times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

import vc1_pictures
from decode_clips import Clip, run_ffmpeg
from decoder.videos import Kind, assert_same, by_processor, intact, laid_out, make, on_host
from pdum.nvenc import Decoder, decode
from pdum.nvenc._media.gpu_decoder import StreamDecoder

from simulator import Machine

pytestmark = pytest.mark.one_abi

BY_LIBVPX = {"preset": "", "deadline": "realtime", "cpu-used": "8", "bf": "0"}
"""An empty preset replaces that of x264."""
HIDDEN = BY_LIBVPX | {"deadline": "good", "lag-in-frames": "12", "auto-alt-ref": "1"}
"""Some pictures are decoded and never shown; later pictures refer to them."""
SVT = {"preset": "12", "svtav1-params": "log-level=0:lp=1"}
MPEG = {"preset": "", "bf": "2"}
CODECS = [
    Kind("vp8", "libvpx", container="webm", options=BY_LIBVPX),
    Kind("vp8-hidden", "libvpx", container="webm", options=HIDDEN),
    Kind("vp9", "libvpx-vp9", container="webm", size=(160, 144), options=BY_LIBVPX),
    Kind("vp9-hidden", "libvpx-vp9", container="mp4", size=(162, 146), options=HIDDEN),
    Kind("av1", "libsvtav1", size=(160, 144), options=SVT),
    Kind("av1-ten-bit", "libsvtav1", "yuv420p10le", (160, 144), SVT, "mkv"),
    Kind("av1-grain", "libsvtav1", size=(160, 144), options=SVT | {"svtav1-params": "lp=1:film-grain=20"}),
    Kind("mpeg1", "mpeg1video", container="mpg", options=MPEG),
    Kind("mpeg2", "mpeg2video", container="ts", options=MPEG),
    Kind("mpeg2-in-mp4", "mpeg2video", container="mp4", options=MPEG),
    Kind("mpeg4", "mpeg4", options=MPEG),
    Kind("mpeg4-in-avi", "mpeg4", container="avi", options=MPEG),
    Kind("hevc-444", "libx265", "yuv444p", (192, 160)),
    Kind("hevc-444-ten-bit", "libx265", "yuv444p10le", (192, 160), count=6),
    Kind("h264-grey", pixels="gray"),
    Kind("hevc-grey", "libx265", "gray", (192, 160), count=12),
    Kind("mjpeg", "mjpeg", "yuvj420p", container="avi", options={"preset": "", "bf": "0"}),
]


UNCHECKED = "libsvtav1"
"""Its own threads do not bear the thread sanitizer."""
CASES = [pytest.param(one, id=one.name, marks=[pytest.mark.sanitize] * (one.codec != UNCHECKED)) for one in CODECS]


@pytest.mark.parametrize("kind", CASES)
def test_every_picture_is_the_processors(machine: Machine, folder: Path, kind: Kind) -> None:
    path = make(folder, kind)
    with decode(path) as video:
        found = on_host(video)
        assert video.codec == kind.name.partition("-")[0]
    assert len(found) == kind.count
    assert_same(found, by_processor(path))


def assert_vc1_is_the_processors() -> None:
    packets = list(vc1_pictures.access_units(160, 96, 8))
    processor: Any = av.CodecContext.create("vc1", "r")
    processor.extradata = vc1_pictures.headers(160, 96)
    wanted = [laid_out(frame) for one in [*map(av.Packet, packets), None] for frame in processor.decode(one)]
    with Decoder("vc1") as decoder:
        frames = [frame for number, data in enumerate(packets) for frame in decoder.decode(data, 40 * number)]
        frames += decoder.flush()
    assert len(frames) == 8
    assert_same(on_host(frames), [(40 * number, picture) for number, picture in enumerate(wanted)])


def test_pictures_of_vc1(machine: Machine) -> None:
    assert_vc1_is_the_processors()


@pytest.mark.parametrize("container", ["wmv", "mkv"])
@pytest.mark.parametrize("size", [(160, 96), (150, 90)], ids=str)
def test_files_of_vc1(machine: Machine, tmp_path: Path, container: str, size: tuple[int, int]) -> None:
    """Containers keep its headers apart."""
    stream, path = tmp_path / "stream.vc1", tmp_path / f"stream.{container}"
    stream.write_bytes(b"".join(vc1_pictures.access_units(*size, 8)))
    run_ffmpeg(["-fflags", "+genpts", "-i", stream, "-c", "copy", path])
    wanted = by_processor(path)
    assert len(wanted) == 8
    assert_same(on_host(intact(decode(path))), wanted)


def without_start_code(packet: Any) -> Any:
    copy = av.Packet(bytes(packet).removeprefix(b"\0\0\1\x0d"))
    copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
    return copy


def test_frames_of_vc1_without_start_codes(machine: Machine, tmp_path: Path) -> None:
    """Containers may leave them out."""
    stream, path = tmp_path / "stream.vc1", tmp_path / "stream.mkv"
    stream.write_bytes(b"".join(vc1_pictures.access_units(160, 96, 8)))
    run_ffmpeg(["-fflags", "+genpts", "-i", stream, "-c", "copy", path])
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        packets = [without_start_code(packet) for packet in container.demux(video)]
        assert [bytes(one)[:3] == b"\0\0\1" for one in packets].count(True) == 2, "those with headers"
        decoder = StreamDecoder(video)
        found = on_host(frame for packet in packets for frame in decoder.frames(packet))
        decoder.close()
    assert_same(found, by_processor(path))


def test_ten_bits_of_vp9(machine: Machine, folder: Path) -> None:
    """PyAV's own library does not encode them."""
    encoder = ["libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime"]
    path = Clip("vp9-ten-bit", "vp9", encoder, "webm", "160x144", "yuv420p10le", count=6).make(folder)
    assert_same(on_host(intact(decode(path))), by_processor(path))
