"""The file of a writer: its target, the container in it, and what is known when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import InvalidConfig
from .._media.mux import require_container
from .._profiling import profiled
from .containers import Container, ElementaryStream, Ivf, Mp4, PyavContainer
from .interleaving import Interleaver
from .targets import MemoryTarget, PathTarget

if TYPE_CHECKING:
    from .._media.mux import VideoFormat
    from .packet_thread import Coded
    from .sound import SoundFormat
    from .targets import AnyTarget

KNOWN = {"mp4": ".mp4", "mov": ".mov", "mkv": ".mkv", "webm": ".webm", "ts": ".ts", "ivf": ".ivf", "stream": ".bin"}
"""Values of ``container``, each with the suffix of such a file."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The kind of a file: FFmpeg's name of the container, or "stream"."""

    container: str
    suffix: str
    fragmented: bool


def kind_of(
    target: Any, container: str | None, codec: str, fps: Fraction, *, fragmented: bool, stereo: bool = False
) -> Kind:
    """What is to be written to the target. Raises InvalidConfig if the container cannot hold it."""
    if isinstance(target, PathTarget):
        if container is not None:
            raise InvalidConfig(
                f"container={container!r} does not work with a path, whose suffix decides it: {target.path.name!r}."
            )
        name = target.path
    else:
        if container is not None and container not in KNOWN:
            raise InvalidConfig(f"Expected container to be one of {', '.join(KNOWN)}, got {container!r}.")
        name = Path("video" + KNOWN[container or "mp4"])
    found = require_container(name, codec, fps, stereo=stereo)
    if fragmented and found != "mp4":
        raise InvalidConfig(
            f"fragmented=True does not work with {name.suffix}: only .mp4 and .m4v have fragments. Streams, .mkv and "
            ".ts can be played as far as they go anyway."
        )
    return Kind(container=found, suffix=name.suffix.lower(), fragmented=fragmented)


class Output:
    """Opens the file for the first packet; called by the thread that writes alone, but for ``discard``."""

    def __init__(self, target: AnyTarget, kind: Kind, video: Callable[[], VideoFormat]) -> None:
        self.target, self.kind = target, kind
        self.sound: SoundFormat | None = None
        self.bytes_written = 0
        self._video = video
        self._container: Container | None = None
        self._interleaver: Interleaver | None = None
        self._early: list[Coded] = []

    @profiled("pdum.writer.packet")
    def write(self, packet: Coded) -> None:
        self.bytes_written += len(packet.data)
        with self.target.naming_errors():
            if self._interleaver is not None:
                self._interleaver.put(packet)
            elif packet.track != "video":
                self._early.append(packet)
            else:
                self._open(packet)

    @profiled("pdum.writer.complete")
    def complete(self) -> None:
        """Completes the file after the last packet, and gives it its name."""
        with self.target.naming_errors():
            if self._interleaver is not None:
                self._interleaver.finish()
            if self._container is not None:
                self._container.close()
        self.target.commit()

    def discard(self, *, is_stuck: bool = False) -> None:
        """Removes the file. ``is_stuck``: a write to it never returned, so it cannot even be closed."""
        container, self._container = self._container, None
        try:
            if container is not None and not is_stuck:
                container.abandon()
        except Exception:  # the error that led here is the one to report
            pass
        finally:
            self.target.discard(is_stuck=is_stuck)

    def _open(self, first: Coded) -> None:
        video = self._video()
        self._container = self._container_for(video, first.data)
        bases = {"video": video.time_base}
        if self.sound is not None:
            bases["sound"] = Fraction(1, self.sound.rate)
        self._interleaver = Interleaver(bases, self._container.write)
        early, self._early = self._early, []
        for packet in [*early, first]:
            self._interleaver.put(packet)

    def _container_for(self, video: VideoFormat, first: bytes) -> Container:
        kind = self.kind
        if kind.container == "mp4" and isinstance(self.target, PathTarget):
            return Mp4(self.target.part, video, self.sound, fragmented=kind.fragmented)
        file = _OwnFile(self.target.open())
        if kind.container == "mp4":
            fragmented = kind.fragmented or isinstance(self.target, MemoryTarget)
            return Mp4(file, video, self.sound, fragmented=fragmented)
        if kind.container == "stream":
            return (Ivf if kind.suffix == ".ivf" else ElementaryStream)(file, video)
        return PyavContainer(file, kind.container, video, self.sound, first, fragmented=not file.seekable())


class _OwnFile:
    """Writes all that it is given: a raw file or a socket may take less."""

    def __init__(self, file: Any) -> None:
        self._file = file
        if self.seekable():
            self.seek, self.tell = file.seek, file.tell

    def flush(self) -> None:
        flush = getattr(self._file, "flush", None)
        if flush is not None:
            flush()

    def seekable(self) -> bool:
        ask = getattr(self._file, "seekable", None)
        return ask is not None and bool(ask())

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        left = memoryview(data)
        while len(left):
            taken = self._file.write(left)
            if taken == 0:
                raise OSError(f"its write() took none of {len(left)} bytes")
            left = left[len(left) if taken is None else taken :]
        return len(data)
