"""The GPU's decoder: coded packets in, frames on the GPU out."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from fractions import Fraction
from operator import index
from os import PathLike, getpid
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from .. import _nvenc
from .._errors import DecoderClosed, InvalidConfig, NvencError, SourceUnreadable, UnsupportedFeature
from .av import fraction, import_av, time_base
from .decoder import open_packets, video_stream
from .stream_headers import (
    CODECS,
    as_in_stream,
    filter_behind,
    filter_for,
    filtered,
    gpu_codec,
    has_lengths,
    new_headers,
    stream_header,
)

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .._nvenc import DecodedFrame

BY_PROCESSOR = "Decode it on the processor, with PyAV."
LENT_SURFACES = 6
"""Frames that may be out at once without a copy."""


MOST_SURFACES = 32
ALIASES = {"h265": "hevc", "avc": "h264", "mpeg2video": "mpeg2", "mpeg1video": "mpeg1", "jpeg": "mjpeg"}


def _codec_name(codec: Any) -> str:
    name = codec.lower() if isinstance(codec, str) else codec
    name = ALIASES.get(name, name)
    if name not in CODECS.values():
        raise InvalidConfig(f"Expected codec to be one of {', '.join(CODECS.values())}, got {codec!r}.")
    return str(name)


def _whole_number(name: str, value: Any, least: int, most: int) -> int:
    try:
        number = index(value)
    except TypeError as error:
        raise InvalidConfig(f"Expected a whole number, got {name}={value!r}.") from error
    if not least <= number <= most:
        raise InvalidConfig(f"Expected {name} to be from {least} to {most}, got {number}.")
    return number


def _header_bytes(header: Any) -> bytes:
    if not isinstance(header, (bytes, bytearray, memoryview)):
        raise InvalidConfig(f"Expected header to be bytes, got {header!r}.")
    return bytes(header)


def _require_start_codes(codec: str, data: Any) -> None:
    """Packets of MP4 and Matroska would be passed over without a word."""
    if codec in ("h264", "hevc") and has_lengths(bytes(memoryview(data))):
        raise InvalidConfig(
            f"Expected {codec} with start codes (Annex B), got a packet of the form that MP4 and Matroska have. "
            f"Use FFmpeg's bitstream filter {codec}_mp4toannexb, or decode(path)."
        )


class Decoder:
    """A GPU's hardware decoder: packets in, frames on the GPU out, in the order in which they are shown.

    ::

        with pdum.nvenc.Decoder("h264") as decoder:
            for packet in packets:          # bytes, in Annex B's form or of AV1, VP9, …
                for frame in decoder.decode(packet):
                    cupy.asarray(frame)     # or torch.from_dlpack(frame), or encoder.submit(frame, seq)
            frames = decoder.flush()

    A frame is a surface of the decoder itself and not a copy. The decoder writes another frame there when this one is
    dropped (or its ``with`` ends) and the work on it is done, in the order of the CUDA streams and without waiting.
    More than ``surfaces`` frames may be kept: further ones are copied.

    Args:
        codec: ``"h264"``, ``"hevc"``, ``"av1"``, ``"vp9"``, ``"vp8"``, ``"mpeg1"``, ``"mpeg2"``, ``"mpeg4"``, ``"vc1"``
            or ``"mjpeg"``.
        header: headers that are not in the packets, in the form in which a stream holds them.
        gpu_id: the GPU, as CUDA counts.
        cuda_context: a context of the caller's as its handle; 0 is the GPU's primary one, as CuPy and PyTorch use it.
        stream: the CUDA stream on which frames are read, for readers that do not tell it; None is the legacy default
            stream. It has to outlive the frames.
        surfaces: how many frames may be out at once without a copy.

    Raises:
        DriverNotFound: there is no NVIDIA driver, or none of its parts that decode.
    """

    def __init__(
        self,
        codec: str,
        *,
        header: bytes = b"",
        gpu_id: int = 0,
        cuda_context: int = 0,
        stream: Any = None,
        surfaces: int = LENT_SURFACES,
    ) -> None:
        self._native = _nvenc.Decoder(
            codec=_codec_name(codec),
            header=_header_bytes(header),
            gpu_id=_whole_number("gpu_id", gpu_id, -1, 0x7FFFFFFF),
            cuda_context=_whole_number("cuda_context", cuda_context, 0, (1 << 64) - 1),
            stream=stream,
            lent_surfaces=_whole_number("surfaces", surfaces, 1, MOST_SURFACES),
        )
        self._is_first_packet = True

    def __repr__(self) -> str:
        return f"<Decoder {self.codec} on GPU {self.gpu_id}>"

    @property
    def codec(self) -> str:
        return self._native.codec

    @property
    def gpu_id(self) -> int:
        return self._native.gpu_id

    def decode(self, data: Any, pts: int | None = None) -> list[DecodedFrame]:
        """Gives the decoder a packet, and returns the frames that are ready. It works on others meanwhile.

        ``data`` is bytes, or whatever offers the buffer protocol. ``pts`` comes back on the packet's frame.

        Raises:
            UnsupportedFeature: this GPU does not decode such a video.
            DecoderFailed: the video is damaged beyond what the decoder can pass over. It can go on at a key frame.
        """
        if self._is_first_packet:
            _require_start_codes(self.codec, data)
            self._is_first_packet = False
        return self._native.decode(data, None if pts is None else _whole_number("pts", pts, -1 << 63, (1 << 63) - 1))

    def flush(self, most: int | None = None) -> list[DecodedFrame]:
        """The frames that are left, or at most so many of them. Decoding can begin anew, with a key frame.

        They may be more than ``surfaces``. ``flush(1)`` until nothing comes gives all of them without a copy, if each
        is dropped before the next.
        """
        return self._native.flush(None if most is None else _whole_number("most", most, 0, 1 << 31))

    def close(self) -> None:
        """Gives everything back but the frames that are out. May be called twice."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _codec_and_header(video: Any) -> tuple[str, bytes]:
    codec = gpu_codec(video)
    if codec is None:
        raise UnsupportedFeature(f"No GPU decodes {video.codec_context.codec.canonical_name}. {BY_PROCESSOR}")
    return codec, stream_header(codec, bytes(video.codec_context.extradata or b""))


