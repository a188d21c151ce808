"""``pdum-nvenc demo``: a folder of short clips, and all that the tool does with one."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from .._batch.batch import plan
from .._batch.journal import is_there
from .._batch.layers import layer, merge
from .._batch.ledger import ledger
from .._errors import InvalidConfig
from .._text import count
from . import exits
from .encode import output_options
from .output import RunOutput
from .running import run_batch

FPS, SECONDS, SIZE = 25, 4, "640x360"
RATE, TONE = 48_000, 440
PICTURES = (
    ("screen recording.mkv", "testsrc2"),
    ("game capture.mp4", "mandelbrot"),
    ("tutorial.mov", "testsrc"),
    ("camera.mkv", "life=mold=10:r={fps}:ratio=0.1:death_color=#C83232:life_color=#00ff00"),
    ("slides.ts", "smptebars"),
    ("plasma.mkv", "gradients=speed=0.05:n=6"),
)
"""Names and FFmpeg's sources of test pictures."""


def demo(arguments: argparse.Namespace) -> int:
    folder = Path(arguments.folder)
    if not 1 <= arguments.clips <= 100:
        raise InvalidConfig(f"Expected 1 to 100 clips, got --clips {arguments.clips}.")
    options = output_options(arguments)
    if not (folder / _name(arguments.clips - 1)).exists():
        RunOutput.of(options).say(f"Making {count(arguments.clips, 'short clip')} in {folder}.")
    make_clips(folder, arguments.clips)
    results = folder / "compressed"
    if is_there(results):
        shutil.rmtree(results)  # of the last demonstration
    given = {
        name: getattr(arguments, name) for name in ("codec", "engine", "gpu", "engines") if hasattr(arguments, name)
    }
    settings = merge([layer(given, "command line")]).settings
    batch = plan([folder], settings)
    with ledger(batch) as book:
        code = run_batch(book, options)
    if code == exits.DONE and not options.json:
        print(f"The clips are in {folder}, the results in {results}.")
        print(f"For your own videos: {next_command()}")
    return code


def next_command() -> str:
    """The command as the user would type it here."""
    program = os.environ.get("PDUM_NVENC_PROGRAM") or "pdum-nvenc"  # run.sh sets it
    return f"{program} encode {'~/Videos' if Path('~/Videos').expanduser().is_dir() else '--help'}"


def make_clips(folder: Path, count: int) -> list[Path]:
    """The clips that are still missing. Raises InvalidConfig for a folder that has something else in it."""
    names = [_name(number) for number in range(count)]
    others = [path for path in folder.glob("*.*") if path.name not in {_name(number) for number in range(100)}]
    if others:
        raise InvalidConfig(f"{folder} has files that are not the demonstration's, such as {others[0].name}.")
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for number, path in enumerate(paths):
        if not path.exists():
            part = path.with_name(f".{path.name}")
            _make(part, PICTURES[number % len(PICTURES)][1], number)
            part.rename(path)
    return paths


def _name(number: int) -> str:
    name = Path(PICTURES[number % len(PICTURES)][0])
    turn = number // len(PICTURES)
    return f"{name.stem} {turn + 1}{name.suffix}" if turn else name.name


def _make(path: Path, source: str, number: int) -> None:
    """Pictures with a little noise, as a camera's are, in H.264 of far more bits than needed, and a tone."""
    import av

    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "16", "bf": "0"})
        video.width, video.height = map(int, SIZE.split("x"))
        video.pix_fmt = "yuv420p"
        audio: Any = container.add_stream("aac", rate=RATE)
        audio.layout = "stereo"
        for frame in _pictures(source, number):
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for sound in _sound(audio.frame_size or 1024):
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def _pictures(source: str, number: int) -> Iterator[Any]:
    from av.filter import Graph

    name, _, options = source.format(fps=FPS).partition("=")
    size = f"{'s' if name != 'mandelbrot' else 'size'}={SIZE}"
    rate = "" if name == "life" else f":{'r' if name != 'mandelbrot' else 'rate'}={FPS}"
    graph = Graph()
    first = graph.add(name, f"{size}{rate}" + (f":{options}" if options else ""))
    noise = graph.add("noise", f"alls={2 + number % 5}:allf=t")
    form, sink = graph.add("format", "yuv420p"), graph.add("buffersink")
    for left, right in ((first, noise), (noise, form), (form, sink)):
        left.link_to(right)
    graph.configure()
    for number_of_frame in range(FPS * SECONDS):
        frame: Any = graph.pull()
        frame.pts, frame.time_base = number_of_frame, Fraction(1, FPS)
        yield frame


def _sound(size: int) -> Iterator[Any]:
    import av
    import numpy as np

    for first in range(0, RATE * SECONDS - size + 1, size):
        wave = 0.1 * np.sin(2 * np.pi * TONE * np.arange(first, first + size) / RATE).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
        yield frame
