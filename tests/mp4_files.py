"""Encoded streams for the tests of MP4, and what independent programs read of files."""

from __future__ import annotations

import functools
import io
import json
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from media_samples import ffmpeg
from pdum.nvenc import EncoderConfig, Packet, SoftwareEncoder
from pdum.nvenc._mp4.mp4_file import Mp4File
from pdum.nvenc._mp4.tracks import VideoTrack

from loud import need_module, need_program
from streams import Format, moving_pictures, nv12

SIZE = (64, 48)


@dataclass(frozen=True)
class Encoded:
    """One stream. Times of the packets are in frames."""

    codec: str
    header: bytes
    packets: tuple[Packet, ...]
    width: int
    height: int

    @property
    def data(self) -> list[bytes]:
        return [packet.data for packet in self.packets]


@functools.lru_cache(maxsize=32)
def encoded(codec: str, count: int = 12, size: tuple[int, int] = SIZE, **settings: Any) -> Encoded:
    need_module("av")
    width, height = size
    config = EncoderConfig(width=width, height=height, codec=codec, **settings)
    with SoftwareEncoder(config, threads=1) as encoder:
        packets: list[Packet] = []
        for number, planes in enumerate(moving_pictures(Format(width, height), count)):
            packets += encoder.submit(nv12(planes), number)
        packets += encoder.flush_pipeline()
        return Encoded(codec, encoder.sequence_header(), tuple(packets), width, height)


def ffprobe(path: Path, *arguments: str) -> dict[str, Any]:
    program = need_program("ffprobe", "ffmpeg")
    command = [program, "-v", "error", "-of", "json", *arguments, str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stderr == "", run.stderr
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def boxes(data: bytes, *path: str) -> list[bytes]:
    """The contents of all boxes at that path. Written without looking at the product's reader."""
    found, at = [], 0
    while at < len(data):
        size, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8].decode("latin1"), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        assert head <= size <= len(data) - at, f"{kind} of {size} bytes at {at}"
        if kind == path[0]:
            body = data[at + head : at + size]
            found += [body] if len(path) == 1 else boxes(body[HEADS.get(kind, 0) :], *path[1:])
        at += size
    return found


HEADS = {"stsd": 8, "avc1": 78, "hvc1": 78, "av01": 78, "Opus": 28, "mp4a": 28, "sowt": 28, "ipcm": 28, "meta": 4}
"""Bytes before the boxes inside a box."""


def stream_copy(source: Path, destination: Path, *arguments: str) -> Path:
    ffmpeg("-i", source, "-c", "copy", *arguments, destination)
    return destination


def fraction(text: str) -> Fraction:
    above, _, below = text.replace(":", "/").partition("/")
    return Fraction(int(above), int(below))


def video_track(stream: Encoded, time_base: Fraction = Fraction(1, 25), **more: Any) -> VideoTrack:
    return VideoTrack(
        codec=stream.codec, header=stream.header, width=stream.width, height=stream.height, time_base=time_base, **more
    )


def written(path: Any, stream: Encoded, time_base: Fraction = Fraction(1, 25), **more: Any) -> Any:
    """Writes the stream with its own times."""
    with Mp4File(path, [video_track(stream, time_base)], **more) as file:
        for packet in stream.packets:
            file.write(0, packet.data, packet.pts, packet.dts, packet.keyframe, 1)
    return path


class Read(NamedTuple):
    """A packet that FFmpeg read. Times are in seconds."""

    pts: Fraction
    dts: Fraction
    keyframe: bool
    data: bytes


def packets_of(file: Any, kind: str = "video") -> list[Read]:
    av = need_module("av")
    with av.open(file if isinstance(file, io.BytesIO) else str(file)) as container:
        stream = next(one for one in container.streams if one.type == kind)
        base = Fraction(stream.time_base.numerator, stream.time_base.denominator)
        return [
            Read(one.pts * base, one.dts * base, one.is_keyframe, bytes(one))
            for one in container.demux(stream)
            if one.size
        ]


def pictures_of(path: Path) -> list[tuple[Fraction, str]]:
    """Times and digests of the decoded pictures."""
    av = need_module("av")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        base = Fraction(stream.time_base.numerator, stream.time_base.denominator)
        return [(one.pts * base, sha256(one.to_ndarray().tobytes()).hexdigest()) for one in container.decode(stream)]
