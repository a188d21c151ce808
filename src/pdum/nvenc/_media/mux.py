"""Writes encoded packets into a file, which gets its name only when it is complete.

MP4 and elementary streams (Annex B, OBUs, IVF) are written here. Other containers need PyAV.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from .._encoders.bitstreams import DEMUXERS
from .._errors import InvalidConfig, NvencError
from .._mp4.hevc_units import has_further_layers, whole_header
from .._mp4.mp4_file import Mp4File
from .._mp4.tracks import VideoTrack
from .av import import_av, naming_file
from .containers import CONTAINERS, IN_MILLISECONDS, MILLISECOND, VIDEO_CODECS, require_place_for_views
from .spool import LONGEST_NAME, hidden_sibling

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self

STREAMS = {
    ".h264": ("h264",),
    ".264": ("h264",),
    ".avc": ("h264",),
    ".hevc": ("hevc",),
    ".h265": ("hevc",),
    ".265": ("hevc",),
    ".obu": ("av1",),
    ".annexb": ("h264", "hevc"),
    ".bin": ("h264", "hevc", "av1"),
    ".ivf": ("av1",),
}
MULTILAYER = 1 << 21
"""FFmpeg's disposition of streams with several layers. Its muxer describes all of them."""
IVF_HEADER = struct.Struct("<4sHH4sHHIII4x")
IVF_FRAME = struct.Struct("<IQ")


@dataclass(frozen=True, kw_only=True)
class VideoFormat:
    """What a muxer must know about a video stream. ``header``: parameter sets, or the sequence header OBU."""

    codec: str
    header: bytes
    width: int
    height: int
    fps: Fraction
    time_base: Fraction
    """The unit of the packets' times, in seconds."""
    sample_aspect_ratio: Fraction | None = None
    stereo: bool = False
    """Each packet of HEVC has a view for each eye, the left one first (MV-HEVC)."""


class Writer(Protocol):
    """Takes packets in coding order, with times in units of the format's time base."""

    def write(self, data: bytes, pts: int, dts: int, keyframe: bool, duration: int = 0) -> None: ...
    def close(self) -> None: ...

    def discard(self) -> None:
        """Closes a file that is not going to be used."""


def part_of(destination: Path) -> Path:
    """The hidden path for a file before it gets its name: in the same folder, so that it can be renamed in one step."""
    return hidden_sibling(destination, f".part{destination.suffix.lower()}")


def require_container(destination: Path, codec: str, fps: Fraction | None = None, *, stereo: bool = False) -> str:
    """The container for the end of the name, or "stream".

    Raises:
        InvalidConfig: no file can have the name, or the container cannot hold the codec, the views of both eyes
            (``stereo``), or so many frames a second.
    """
    suffix = destination.suffix.lower()
    if len(os.fsencode(destination.name)) > LONGEST_NAME:
        raise InvalidConfig(f"{destination.name!r} is longer than {LONGEST_NAME} bytes. Choose a shorter name.")
    if suffix in STREAMS:
        holds: Sequence[str] = STREAMS[suffix]
        container = "stream"
    elif suffix in CONTAINERS:
        container = CONTAINERS[suffix]
        holds = VIDEO_CODECS[container]
    else:
        known = ", ".join([*CONTAINERS, *STREAMS])
        raise InvalidConfig(f"Expected a name that ends with {known}, got {destination.name!r}.")
    if codec not in holds:
        raise InvalidConfig(
            f"{destination.name!r} does not work with {codec}: {suffix} holds only {' or '.join(holds)}. "
            "Use .mp4 or .mkv, which hold every codec."
        )
    if stereo and container != "stream":
        require_place_for_views(destination.name, container)
    if container in IN_MILLISECONDS and fps is not None and fps * MILLISECOND > 1:
        raise InvalidConfig(
            f"{destination.name!r} does not work with {float(fps):g} frames a second: times in {suffix} are whole "
            "milliseconds. Use .mp4 or .mov."
        )
    return container


