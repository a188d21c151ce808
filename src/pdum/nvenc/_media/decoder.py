"""Opens a file and decodes it from the beginning."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from .._errors import NvencError, SourceUnreadable
from .._profiling import profiled
from .alpha_layer import LayerDecoder, context_for_layers, has_alpha_layer
from .alpha_plane import DECODERS_WITH_ALPHA, has_alpha_beside
from .av import import_av, open_container, words_of
from .packet_decoder import PacketDecoder

NO_DECODERS = {"codec_whitelist": "none"}

MOST_THREADS_OF_A_GPU = 4
"""Threads that parse. Each takes one of the 32 surfaces of the GPU's decoder; references take up to 16 of them."""

FEW_THREADS, MANY_THREADS = 2, 8
"""Threads for decoding the first frames. Each thread decodes one frame more than is looked at."""
LOOKED_AT = 5
"""Frames that show whether the packets are right, and whether any is interlaced: in film, two of five are."""
PACKETS_LOOKED_AT = 64
"""After so many packets, one frame is enough."""


def no_such_file(path: Path) -> SourceUnreadable:
    return SourceUnreadable(f"{path}: The file does not exist.")


def open_source(path: Path, **more: Any) -> Any:
    """Opens a container. Raises SourceUnreadable, which says what is wrong with the file."""
    try:
        return open_container(_as_url(path), "r", **more)
    except FileNotFoundError as error:
        raise no_such_file(path) from error
    except PermissionError as error:
        raise SourceUnreadable(f"{path}: No permission to read this file.") from error
    except (OSError, ValueError, import_av().error.FFmpegError) as error:
        raise SourceUnreadable(f"{path}: {_why_unreadable(path, error)}") from error


def open_packets(path: Path) -> Any:
    """Opens a container whose packets FFmpeg is not to decode.

    Without being told, FFmpeg decodes up to 20 pictures of H.264 to learn in what order they are shown, which takes as
    long as a GPU needs for twenty. MP4 and QuickTime say in their tables what is known from that.
    """
    return open_source(path, **({"container_options": NO_DECODERS} if _has_tables(path) else {}))


