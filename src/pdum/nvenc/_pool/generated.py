"""A task whose frames a function makes."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from io import BytesIO
from itertools import chain
from operator import index
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .._config.config import EncoderConfig
from .._config.settings import codec_name, frame_rate, whole
from .._errors import Cancelled, FolderMissing, InvalidConfig, NvencError
from .._media.mux import OutputFile, VideoFormat, decode_times, require_container
from .._mp4.hevc import with_alpha_information
from .._mp4.hevc_units import has_second_picture
from .._results import Result
from .._tasks import BaseTask, Plan, Portable, Remarks
from .ranges import divided

if TYPE_CHECKING:
    from .._nvenc import Packet
    from ..events import EngineInfo

Render = Callable[..., Any]
SHORTEST_RANGE = 4
"""Frames of a range, at the least. Each range begins with a key frame, which is many times larger than others."""


class PacketStore:
    """The packets of one range. Their bytes are in a file without a name, which cannot outlive the process."""

    def __init__(self, task: GeneratedTask, first: int) -> None:
        self._task = task
        self.first = first
        self.last = first
        self.index: list[tuple[int, int, bool]] = []
        """Number, size and whether it is a key frame, in coding order."""
        self._file: IO[bytes] = BytesIO() if task.folder is None else _temporary_file(task.folder)

    def write(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            self.index.append((packet.seq, len(packet.data), packet.keyframe))
            self._file.write(packet.data)

    def complete(self, last: int, header: bytes) -> int:
        self.last = last
        self._file.flush()
        self._task.take(self, header)
        return self._file.tell()

    def discard(self) -> None:
        self._file.close()

    def contents(self) -> bytes:
        """The bytes of all packets. Afterwards the file is gone."""
        self._file.seek(0)
        with self._file:
            return self._file.read()

    def packets(self) -> Iterator[tuple[int, bytes, bool]]:
        """The packets in coding order. Afterwards the file is gone."""
        self._file.seek(0)
        with self._file:
            for frame, size, keyframe in self.index:
                yield frame, self._file.read(size), keyframe


class GeneratedTask(BaseTask):
    """``render(index, surface)`` for each of ``n_frames``, encoded into one file, or into bytes if no file is named."""

    def __init__(
        self,
        render: Render,
        n_frames: int,
        config: EncoderConfig,
        *,
        output: str | Path | None = None,
        segments: str | int = "auto",
        surfaces: bool = False,
    ) -> None:
        self.n_frames = whole("n_frames", n_frames, least=1)
        self.encoder_config = config
        self._render = render
        self._takes_engine = "engine" in _parameters(render)
        self._path = None if output is None else Path(output).absolute()
        self._segments = _segments(segments)
        self._surfaces = surfaces
        self._stores: dict[int, PacketStore] = {}
        self._header = b""
        self._is_cancelled = False
        self._key = os.urandom(9).hex()
        self.encoded = b""
        """The stream, if no file is named."""
        if self._path is not None:
            rate = Fraction(*frame_rate(config.fps))
            require_container(self._path, codec_name(config.codec), rate, stereo=bool(config.stereo))

    @property
    def folder(self) -> Path | None:
        """The folder for the packets until the end: on the same disk as the result."""
        return None if self._path is None else self._path.parent

    @property
    def source(self) -> str:
        return f"{getattr(self._render, '__qualname__', 'render')}()"

    @property
    def destination(self) -> str:
        return "" if self._path is None else str(self._path)

    needs_encoder = True
    """An encoder works on its own while the next frame is made."""

    @property
    def estimated_work(self) -> float:
        return float(self.n_frames * self.encoder_config.width * self.encoder_config.height)

    def prepare(self, lanes: int) -> Plan:  # noqa: ARG002
        if self._path is not None and not self._path.parent.is_dir():
            raise FolderMissing(f"The folder {self._path.parent} does not exist. Create it first.")
        self._stores, self._is_cancelled = {}, False
        fixed = isinstance(self._segments, int)
        parts = self._segments if isinstance(self._segments, int) else 1
        fps = Fraction(*frame_rate(self.encoder_config.fps))
        return Plan(
            frames=self.n_frames,
            ranges=divided(0, self.n_frames, parts),
            whole_ranges=fixed,
            width=self.encoder_config.width,
            height=self.encoder_config.height,
            fps=float(fps),
            duration=float(self.n_frames / fps),
            shortest_range=SHORTEST_RANGE,
        )

    def config(self, engine: EngineInfo) -> EncoderConfig:  # noqa: ARG002
        return self.encoder_config

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Any]:
        return self.frames_with(first, engine, None)

    def frames_with(self, first: int, engine: EngineInfo, encoder: Any) -> Iterator[Any]:
        lend = getattr(encoder, "surface", None) if self._surfaces else None
        more = {"engine": engine} if self._takes_engine else {}
        render = self._render
        for number in range(first, self.n_frames):
            surface = None if lend is None else lend()
            frame = render(number, surface, **more)
            frame = surface if frame is None else frame
            if frame is None:
                raise InvalidConfig(f"{self.source} returned no frame for {number}, and had no surface to write it to.")
            yield frame

    def sink(self, first: int) -> PacketStore:
        return PacketStore(self, first)

    def portable(self) -> Portable:
        """Other machines call ``render`` too, which has to be a function that can be sent to them."""
        elsewhere = partial(VideoElsewhere, self._render, self.n_frames, self.encoder_config, surfaces=self._surfaces)
        return Portable(key=self._key, make=elsewhere)

    def take(self, store: PacketStore, header: bytes) -> None:
        self._stores[store.first] = store
        self._header = header

    def finish(self) -> Result:
        order = self._pieces()
        size = self._collect(order) if self._path is None else self._write(self._path, order)
        return Result(destination=self.destination, frames=self.n_frames, size=size)

    def _pieces(self) -> list[PacketStore]:
        order = [self._stores[first] for first in sorted(self._stores)]
        bounds = [(store.first, store.last) for store in order]
        if [0, *(last for _, last in bounds)] != [*(first for first, _ in bounds), self.n_frames]:
            raise NvencError(f"The ranges {bounds} do not make up {self.n_frames} frames.")
        for store in order:
            frames = {frame for frame, _, _ in store.index}
            if len(store.index) != len(frames) or frames != set(range(store.first, store.last)):
                raise NvencError(f"The frames from {store.first} to {store.last} did not come out once each.")
            if not store.index[0][2]:
                raise NvencError(f"The frames from {store.first} on do not begin with a key frame.")
        return order

    def _collect(self, order: Sequence[PacketStore]) -> int:
        self.encoded = b"".join(store.contents() for store in order)
        return len(self.encoded)

    def _write(self, path: Path, order: Sequence[PacketStore]) -> int:
        times = iter(decode_times([frame for store in order for frame, _, _ in store.index]))
        packets = chain.from_iterable(store.packets() for store in order)
        first = next(packets)
        with OutputFile(path, self._video_format(first[1])) as output:
            for frame, data, keyframe in chain((first,), packets):
                if self._is_cancelled:
                    raise Cancelled("The video was cancelled while it was written.")
                output.write(data, frame, next(times), keyframe, 1)
            return output.commit()

    def _video_format(self, first_packet: bytes) -> VideoFormat:
        config = self.encoder_config
        fps = Fraction(*frame_rate(config.fps))
        has_alpha = bool(config.alpha) and has_second_picture(first_packet)  # software has none
        return VideoFormat(
            codec=codec_name(config.codec), header=with_alpha_information(self._header) if has_alpha else self._header,
            width=config.width, height=config.height, fps=fps, time_base=1 / fps, stereo=bool(config.stereo),
        )  # fmt: skip

    def interrupt(self) -> None:
        self._is_cancelled = True

    def abandon(self, keep: bool) -> None:  # noqa: ARG002
        for store in self._stores.values():
            store.discard()
        self._stores = {}


class VideoElsewhere(GeneratedTask):
    """A ``PortableTask``: the same frames on another machine. Their packets go back to the pool."""

    def sink(self, first: int) -> None:  # type: ignore[override]  # noqa: ARG002
        return None

    def new_remarks(self) -> Remarks:
        return Remarks()

    def close(self) -> None: ...


def _segments(segments: str | int) -> str | int:
    if segments == "auto":
        return segments
    try:
        return whole("segments", index(segments), least=1)  # type: ignore[arg-type]
    except TypeError:
        raise InvalidConfig(f'Expected "auto" or a number from 1, got segments={segments!r}.') from None


def _parameters(render: Render) -> Sequence[str]:
    try:
        return list(inspect.signature(render).parameters)
    except (TypeError, ValueError):
        return []


def _temporary_file(folder: Path) -> IO[bytes]:
    import tempfile  # imported at the first use, because it loads much

    return tempfile.TemporaryFile(dir=folder)
