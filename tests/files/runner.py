"""One file task done by one encoder, range after range, as a reference for the pool."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from pdum.nvenc import NvencEncoder, Packet
from pdum.nvenc._encoders.software import SoftwareEncoder
from pdum.nvenc._files.job import FileJob, FileSettings
from pdum.nvenc._files.portable_file import FileElsewhere
from pdum.nvenc._files.task import FileTask
from pdum.nvenc._results import Result
from pdum.nvenc._tasks import EncodedRange
from pdum.nvenc.events import EngineInfo

SOFTWARE = EngineInfo(index=0, kind="software")
HARDWARE = EngineInfo(index=0, kind="nvenc", gpu_id=0)
LOSSLESS = {"tuning": "lossless", "preset": "p1", "gop": 10}

Planes = list[NDArray[Any]]
Cut = Callable[[int], Sequence[tuple[int, int]]]


def job(source: Path, destination: Path, codec: str = "h264", **more: Any) -> FileJob:
    encoder = more.pop("encoder", LOSSLESS)
    audio = more.pop("audio", "copy")
    settings = FileSettings(codec=codec, encoder=encoder, audio=audio)
    return FileJob(source=source, destination=destination, settings=settings, **more)


def encoder_on(engine: EngineInfo, config: Any) -> NvencEncoder | SoftwareEncoder:
    return NvencEncoder(config) if engine.kind == "nvenc" else SoftwareEncoder(config)


def encode_ranges(task: FileTask, engine: EngineInfo, ranges: Sequence[tuple[int, int]]) -> list[Packet]:
    """One encoder for all ranges, as in a lane."""
    packets: list[Packet] = []
    with encoder_on(engine, task.config(engine)) as encoder:
        for first, last in ranges:
            frames = task.frames(first, engine)
            sink = task.sink(first)
            for seq in range(first, last):
                packets += (made := encoder.submit(next(frames), seq, seq == first))
                sink.write(made)
            frames.close()  # type: ignore[attr-defined]
            packets += (made := encoder.flush_pipeline())
            sink.write(made)
            sink.complete(last, encoder.sequence_header())
    return packets


def encode_changed(task: FileTask, changed: Callable[[Packet, bytes], bytes]) -> bytes:
    """One encoder for the only range. ``changed`` makes each packet's bytes, with the header that is also returned."""
    (bounds,) = task.prepare(1).ranges
    with NvencEncoder(task.config(HARDWARE)) as encoder:
        sink, frames, header = task.sink(0), task.frames(0, HARDWARE), encoder.sequence_header()
        for number in range(*bounds):
            for packet in encoder.submit(next(frames), number):
                made = SimpleNamespace(seq=packet.seq, keyframe=packet.keyframe, data=changed(packet, header))
                sink.write([made])  # type: ignore[list-item]
        frames.close()  # type: ignore[attr-defined]
        sink.complete(bounds[1], header)
    return header


def elsewhere(task: FileTask, engine: EngineInfo) -> FileElsewhere:
    """The task as another process unpacks it."""
    made = pickle.loads(pickle.dumps(task.portable())).make()
    assert isinstance(made, FileElsewhere)
    made.encoder_config = task.config(engine)
    return made


def encode_elsewhere(there: Any, engine: EngineInfo, first: int, last: int) -> EncodedRange:
    sink, frames = there.sink(first), there.frames(first, engine)
    with encoder_on(engine, there.config(engine)) as encoder:
        for seq in range(first, last):
            sink.write(encoder.submit(next(frames), seq, seq == first))
        frames.close()
        sink.write(encoder.flush_pipeline())
        header = encoder.sequence_header()
        size = sink.complete(last, header)
    there.close()
    return EncodedRange(first=first, last=last, header=header, size=size, kept=sink.kept())


def run(task: FileTask, engine: EngineInfo = SOFTWARE, cut: Cut | None = None) -> Result:
    """Runs the whole task. ``cut`` makes ranges from the number of frames, instead of the planned ones."""
    plan = task.prepare(1)
    encode_ranges(task, engine, cut(plan.frames) if cut else plan.ranges)
    return task.finished()


def planes(frame: Any, width: int, height: int) -> Planes:
    """The samples of the picture, without padding."""
    found = []
    for plane, component in zip(frame.planes, frame.format.components, strict=True):
        kind = np.dtype(np.uint16 if component.bits > 8 else np.uint8)
        rows = np.frombuffer(plane, kind).reshape(plane.height, -1)
        across, down = -(-frame.width // component.width), -(-frame.height // component.height)
        found.append(rows[: -(-height // down), : -(-width // across)].copy())
    return found


def pictures(path: Path, size: tuple[int, int] | None = None) -> list[Planes | None]:
    """The samples of each picture, decoded from beginning to end; None for a damaged one."""
    found = []
    with av.open(str(path)) as container:
        stream = next(one for one in container.streams.video if not one.disposition.value & 1 << 10)
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            found += [
                None if frame.is_corrupt else planes(frame, *(size or (frame.width, frame.height))) for frame in frames
            ]
    return found


def seconds(path: Path) -> list[Fraction]:
    """The time of each frame."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [Fraction(frame.pts or 0) * Fraction(frame.time_base or 0) for frame in container.decode(stream)]


def size_of(path: Path) -> tuple[int, int]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.width, stream.height


@functools.lru_cache(maxsize=8)
def _pictures_of_source(path: Path, _written: int) -> list[Planes | None]:
    """The next test often has the same source."""
    return pictures(path)


def assert_same_pictures(source: Path, result: Path) -> None:
    """Sample for sample; the result may be padded to an even size."""
    size = size_of(source)
    wanted, found = _pictures_of_source(source, source.stat().st_mtime_ns), pictures(result, size)
    assert len(found) == len(wanted)
    for number, (a, b) in enumerate(zip(wanted, found, strict=True)):
        for plane, other in zip(a or [], b or [] if a else [], strict=True):
            assert plane.shape == other.shape
            assert np.array_equal(plane, other), f"frame {number} differs"
