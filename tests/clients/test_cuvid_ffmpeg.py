"""The distribution's ffmpeg on the simulated libnvcuvid: the same pixels and times as from its processor decoders.

Its decoders `h264_cuvid` and relatives use NVIDIA's parser. Its hardware acceleration parses streams itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from decode_clips import X264, X265, Clip, by_processor, checksums, ffmpeg, to_checksums

from client_run import Bench, Outcome, decoders_are_closed

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]

BROADCAST = ("-x264-params", "open-gop=1:bframes=4:b-pyramid=normal:ref=6:slices=3:cqm=jvt:b-adapt=0")
OPEN_265 = ("-x265-params", "log-level=0:bframes=4:b-adapt=0:keyint=10:open-gop=1:slices=2:scaling-list=default")

PALE = "yuv420p10le"
CLIPS = [
    Clip("h264", "h264", [*X264, "-bf", "3"]),
    Clip("h264-baseline", "h264", [*X264, "-profile:v", "baseline"], "h264", size="128x130"),
    Clip("h264-broadcast", "h264", [*X264, *BROADCAST], "ts"),
    Clip("h264-interlaced", "h264", [*X264, "-bf", "2", "-flags", "+ildct+ilme", "-x264opts", "tff=1"]),
    Clip("hevc", "hevc", X265),
    Clip("hevc-rich", "hevc", ["libx265", "-preset", "veryfast", *OPEN_265], pixels=PALE, surface="p016le"),
    Clip("hevc-444", "hevc", X265, "mkv", pixels="yuv444p", surface="yuv444p"),
    Clip("vp8", "vp8", ["libvpx", "-cpu-used", "8"], "webm"),
    Clip("vp9", "vp9", ["libvpx-vp9", "-cpu-used", "8", "-lag-in-frames", "12"], "webm"),
    Clip("vp9-deep", "vp9", ["libvpx-vp9", "-cpu-used", "8"], "webm", pixels=PALE, surface="p016le", count=8),
    Clip("av1", "av1", ["libaom-av1", "-cpu-used", "8", "-lag-in-frames", "12"], stateless=False),
    Clip("av1-deep", "av1", ["libaom-av1", "-cpu-used", "8"], pixels=PALE, surface="p016le", stateless=False, count=6),
    Clip("mpeg1", "mpeg1", ["mpeg1video", "-bf", "2"], "mpg"),
    Clip("mpeg2", "mpeg2", ["mpeg2video", "-bf", "2", "-g", "8"], "ts"),
    Clip("mpeg2-interlaced", "mpeg2", ["mpeg2video", "-bf", "2", "-flags", "+ildct+ilme"], "ts", size="320x192"),
    Clip("mpeg4", "mpeg4", ["mpeg4", "-bf", "2"], stateless=False),
    Clip("mjpeg", "mjpeg", ["mjpeg"], "mkv", pixels="yuvj420p", surface="yuvj420p", stateless=False),
]
STATELESS = [clip for clip in CLIPS if clip.stateless]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


def decode(bench: Bench, path: Path, surface: str, *how: object, filters: str = "null", **config: Any) -> Outcome:
    output = bench.folder / "chip"
    command = [ffmpeg(), "-nostdin", "-v", "error", "-y", *how, "-i", path, "-vf", filters]
    outcome = bench.run([*command, *to_checksums(surface, output)], gpus=["L4"], **config)
    decoders_are_closed(outcome)
    return outcome


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_every_picture_is_the_processors(bench: Bench, clips: Path, clip: Clip) -> None:
    path = clip.make(clips)
    decode(bench, path, clip.surface, "-c:v", f"{clip.codec}_cuvid")
    decoded = checksums(bench.folder / "chip")
    assert len(decoded) == clip.count
    assert decoded == by_processor(path, clip.surface)


@pytest.mark.parametrize("clip", STATELESS, ids=lambda clip: clip.name)
def test_a_parser_of_its_own(bench: Bench, clips: Path, clip: Clip) -> None:
    path = clip.make(clips)
    surface = {"p016le": "p010le"}.get(clip.surface, clip.surface)
    how = ["-hwaccel", "cuda", "-hwaccel_output_format", "cuda"]
    decode(bench, path, surface, *how, filters=f"hwdownload,format={surface}")
    decoded = checksums(bench.folder / "chip")
    assert len(decoded) == clip.count
    assert decoded == by_processor(path, surface)


def test_streams_run_on_their_own_threads(bench: Bench, clips: Path) -> None:
    """Work on CUDA streams comes later there: nothing is read before it is ready."""
    path = CLIPS[0].make(clips)
    decode(bench, path, "nv12", "-c:v", "h264_cuvid", async_streams=True)
    assert checksums(bench.folder / "chip") == by_processor(path)


def test_the_chip_scales_and_crops(bench: Bench, clips: Path) -> None:
    """Halved in both directions, which is what the processor's bilinear scaler makes of it, nearly."""
    path = CLIPS[0].make(clips)
    outcome = decode(bench, path, "nv12", "-c:v", "h264_cuvid", "-resize", "160x90", "-crop", "0x0x0x0")
    frame = (bench.folder / "chip").read_text().splitlines()[-1].split(",")
    assert int(frame[4]) == 160 * 90 * 3 // 2
    assert outcome.named("cuvidCreateDecoder")[0].status == 0


def test_both_fields_of_a_picture(bench: Bench, clips: Path) -> None:
    clip = next(clip for clip in CLIPS if clip.name == "h264-interlaced")
    outcome = decode(bench, clip.make(clips), "nv12", "-c:v", "h264_cuvid", "-deint", "bob")
    assert len(outcome.named("cuvidDecodePicture")) == clip.count
    # ffmpeg forgets the second fields of what is left when the stream ends.
    assert len(outcome.named("cuvidMapVideoFrame64")) > clip.count * 3 // 2


def test_a_gpu_that_cannot_decode_it_says_so(bench: Bench, clips: Path) -> None:
    path = CLIPS[0].make(clips)
    command = [ffmpeg(), "-nostdin", "-v", "error", "-c:v", "h264_cuvid", "-i", path, "-f", "null", "-"]
    outcome = bench.run(command, expected=1, gpus=[{"name": "L4", "decode_codecs": ["hevc"]}])
    assert outcome.named("cuvidGetDecoderCaps")
    assert not outcome.named("cuvidCreateDecoder")