class StreamDecoder:
    """A decoder for a stream of an open container. Its packets are PyAV's."""

    def __init__(self, video: Any, /, **options: Any) -> None:
        codec, header = _codec_and_header(video)
        self._filter = filter_for(video)
        self.skipped: list[int | None] = []
        """The times of packets that are damaged so much that they are no packets of this codec."""
        self._hidden: set[int | None] = set()
        """The times of packets that the container says are decoded only for the sake of others."""
        self._new_header = b""
        """Comes before the next packet, if the container has said that other headers hold from there on."""
        self.decoder = Decoder(codec, header=header, **options)

    def begin_again(self, video: Any) -> None:
        """Drops what it still has, and goes on with a stream of the same codec."""
        self._filter = filter_for(video)
        self.decoder._native.begin_anew(_codec_and_header(video)[1])
        self.skipped = []
        self._hidden.clear()
        self._new_header = b""

    def frames(self, packet: Any) -> Iterator[DecodedFrame]:
        """An empty packet ends the stream, and gives what is left."""
        is_end, pts = not packet.size, packet.pts  # a filter empties the packets that it takes
        if packet.is_discard:
            self._hidden.add(pts)
        self._take_headers(packet)
        for one in self._filtered(packet, pts):
            if one.size:
                yield from self._shown(self.decoder.decode(self._with_header(one), one.pts))
        if is_end:
            yield from self.rest()

    def _take_headers(self, packet: Any) -> None:
        new, codec = new_headers(packet), self.decoder.codec
        if new is not None:
            self._filter = filter_behind(bytes(new), codec, self._filter)
            self._new_header = stream_header(codec, bytes(new))

    def _with_header(self, packet: Any) -> Any:
        """In one packet, since each packet ends a picture."""
        data, header = as_in_stream(self.decoder.codec, packet), self._new_header
        self._new_header = b""
        return header + bytes(data) if header else data

    def _filtered(self, packet: Any, pts: int | None) -> list[Any]:
        try:
            return filtered(packet, self._filter)
        except (import_av().error.InvalidDataError, ValueError):
            self.skipped.append(pts)
            return []

    def _shown(self, frames: list[DecodedFrame]) -> list[DecodedFrame]:
        return [frame for frame in frames if frame.pts not in self._hidden] if self._hidden else frames

    def rest(self) -> Iterator[DecodedFrame]:
        while left := self.decoder.flush(1):
            yield from self._shown(left)

    def close(self) -> None:
        self.decoder.close()