class OutputFile:
    """One video in one file, under a working name until ``commit``. Without ``commit``, nothing is left of it.

    ::

        with OutputFile(path, format) as output:
            for packet in packets:
                output.write(packet.data, pts, dts, packet.keyframe)
            size = output.commit()
    """

    def __init__(self, destination: Path, video: VideoFormat) -> None:
        self.destination = destination
        self.part = part_of(destination)
        self._writer: Writer | None = _open(self.part, require_container(destination, video.codec), video)

    def write(self, data: bytes, pts: int, dts: int, keyframe: bool, duration: int = 0) -> None:
        assert self._writer is not None
        with naming_file(self.part):
            self._writer.write(data, pts, dts, keyframe, duration)

    def close(self) -> None:
        """Completes the file under its working name, so that it can be read before ``commit``."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with naming_file(self.part):
                writer.close()

    def commit(self) -> int:
        """Gives the file its name when it is on the disk. Returns its size."""
        self.close()
        return give_name(self.part, self.destination)

    def abort(self) -> None:
        """Removes the file. Does nothing after ``commit``."""
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                writer.discard()
        except Exception:
            pass
        finally:
            self.part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abort()


def give_name(part: Path, destination: Path) -> int:
    """Renames a complete file when its bytes are on the disk, so that a crash leaves the old file or the new one."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    part.replace(destination)
    folder = os.open(destination.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return size


def decode_times(pts: Sequence[int], step: int = 1) -> list[int]:
    """Decode times for packets in coding order: rising, and never after the packet's presentation time.

    The i-th is the (i - d)-th smallest presentation time, where d is the largest number of places by which coding is
    ahead of presentation. Before the first presentation time, they go down by ``step``.
    """
    ordered = sorted(pts)
    place = {time: index for index, time in enumerate(ordered)}
    if len(place) != len(ordered):
        raise NvencError(
            "Two pictures of a video have the same presentation time, so there are no decode times for them."
        )
    delay = max((index - place[time] for index, time in enumerate(pts)), default=0)
    first = ordered[0] if ordered else 0
    return [first - (delay - index) * step for index in range(min(delay, len(ordered)))] + ordered[: -delay or None]


class StreamWriter:
    """Writes an elementary stream: packets one after the other."""

    def __init__(self, path: Path, video: VideoFormat) -> None:
        self._file: IO[bytes] = path.open("wb")
        self._header = video.header

    def write(self, data: bytes, pts: int, dts: int, keyframe: bool, duration: int = 0) -> None:  # noqa: ARG002
        if self._header:
            # Some encoders do not write the header into the stream. A stream should not have it twice.
            if self._header not in data:
                self._file.write(self._header)
            self._header = b""
        self._file.write(data)

    def close(self) -> None:
        self._file.close()

    discard = close


class IvfWriter:
    """Writes AV1 as IVF: OBUs with their times."""

    def __init__(self, path: Path, video: VideoFormat) -> None:
        self._file: IO[bytes] = path.open("wb")
        self._frames = 0
        base = video.time_base
        self._head = (b"DKIF", 0, 32, b"AV01", video.width, video.height, base.denominator, base.numerator)
        self._file.write(IVF_HEADER.pack(*self._head, 0))

    def write(self, data: bytes, pts: int, dts: int, keyframe: bool, duration: int = 0) -> None:  # noqa: ARG002
        self._file.write(IVF_FRAME.pack(len(data), pts) + data)
        self._frames += 1

    def close(self) -> None:
        if not self._file.closed:
            with self._file:
                self._file.seek(0)
                self._file.write(IVF_HEADER.pack(*self._head, self._frames))

    discard = close


def video_track(video: VideoFormat) -> VideoTrack:
    """The same for our own MP4 files."""
    return VideoTrack(
        codec=video.codec, header=video.header, width=video.width, height=video.height,
        time_base=video.time_base, sample_aspect_ratio=video.sample_aspect_ratio, stereo=video.stereo,
    )  # fmt: skip


class Mp4Writer:
    """Writes MP4. Until it is closed, it consists of fragments: what a killed process leaves can be repaired."""

    def __init__(self, path: Path, video: VideoFormat) -> None:
        self._file = Mp4File(path, [video_track(video)])

    def write(self, data: bytes, pts: int, dts: int, keyframe: bool, duration: int = 0) -> None:
        self._file.write(0, data, pts, dts, keyframe, duration)

    def close(self) -> None:
        self._file.close()

    def discard(self) -> None:
        self._file.abandon()


class ContainerWriter:
    """Writes MOV, Matroska and others with PyAV. The first packet describes the stream, so it opens the file."""

    def __init__(self, path: Path, container: str, video: VideoFormat) -> None:
        self._av = import_av()
        self._path, self._format, self._video = path, container, video
        self._container: Any = None
        self._stream: Any = None

    def write(self, data: bytes, pts: int, dts: int, keyframe: bool, duration: int = 0) -> None:
        if self._container is None:
            self._begin(data)
        packet = self._av.Packet(data)
        packet.stream = self._stream
        packet.pts, packet.dts, packet.duration = pts, dts, duration
        packet.time_base = self._video.time_base
        packet.is_keyframe = keyframe
        self._container.mux_one(packet)

    def _begin(self, data: bytes) -> None:
        self._path.unlink(missing_ok=True)
        self._container = self._av.open(
            str(self._path), "w", format=self._format, options=muxer_options(stereo=self._video.stereo)
        )
        self._stream = add_encoded_stream(self._av, self._container, self._video, data)

    def close(self) -> None:
        if self._container is not None:
            container, self._container = self._container, None
            container.close()

    discard = close


def muxer_options(*, stereo: bool) -> dict[str, str]:
    """What FFmpeg's muxers need to write all that there is to say of the stream."""
    return {"strict": "unofficial"} if stereo else {}  # Apple's boxes for two views are in no standard


def add_encoded_stream(av: Any, container: Any, video: VideoFormat, first_packet: bytes) -> Any:
    """Adds a stream for encoded packets. Reads colour, profile and HDR from their headers, as players do."""
    if video.stereo:
        return _add_stereo_stream(av, container, video, first_packet)
    head = b"" if video.header in first_packet else video.header
    sample = (head + first_packet) * 3  # PyAV does not recognize OBUs by a single picture
    with av.open(BytesIO(sample), format=DEMUXERS[video.codec]) as source:
        stream = container.add_stream_from_template(source.streams.video[0], opaque=True)
        header = whole_header(video.header, first_packet) if video.codec == "hevc" else video.header
        if video.codec == "hevc" and has_further_layers(header):
            stream.disposition = MULTILAYER
        _complete(stream, video, header)
    return stream


def _add_stereo_stream(av: Any, container: Any, video: VideoFormat, first_packet: bytes) -> Any:
    """Only a file tells FFmpeg of two views. So it reads them from one, which is made of the first packet."""
    with av.open(BytesIO(one_packet_file(video_track(video), first_packet)), format="mp4") as source:
        described = source.streams.video[0]
        stream = container.add_stream_from_template(described, opaque=True)
        stream.disposition = described.disposition.value & MULTILAYER
        _complete(stream, video, whole_header(video.header, first_packet))
    return stream


def one_packet_file(track: VideoTrack, packet: bytes) -> bytes:
    """An MP4 file of the track's first packet alone."""
    made = BytesIO()
    with Mp4File(made, [track]) as file:
        file.write(0, packet, 0, 0, True, 1)
    return made.getvalue()


def _complete(stream: Any, video: VideoFormat, header: bytes) -> None:
    context = stream.codec_context
    context.extradata = header
    if video.codec == "hevc" and stream.container.format.name in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # Apple's players accept no other
    if video.sample_aspect_ratio is not None:
        context.sample_aspect_ratio = video.sample_aspect_ratio
    context.framerate = video.fps
    stream.time_base = video.time_base


def _open(part: Path, container: str, video: VideoFormat) -> Writer:
    if container == "mp4":
        return Mp4Writer(part, video)
    if container != "stream":
        return ContainerWriter(part, container, video)
    return (IvfWriter if part.suffix == ".ivf" else StreamWriter)(part, video)
