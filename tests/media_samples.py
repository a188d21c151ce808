"""Tiny sources that are difficult for encoders of files, made on demand by Debian's ffmpeg."""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from field_coded import access_units

from loud import need_program

SIZE = "160x96"
X264 = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast"]
X265 = ["-pix_fmt", "yuv420p", "-c:v", "libx265", "-preset", "ultrafast"]
SUBTITLES = """1
00:00:00,100 --> 00:00:00,600
First <i>words</i>

2
00:00:00,700 --> 00:00:01,200
Äußerst wenig
"""
CHAPTERS = """;FFMETADATA1
title=A film of tests
artist=Nobody
[CHAPTER]
TIMEBASE=1/1000
START=0
END=500
title=Begin
[CHAPTER]
TIMEBASE=1/1000
START=500
END=1600
title=End
"""


@dataclass(frozen=True)
class Sample:
    """The recipe of a sample: ffmpeg's arguments for `frames` pictures of moving test images."""

    name: str
    suffix: str
    arguments: tuple[str, ...]
    frames: int = 40
    rate: str = "25"
    size: str = SIZE
    then: Callable[[Path], Path] | None = None
    """A change of the file that ffmpeg wrote."""


def video(name: str, suffix: str, *arguments: str, **more: object) -> Sample:
    return replace(Sample(name, suffix, arguments), **more)  # type: ignore[arg-type]


def ffmpeg(*arguments: str | Path) -> None:
    program = need_program("ffmpeg", "ffmpeg")
    run = subprocess.run(
        [program, "-v", "error", "-nostdin", "-y", *map(str, arguments)], capture_output=True, text=True, timeout=60
    )
    if run.returncode:
        pytest.fail(f"ffmpeg {' '.join(map(str, arguments))}: {run.stderr}")


def _remuxed(suffix: str, *before: str, after: tuple[str, ...] = ()) -> Callable[[Path], Path]:
    def remux(path: Path) -> Path:
        made = path.with_name(f"{path.stem}-again{suffix}")
        ffmpeg(*before, "-i", path, "-map", "0", "-c", "copy", *after, made)
        return made

    return remux


def _cut_off(share: float) -> Callable[[Path], Path]:
    def cut(path: Path) -> Path:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        return path

    return cut


def _with_everything(path: Path) -> Path:
    """Two sound tracks, two subtitles, chapters and an attachment, each with metadata."""
    folder = path.parent
    (folder / "words.srt").write_text(SUBTITLES)
    (folder / "chapters.txt").write_text(CHAPTERS)
    (folder / "font.ttf").write_bytes(b"\0\1\0\0 not really a font" * 20)
    made = folder / "everything.mkv"
    ffmpeg(
        "-i", path, "-f", "lavfi", "-i", "sine=frequency=440:duration=1.6", "-f", "lavfi", "-i",
        "sine=frequency=880:sample_rate=44100:duration=1.6", "-i", folder / "words.srt", "-i", folder / "chapters.txt",
        "-map", "0:v", "-map", "1:a", "-map", "2:a", "-map", "3:s", "-map", "3:s", "-map_metadata", "4",
        "-c:v", "copy", "-c:a:0", "aac", "-c:a:1", "flac", "-c:s:0", "srt", "-c:s:1", "ass",
        "-metadata:s:v:0", "title=The picture", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu",
        "-metadata:s:a:1", "title=Kommentar", "-metadata:s:s:1", "language=fra", "-disposition:a:0", "0",
        "-disposition:a:1", "default+comment", "-disposition:s:1", "forced", "-attach", folder / "font.ttf",
        "-metadata:s:t", "mimetype=font/ttf", "-metadata:s:t", "filename=font.ttf", made,
    )  # fmt: skip
    return made


def _with_sound(path: Path) -> Path:
    made = path.with_name("sound.mp4")
    ffmpeg("-i", path, "-f", "lavfi", "-i", "sine=duration=1.6", "-map", "0:v", "-map", "1:a", "-c:v", "copy",
           "-c:a", "aac", "-metadata:s:a:0", "language=swe", made)  # fmt: skip
    return made