class DecodedVideo:
    """The frames of a file, decoded on a GPU while they are asked for: see ``decode``."""

    def __init__(self, path: Path, **options: Any) -> None:
        self._container = open_packets(path)
        try:
            self._stream = video_stream(self._container, path)
            self._decoder = StreamDecoder(self._stream, **options)
        except BaseException:
            self._container.close()
            raise
        self._path, self._is_closed = path, False
        self._lock, self._process = RLock(), getpid()
        self._frames = _all_frames(path, self._container, self._stream, self._decoder)

    def __repr__(self) -> str:
        return f"<DecodedVideo {str(self._path)!r}, {self.codec} of {self.width}x{self.height}>"

    @property
    def time_base(self) -> Fraction:
        """The unit of ``frame.pts``, in seconds."""
        return time_base(self._stream)

    @property
    def rate(self) -> Fraction | None:
        """Frames a second, as the container gives it."""
        return fraction(self._stream.average_rate)

    @property
    def width(self) -> int:
        return int(self._stream.codec_context.width)

    @property
    def height(self) -> int:
        return int(self._stream.codec_context.height)

    @property
    def codec(self) -> str:
        return self._decoder.decoder.codec

    @property
    def skipped(self) -> list[int | None]:
        """The times of packets, so far, that gave no frame because they are damaged beyond decoding."""
        return list(self._decoder.skipped)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> DecodedFrame:
        with self._turn():
            if self._is_closed:
                raise DecoderClosed(f"The decoding of {self._path} was closed. Call decode() again.")
            return next(self._frames)

    def close(self) -> None:
        """Ends the decoding when no other thread waits for a frame. Frames that are out stay valid. Harmless twice."""
        with self._turn():
            self._is_closed = True
            with suppress(ValueError):  # the handler of a signal may call this while a frame is made
                self._frames.close()  # which has the last frame
            self._decoder.close()
            self._container.close()

    def _turn(self) -> AbstractContextManager[object]:
        """To close a container while a thread reads from it would end the process. A forked child waits for no thread:
        one of its parent's may have had its turn."""
        return self._lock if self._process == getpid() else nullcontext()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _all_frames(path: Path, container: Any, stream: Any, decoder: StreamDecoder) -> Generator[DecodedFrame, None, None]:
    """Closes both at the end. It does not refer to the video, which ends as soon as nobody refers to it."""
    count = 0
    try:
        for frame in _frames_until_failure(container, stream, decoder):
            yield frame
            count += 1
        if not count:
            raise SourceUnreadable(f"{path}: This GPU cannot decode any frame of the video. {BY_PROCESSOR}")
    finally:
        decoder.close()
        container.close()


def _frames_until_failure(container: Any, stream: Any, decoder: StreamDecoder) -> Iterator[DecodedFrame]:
    av = import_av()
    try:
        for packet in container.demux(stream):
            try:
                yield from decoder.frames(packet)
            except NvencError:
                yield from decoder.rest()  # what was decoded before the failure
                raise
    except av.error.FFmpegError:  # the file ends early
        yield from decoder.rest()


def decode(
    path: str | Path,
    *,
    gpu_id: int = 0,
    cuda_context: int = 0,
    stream: Any = None,
    surfaces: int = LENT_SURFACES,
) -> DecodedVideo:
    """Decodes the video of a file on a GPU: ``for frame in pdum.nvenc.decode("in.mp4"): …``.

    Frames stay on the GPU: CuPy and PyTorch take them as arrays, and encoders of this package as frames, without a
    copy. ``frame.pts`` is in units of ``decode(…).time_base``. The arguments are those of ``Decoder``.

    Raises:
        SourceUnreadable: the file is missing or is no video.
        UnsupportedFeature: this GPU does not decode such a video, or PyAV is missing.
        DriverNotFound: there is no NVIDIA driver, or none of its parts that decode.
    """
    if not isinstance(path, (str, PathLike)):
        raise InvalidConfig(f"Expected the path of a video, got {type(path).__name__}. Decoder takes packets.")
    return DecodedVideo(Path(path), gpu_id=gpu_id, cuda_context=cuda_context, stream=stream, surfaces=surfaces)
