"""Small videos for the batch tool's tests, and runs of the tool in this process or a separate one."""

from __future__ import annotations

import functools
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pdum.nvenc._cli import main

from loud import need_module
from simulator import environment

SIZE = (192, 160)
FPS = 25


def make_clip(path: Path, frames: int = 20, seed: int = 0, sound: bool = False, crf: int = 4) -> Path:
    """Moving waves with noise, in H.264 of many bits."""
    form = {".mkv": "matroska", ".mov": "mov", ".avi": "avi", ".ts": "mpegts"}.get(path.suffix.lower(), "mp4")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_clip(form, frames, seed, sound, crf))
    return path


@functools.cache
def _clip(form: str, frames: int, seed: int, sound: bool, crf: int) -> bytes:
    """Encoded once: most tests want the same few clips."""
    av = need_module("av")
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        options = {"preset": "ultrafast", "crf": str(crf), "bf": "0", "g": "10"}
        video = container.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=48_000) if sound else None
        for frame in _pictures(frames, seed):
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(_silence(av, frames)))
            container.mux(audio.encode(None))
    return file.getvalue()


def flat_clip(path: Path, width: int, height: int, pix_fmt: str = "yuv420p") -> Path:
    """Grey pictures without loss, in any format."""
    av = need_module("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for number in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), 40 * number, np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame.reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
    return path


def _pictures(frames: int, seed: int) -> Iterator[Any]:
    av = need_module("av")
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    for number in range(frames):
        picture = np.full((SIZE[1] * 3 // 2, SIZE[0]), 100 + seed % 50, np.uint8)
        waves = 120 + 60 * np.sin((x + (5 + seed) * number) / (7 + seed % 9)) + 30 * np.cos(y / 11)
        picture[: SIZE[1]] = np.clip(waves + random.normal(0, 4, waves.shape), 16, 235)
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        yield frame


def _silence(av: Any, frames: int) -> Any:
    frame = av.AudioFrame.from_ndarray(np.zeros((2, 48_000 * frames // FPS), np.float32), "fltp", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
    return frame


def content(path: Path) -> dict[str, Any]:
    """The contents of a file: streams, times, and a digest of all decoded pictures."""
    av = need_module("av")
    with av.open(f"file:{path}") as container:
        streams = [stream.type for stream in container.streams]
        pixels, times = sha256(), []
        for frame in container.decode(container.streams.video[0]):
            pixels.update(frame.reformat(format="yuv420p").to_ndarray().tobytes())
            times.append(round(float(frame.time), 3))
    return {"streams": streams, "times": times, "pixels": pixels.hexdigest()}


def files_in(folder: Path) -> set[str]:
    """All names below, including hidden ones."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def parsed(lines: str) -> list[dict[str, Any]]:
    """The events. Each line must be JSON."""
    return [json.loads(line) for line in lines.splitlines()]


def events_of(kind: str, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event for event in told if event["event"] == kind]


class Tool:
    """The tool in this process, with its standard output read as events."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.err = ""

    def __call__(self, *arguments: object) -> tuple[int, str]:
        self._capsys.readouterr()
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = self._capsys.readouterr()
        self.err = said.err
        return code, said.out

    def encode(self, *arguments: object) -> tuple[int, list[dict[str, Any]]]:
        code, out = self("encode", "--json", *arguments)
        return code, parsed(out)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pdum.nvenc", *map(str, arguments)]


def start(*arguments: object, config: dict[str, Any] | None = None, **more: str) -> subprocess.Popen[str]:
    """The tool as a separate process, on the simulated driver or a machine without a driver."""
    env = environment(**config) if config is not None else without_driver()
    return subprocess.Popen(
        command(*arguments),
        env={**env, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def without_driver() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in ("NVSIM_CONFIG", "LD_LIBRARY_PATH")}