def _coded_in_fields(suffix: str) -> Callable[[Path], Path]:
    def code(path: Path) -> Path:
        width, height = map(int, SIZE.split("x"))
        frames = np.fromfile(path, np.uint8).reshape(-1, height * 3 // 2, width)
        pictures = [_planes(frame) for frame in frames]
        stream = path.with_name("coded.h264")
        stream.write_bytes(b"".join(access_units(pictures, rate=25, gop=12)))
        made = path.with_name(f"fields{suffix}")
        ffmpeg("-framerate", "25", "-i", stream, "-c", "copy", made)
        return made

    return code


def _planes(frame: np.ndarray) -> list[np.ndarray]:
    height, width = frame.shape[0] * 2 // 3, frame.shape[1]
    return [frame[:height], *frame[height:].reshape(2, height // 2, width // 2)]


ODD = "crop=159:95:exact=1"
HDR = (
    "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:hdr10=1:repeat-headers=1:log-level=none:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
)
VARIABLE = ("-vf", "settb=1/1000,setpts='N*40+mod(N*N*7,31)'", "-fps_mode", "vfr", "-enc_time_base", "1/1000")
ALTERNATIVE = ("-auto-alt-ref", "1", "-lag-in-frames", "12", "-g", "16", "-b:v", "300k", "-cpu-used", "8")
BEFORE_ZERO = ("-output_ts_offset", "-0.7", "-avoid_negative_ts", "disabled")
RAW = ("-pix_fmt", "yuv420p", "-f", "rawvideo")
FIELDS = ("-flags", "+ildct+ilme")

SAMPLES = {
    sample.name: sample
    for sample in (
        video("open-gop", ".mp4", *X264, "-bf", "3", "-g", "12", "-x264-params", "open-gop=1:scenecut=0"),
        video("pyramid", ".mkv", *X264, "-bf", "7", "-g", "20", "-x264-params", "b-pyramid=normal:b-adapt=0"),
        video("leading-pictures", ".mp4", *X265, "-x265-params", "open-gop=1:keyint=10:bframes=4:log-level=none"),
        video("variable-rate", ".mkv", *VARIABLE, *X264, "-g", "9"),
        video("edit-list", ".mp4", *X264, "-bf", "2", "-g", "10", then=_remuxed(".mp4", "-ss", "0.5")),
        video("later-start", ".ts", *X264, "-bf", "2", "-g", "8"),
        video("before-zero", ".mp4", *X264, "-bf", "2", "-g", "8", then=_remuxed(".mp4", after=BEFORE_ZERO)),
        video("ntsc-film", ".mp4", *X264, "-g", "24", rate="24000/1001"),
        video("one-frame", ".mp4", *X264, frames=1),
        video("three-frames", ".mp4", *X264, "-bf", "1", frames=3),
        video("odd", ".mkv", "-vf", ODD, "-pix_fmt", "yuv420p", "-c:v", "ffv1", "-g", "5", frames=20),
        video("ten-bit", ".mp4", *X265, "-pix_fmt", "yuv420p10le", "-x265-params", "keyint=12:log-level=none"),
        video("4:2:2", ".mkv", *X264, "-pix_fmt", "yuv422p", "-g", "15"),
        video("4:2:2-ten-bit", ".mkv", *X264, "-pix_fmt", "yuv422p10le", "-g", "15", frames=20),
        video("4:4:4", ".mp4", *X264, "-pix_fmt", "yuv444p", "-g", "15"),
        video("4:4:4-ten-bit", ".mkv", *X264, "-pix_fmt", "yuv444p10le", "-g", "15", frames=20),
        video("4:4:4-odd", ".mkv", "-c:v", "ffv1", "-pix_fmt", "yuv444p", size="161x97", frames=12),
        video("full-range", ".mkv", "-vf", "scale=out_range=full", *X264, "-pix_fmt", "yuvj420p", frames=20),
        video("interlaced", ".mkv", *FIELDS, *X264, "-x264-params", "tff=1", "-g", "12"),
        video("interlaced-mpeg2", ".ts", "-c:v", "mpeg2video", *FIELDS, "-bf", "2", "-g", "10", "-b:v", "2M"),
        video("fields", ".yuv", *RAW, then=_coded_in_fields(".ts")),
        video("fields-matroska", ".yuv", *RAW, then=_coded_in_fields(".mkv")),
        video("fields-stream", ".yuv", *RAW, then=_coded_in_fields(".h264")),
        video("intra-refresh", ".mp4", *X264, "-x264-params", "intra-refresh=1:keyint=10"),
        video("stream", ".h264", *X264, "-bf", "3", "-g", "12"),
        video("no-times", ".avi", "-c:v", "mpeg4", "-bf", "2", "-g", "10", "-b:v", "1M"),
        video("hidden-frames", ".webm", "-c:v", "libvpx", *ALTERNATIVE),
        video("vp9", ".webm", "-c:v", "libvpx-vp9", *ALTERNATIVE),
        video("broken-off", ".ts", *X264, "-bf", "2", "-g", "12", then=_cut_off(0.7)),
        video("broken-off-mp4", ".mp4", *X264, "-bf", "2", "-g", "12", "-movflags", "+faststart", then=_cut_off(0.7)),
        video("turned", ".mp4", *X264, "-g", "12", then=_remuxed(".mp4", after=("-metadata:s:v", "rotate=90"))),
        video("wide-pixels", ".mp4", "-vf", "setsar=16/11", *X264, "-g", "12"),
        video("hdr10", ".mkv", *X265, "-pix_fmt", "yuv420p10le", "-x265-params", HDR, frames=12),
        video("everything", ".mkv", *X264, "-bf", "2", "-g", "12", then=_with_everything),
        video("sound", ".mp4", *X264, "-bf", "2", "-g", "12", then=_with_sound),
    )
}  # fmt: skip


@functools.lru_cache(maxsize=1)
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="media-samples-")


@functools.cache
def sample(name: str) -> Path:
    """The file, made once."""
    wanted = SAMPLES[name]
    folder = Path(_folder().name) / name.replace(":", "")
    folder.mkdir()
    path = folder / f"source{wanted.suffix}"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={wanted.size}:rate={wanted.rate}", "-frames:v", str(wanted.frames),
           *wanted.arguments, path)  # fmt: skip
    return wanted.then(path) if wanted.then else path
