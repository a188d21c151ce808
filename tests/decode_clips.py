"""Small videos for decoders, made by Debian's ffmpeg, and what ffmpeg's processor decoders make of them."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loud import need_program

RATE = 25


X264 = ("libx264", "-preset", "veryfast", "-g", "10")
X265 = ("libx265", "-preset", "ultrafast", "-x265-params", "log-level=0:pools=none:bframes=3:b-adapt=0:keyint=10")


@dataclass(frozen=True)
class Clip:
    """How a video is made."""

    name: str
    codec: str  # as the decoders' names begin: "h264" of h264_cuvid
    encoder: Sequence[str]
    container: str = "mp4"
    size: str = "320x180"
    pixels: str = "yuv420p"
    surface: str = "nv12"  # what a decoder of the chip puts out
    stateless: bool = True  # whether ffmpeg's hwaccel, which has a parser of its own, decodes it
    count: int = 24

    def make(self, folder: Path) -> Path:
        path = folder / f"{self.name}.{self.container}"
        if not path.exists():
            source = f"testsrc2=size={self.size}:rate={RATE}"
            shape = ["-frames:v", str(self.count), "-pix_fmt", self.pixels]
            run_ffmpeg(["-f", "lavfi", "-i", source, *shape, "-c:v", *self.encoder, path])
        return path


def ffmpeg() -> str:
    return need_program("ffmpeg", "ffmpeg")


def run_ffmpeg(arguments: Sequence[object]) -> None:
    command = [ffmpeg(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=120)


def to_checksums(surface: str, output: Path) -> list[object]:
    """ffmpeg's output options: one line for each picture, with its time and a checksum of its pixels."""
    return ["-map", "0:v:0", "-vsync", "passthrough", "-pix_fmt", surface, "-f", "framemd5", output]


def checksums(path: Path) -> list[tuple[int, str]]:
    """The time and the checksum of each picture."""
    lines = [line.split(",") for line in path.read_text().splitlines() if not line.startswith("#")]
    return [(int(line[2]), line[5].strip()) for line in lines]


def by_processor(path: Path, surface: str = "nv12") -> list[tuple[int, str]]:
    """What ffmpeg's processor decoder makes of a video, kept beside it."""
    output = path.with_name(f"{path.name}.{surface}.processor")
    if not output.exists():
        run_ffmpeg(["-i", path, *to_checksums(surface, output)])
    return checksums(output)
