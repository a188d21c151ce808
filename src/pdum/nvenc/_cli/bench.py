"""``pdum-nvenc bench``: frames a second of this machine's encoders, per codec and preset, as a table and a chart."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import events
from .._batch.layers import layer, merge
from .._batch.settings import BatchSettings
from .._batch.supported_settings import gpus_of, supported_settings
from .._config.config import EncoderConfig
from .._config.settings import auto_codecs, codec_name, preset_number
from .._errors import InvalidConfig, NvencError
from .._results import Result
from .._tasks import BaseTask, Plan
from .._version import __version__
from . import exits
from .interruption import Interruption, interruptible
from .running import pool_of
from .standard_streams import complain
from .table import print_table

if TYPE_CHECKING:
    from .._pool.pool import EncoderPool
    from .._tasks import PieceSink
    from ..events import EngineInfo

DIFFERENT_FRAMES = 8
LEAST_SECONDS = 0.2
SOFTWARE = "SOFTWARE: the processor encoded, not a hardware encoder"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The measurement of one codec and preset, with all engines at work at the same time."""

    codec: str
    preset: str
    engines: int
    fps: float
    fps_of_an_engine: float
    speed_at_60: float
    """How many streams of 60 frames a second the engines could encode."""
    megabits: float
    """Bits for one second of 60 frames, with moving pictures and noise. Other pictures need more or less."""
    error: str = ""


def bench(arguments: argparse.Namespace) -> int:
    width, height = _size(arguments.size)
    presets = [f"p{preset_number(one)}" for one in arguments.presets.split(",")]
    if not 2 <= arguments.frames <= 100_000:
        raise InvalidConfig(f"Expected 2 to 100000 frames, got --frames {arguments.frames}.")
    given = {name: getattr(arguments, name) for name in ("engine", "gpu", "engines") if hasattr(arguments, name)}
    settings = merge([layer(given, "command line")]).settings
    found: list[Measured] = []
    with interruptible(complain) as interruption, pool_of(settings) as pool:
        title = _title(pool)
        if not arguments.json:
            print(title)
        pictures = _pictures(width, height)
        for codec in _codecs(arguments.codecs, settings):
            for preset in presets:
                if interruption.code:
                    break
                chosen = replace(settings, codec=codec, preset=preset)
                found.append(_measure(pool, chosen, pictures, arguments.frames, interruption))
    if arguments.json:
        print(json.dumps({"title": title, "size": [width, height], "measured": [asdict(one) for one in found]}))
    else:
        _print(found)
    if arguments.png:
        _draw(found, f"{title}\n{width}x{height}, pdum.nvenc {__version__}", arguments.png)
    return interruption.code or (exits.FAILED if all(one.error for one in found) else exits.DONE)


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        width = height = 0
    if not (160 <= width <= 8192 and 160 <= height <= 8192 and width % 2 == height % 2 == 0):
        raise InvalidConfig(f"Expected even numbers from 160 to 8192, such as 1920x1080, got --size {text}.")
    return width, height


def _codecs(text: str, settings: BatchSettings) -> list[str]:
    if text != "all":
        return [codec_name(one) for one in text.split(",")]
    gpus = gpus_of(settings)
    return [codec for codec in reversed(auto_codecs("nvenc")) if all(codec in gpu.codecs for gpu in gpus)]


def _title(pool: EncoderPool) -> str:
    if not pool.uses_hardware:
        return f"{SOFTWARE} ({len(pool.engines)} at a time)."
    counts: dict[str, int] = {}
    for engine in pool.engines:
        name = f"GPU {engine.gpu_id} ({engine.gpu_name})"
        counts[name] = counts.get(name, 0) + 1
    return ", ".join(f"{name}: {count} encoder{'s' * (count != 1)}" for name, count in counts.items())


def _print(found: Sequence[Measured]) -> None:
    rows = [
        (one.codec, one.preset, "-", "-", "-", one.error)
        if one.error
        else (
            one.codec,
            one.preset,
            f"{one.fps:.0f}",
            f"{one.fps_of_an_engine:.0f}",
            f"{one.speed_at_60:.1f}",
            f"{one.megabits:.1f}",
        )
        for one in found
    ]
    titles = ("codec", "preset", "frames/s", "of one engine", "streams of 60 fps", "Mbit/s")
    print_table(titles, rows)