def _has_tables(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(8)[4:] == b"ftyp"
    except OSError:  # open_source says what is wrong
        return False


def _why_unreadable(path: Path, error: Exception) -> str:
    if not path.is_file():
        return "Not a file."
    if path.stat().st_size == 0:
        return "The file is empty."
    # FFmpeg believes the sizes in a broken index, and has no memory for them.
    if isinstance(error, (import_av().error.InvalidDataError, EOFError, MemoryError)):
        return "Not a readable video (damaged or incomplete). Copy or download it again."
    return f"Not a readable video: {words_of(error)}."


def _as_url(path: Path) -> str:
    """FFmpeg would read a word before a colon as a protocol, and a leading dash as an option."""
    return f"file:{path}"


def video_stream(container: Any, path: Path) -> Any:
    """The video stream to encode: the first that is not a cover picture."""
    found = [one for one in container.streams.video if not is_picture(one)]
    if not found:
        raise SourceUnreadable(f"{path}: The file has no video.")
    if found[0].codec_context is None:
        raise SourceUnreadable(f"{path}: PyAV cannot decode the codec of this video.")
    return found[0]


def is_picture(stream: Any) -> bool:
    """Whether it is a cover or thumbnail, which FFmpeg counts as video."""
    return bool(stream.disposition.value & (1 << 10 | 1 << 11))


def ignore(_: object) -> None:
    """Does nothing, for callers that need no reason."""


class Stumbled(Exception):
    """Something cannot be decoded, and good frames near it may be lost. One thread of the processor would keep them."""


@dataclass(frozen=True, kw_only=True)
class OnGpu:
    """A GPU's decoder. Its frames stay on the GPU."""

    context: AbstractContextManager[Any]
    """Must be current whenever the decoder is opened or used."""
    acceleration: Any = None
    """FFmpeg's, if FFmpeg drives the decoder."""
    own: Callable[[Any], Any] | None = None
    """Makes a ``StreamDecoder`` for a stream, if this package drives the decoder."""


@dataclass(frozen=True)
class Decoding:
    """How a file is decoded."""

    threads: int = 0
    strict: bool = False
    """Damage is an error; otherwise damaged frames are left out."""
    on_gpu: OnGpu | None = None
    """Decodes on this GPU if it is given, else on the processor."""
    on_stumble: Callable[[Exception], object] = ignore
    """Called with the reason when decoding continues in another way."""
    alpha: bool = False
    """Alpha is decoded too where that needs another decoder."""

    @contextmanager
    def opened(self, path: Path) -> Iterator[Any]:
        """The container, open while the block runs."""
        with self.here():
            acceleration = None if self.on_gpu is None else self.on_gpu.acceleration
            container = open_source(path, **({} if acceleration is None else {"hwaccel": acceleration}))
        with container:
            yield container

    def here(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.on_gpu is None else self.on_gpu.context

    @property
    def is_careful(self) -> bool:
        """One thread of the processor loses only what is damaged. Several lose more, without an error."""
        return self.threads == 1 and self.on_gpu is None

    def carefully(self) -> Decoding:
        return replace(self, threads=1, on_gpu=None)

    def decoder_for(self, stream: Any) -> PacketDecoder:
        """Decodes the stream's packets. Close it before the container.

        Raises:
            Stumbled: the GPU makes no decoder now, although it has made one for this file.
        """
        if self.on_gpu is not None and self.on_gpu.own is not None:
            try:
                return ByChip(self, self.on_gpu.own(stream))
            except NvencError as error:
                self.may_stumble(error)
                raise
        options = {"err_detect": "explode"} if self.strict else {}
        if self.alpha and has_alpha_layer(stream):
            both = ByFFmpeg(self, stream, context_for_layers(options))
            return LayerDecoder(stream, both, self.may_stumble, self.strict)
        context = self._context_for(stream)
        if not context.is_open:
            context.thread_type = "AUTO"
            context.thread_count = self.threads if self.on_gpu is None else MOST_THREADS_OF_A_GPU
            if options:
                context.options = options
        return ByFFmpeg(self, stream, context)

    def _context_for(self, stream: Any) -> Any:
        codec = stream.codec_context
        av = import_av()
        name = DECODERS_WITH_ALPHA[codec.codec.canonical_name] if self.alpha and has_alpha_beside(stream) else ""
        return av.CodecContext.create(name, "r") if name in av.codecs_available else codec

    def may_stumble(self, error: Exception) -> None:
        if not self.strict and not self.is_careful:
            raise Stumbled(str(error)) from error


class ByFFmpeg:
    """FFmpeg decodes, on the processor or on a GPU."""

    def __init__(self, decoding: Decoding, stream: Any, context: Any) -> None:
        self._decoding, self._stream, self._context = decoding, stream, context

    @profiled("pdum.decode")
    def frames(self, packet: Any) -> list[Any]:
        av, strict = import_av(), self._decoding.strict
        try:
            with self._decoding.here():
                frames: list[Any] = self._context.decode(packet)
        except EOFError:
            return []
        except av.error.FFmpegError as error:
            self._decoding.may_stumble(error)
            if not strict and (isinstance(error, av.error.InvalidDataError) or not packet.size):
                return []
            raise SourceUnreadable(f"The packet shown at {packet.pts} cannot be decoded: {words_of(error)}.") from error
        if strict and any(frame.is_corrupt for frame in frames):
            raise SourceUnreadable(f"The packet shown at {packet.pts} is damaged.")
        return frames

    @profiled("pdum.decode")
    def rest(self) -> list[Any]:
        av = import_av()
        try:
            with self._decoding.here():
                frames: list[Any] = self._context.decode(None)
            for frame in frames:
                frame.time_base = self._stream.time_base  # PyAV takes it from a packet
            return frames
        except EOFError:
            return []
        except av.error.FFmpegError as error:
            self._decoding.may_stumble(error)
            return []

    def close(self) -> None:
        """The container closes the decoder."""


class ByChip:
    """This package drives the GPU's decoder. The processor continues at damage: it loses less."""

    def __init__(self, decoding: Decoding, decoder: Any) -> None:
        self._decoding, self._decoder = decoding, decoder
        self._begin: int | None = None

    def frames(self, packet: Any) -> Iterator[Any]:
        pts = packet.pts
        if self._begin is None:
            self._begin = pts
        yield from self._intact(self._decoder.frames(packet), f"The packet shown at {pts}")

    def rest(self) -> Iterator[Any]:
        yield from self._intact(self._decoder.rest(), "The end of the file")

    def _intact(self, frames: Iterator[Any], what: str) -> Iterator[Any]:
        try:
            for frame in frames:
                if frame.damaged and self._leads(frame.pts):
                    continue
                if frame.damaged:
                    raise SourceUnreadable(f"The frame shown at {frame.pts} is damaged.")
                yield frame
        except NvencError as error:
            self._decoding.may_stumble(error)
            raise SourceUnreadable(f"{what} cannot be decoded: {error}") from error
        skipped = [pts for pts in self._decoder.skipped if not self._leads(pts)]
        if skipped:
            damage = SourceUnreadable(f"The packet shown at {skipped[0]} is damaged.")
            self._decoding.may_stumble(damage)
            raise damage

    def _leads(self, pts: int | None) -> bool:
        """Whether it is shown before the key frame at which decoding began, and needs frames from before that."""
        return pts is not None and self._begin is not None and pts < self._begin

    def close(self) -> None:
        self._decoder.close()


def every_frame(
    path: Path, decoding: Decoding | None = None, interrupted: Callable[[], None] = lambda: None
) -> Iterator[Any]:
    """Decodes from beginning to end. Leaves out what is damaged, unless decoding is strict."""
    decoding, count = decoding or Decoding(), 0
    try:
        for frame in Start(path, decoding, interrupted).every_frame():
            yield frame
            count += 1
    except Stumbled as error:
        decoding.on_stumble(error)
        yield from islice(Start(path, decoding.carefully(), interrupted).every_frame(), count, None)


class Start:
    """A source that is being decoded from its beginning. Its first frames can be looked at before the rest."""

    def __init__(self, path: Path, decoding: Decoding, interrupted: Callable[[], None] = lambda: None) -> None:
        self.decoding = decoding
        self.frames: list[Any] = []
        """The first frames that were looked at."""
        with ExitStack() as opened:
            container = opened.enter_context(decoding.opened(path))
            self.stream = video_stream(container, path)
            decoder = decoding.decoder_for(self.stream)
            opened.callback(decoder.close)
            self._coming = _by_packet(container, self.stream, decoder, interrupted)
            self._opened = opened.pop_all()

    @classmethod
    def looked_at(
        cls, path: Path, threads: int, interrupted: Callable[[], None] = lambda: None, *, alpha: bool = False
    ) -> Start:
        """Decodes the first frames, if there are any. They lack the alpha that is asked for if none can be decoded."""
        start = cls(path, Decoding(threads, alpha=alpha), interrupted)
        try:
            start._look()
        except Stumbled:
            start.close()
            return cls.looked_at(path, 1, interrupted, alpha=alpha)
        except BaseException:
            start.close()
            raise
        if alpha and not start.frames:
            start.close()
            return cls.looked_at(path, threads, interrupted)
        return start

    def _look(self) -> None:
        for number, frames in enumerate(self._coming):
            self.frames += frames
            if len(self.frames) >= (LOOKED_AT if number < PACKETS_LOOKED_AT else 1):
                return

    def every_frame(self) -> Iterator[Any]:
        """All frames, including those that were looked at. Closes the source at the end.

        Raises:
            Stumbled: as ``Decoding.frames`` does.
        """
        try:
            yield from self.frames
            self.frames = []
            for frames in self._coming:
                yield from frames
        finally:
            self.close()

    def may_go_on_as(self, decoding: Decoding) -> bool:
        """Whether this decoder can replace a new one, at about the same speed."""
        return decoding.on_gpu is None and self.decoding.threads >= min(decoding.threads, MANY_THREADS)

    def close(self) -> None:
        self.frames = []
        self._coming.close()
        self._opened.close()


def _by_packet(
    container: Any, stream: Any, decoder: PacketDecoder, interrupted: Callable[[], None]
) -> Generator[list[Any], None, None]:
    av = import_av()
    try:
        for number, packet in enumerate(container.demux(stream)):
            if not number % 16:
                interrupted()
            yield list(decoder.frames(packet))
    except av.error.FFmpegError:
        yield list(decoder.rest())