def _draw(found: Sequence[Measured], title: str, path: str) -> None:
    """The title says what encoded, because a chart is often shown without its context."""
    from .bench_chart import Speed, draw

    good = [one for one in found if not one.error]
    together = [Speed(engine="all together", codec=one.codec, preset=one.preset, fps=one.fps) for one in good]
    single = [Speed(engine="one of them", codec=one.codec, preset=one.preset, fps=one.fps_of_an_engine) for one in good]
    draw([*together, *single], path, title)
    print(path, file=sys.stderr)


# ---- one measurement -----------------------------------------------------------------------------------------------


def _pictures(width: int, height: int) -> list[Any]:
    """NV12 of a texture that moves, with a little noise: neither still nor impossible to compress."""
    import numpy as np

    random = np.random.default_rng(1)
    y, x = np.mgrid[:height, :width]
    made = []
    for number in range(DIFFERENT_FRAMES):
        picture = np.full((height * 3 // 2, width), 128, np.uint8)
        waves = 110 + 50 * np.sin((x + 9 * number) / 23) + 40 * np.cos((y - 5 * number) / 17)
        picture[:height] = np.clip(waves + random.normal(0, 2, waves.shape), 16, 235)
        made.append(picture)
    return made


def _measure(
    pool: EncoderPool, settings: BatchSettings, pictures: list[Any], frames: int, interruption: Interruption
) -> Measured:
    nothing = Measured(
        codec=settings.codec, preset=settings.preset, engines=0, fps=0, fps_of_an_engine=0, speed_at_60=0, megabits=0
    )
    try:
        height, width = pictures[0].shape[0] * 2 // 3, pictures[0].shape[1]
        supported = supported_settings(settings, gpus_of(settings))
        own = {"codec": supported.codec, **supported.encoder, "cq": supported.usual_cq}
        config = EncoderConfig.of({"width": width, "height": height, "fps": 60, **own})
    except NvencError as error:
        return replace(nothing, error=str(error))
    tasks = [_BenchTask(config, pictures, frames) for _ in pool.engines]
    run = pool.start(tasks)
    with interruption.of(run):
        told = list(run)
        report = run.wait()
    if report.errors:
        return replace(nothing, error=str(report.errors[0]))
    fps = _rate(told)
    count = len(pool.engines)
    size = sum(event.size for event in told if isinstance(event, events.PieceFinished))
    return replace(
        nothing,
        engines=count,
        fps=fps,
        fps_of_an_engine=fps / count,
        speed_at_60=fps / 60,
        megabits=size * 8 * 60 / (frames * count) / 1e6,
    )


def _rate(told: Sequence[events.Event]) -> float:
    """Of the time when all engines were at work; opening sessions does not count."""
    started = [event.at for event in told if isinstance(event, events.PieceStarted)]
    finished = [event for event in told if isinstance(event, events.PieceFinished)]
    frames = sum(event.last - event.first for event in finished)
    seconds = max(event.at for event in finished) - min(started)
    return frames / max(seconds, LEAST_SECONDS if frames < DIFFERENT_FRAMES else 1e-9)


class _Counted:
    """Packets are counted and forgotten."""

    def __init__(self) -> None:
        self.size = 0

    def write(self, packets: Sequence[Any]) -> None:
        self.size += sum(len(packet.data) for packet in packets)

    def complete(self, last: int, header: bytes) -> int:  # noqa: ARG002
        return self.size

    def discard(self) -> None:
        self.size = 0


class _BenchTask(BaseTask):
    """Repeats a few pictures."""

    def __init__(self, config: EncoderConfig, pictures: list[Any], frames: int) -> None:
        self._config, self._pictures, self._frames = config, pictures, frames
        self.source = f"{config.codec} {config.preset}"

    def prepare(self, lanes: int) -> Plan:  # noqa: ARG002
        return Plan(
            frames=self._frames,
            ranges=[(0, self._frames)],
            whole_ranges=True,
            fps=60,
            width=self._config.width,
            height=self._config.height,
        )

    def config(self, engine: EngineInfo) -> EncoderConfig:
        return self._config if engine.gpu_id is None else self._config.replaced(gpu_id=engine.gpu_id)

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Any]:  # noqa: ARG002
        for number in range(first, self._frames):
            yield self._pictures[number % len(self._pictures)]

    def sink(self, first: int) -> PieceSink:  # noqa: ARG002
        return _Counted()

    def finish(self) -> Result:
        return Result(destination="", frames=self._frames, size=0)
