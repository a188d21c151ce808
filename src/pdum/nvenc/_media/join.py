"""Writes all ranges of a video, in order, into one file, with everything else that the source has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

from .._mp4.hevc import with_alpha_information
from .._mp4.hevc_units import has_further_layers, whole_header
from .._mp4.tracks import VideoTrack
from .._profiling import profiled
from .av import import_av, naming_file, open_container, time_base
from .containers import IN_MILLISECONDS, container_time_base, container_times, nearest
from .matroska import TrackLook, template, write_aspect
from .mux import MULTILAYER, decode_times, muxer_options, one_packet_file
from .passthrough import Passthrough, add_streams, packets, video_metadata
from .source import Index
from .spool import MAGIC, RECORD, Piece, packets_of


@dataclass(frozen=True, kw_only=True)
class Joined:
    """What is written into one file."""

    source: Path
    part: Path
    container: str
    index: Index
    pieces: Sequence[Piece]
    look: TrackLook
    passthrough: Passthrough
    interrupted: Callable[[], None]
    stereo: bool = False
    """Each packet has a view for each eye."""
    alpha: bool = False
    """Each packet has a layer of alpha."""
    warnings: list[str] = field(default_factory=list)

    @property
    def time_base(self) -> Fraction:
        """The unit of times in the new file, in seconds."""
        return container_time_base(self.container, self.index.time_base)

    def times(self) -> list[int]:
        """The times of all frames in display order, in the new unit."""
        return container_times(self.container, self.index.time_base, self.index.pts)


@profiled("pdum.join")
def join(joined: Joined, source: Any) -> None:
    """Writes the part file. ``source`` is the open container for which the passthrough was planned."""
    joined.part.unlink(missing_ok=True)
    url, options = f"file:{joined.part}", _options(joined, source)
    with (
        naming_file(joined.part),
        open_container(url, "w", format=joined.container, container_options=options) as output,
    ):
        first = next(packets_of(joined.pieces[0]))[2]

        def add_video() -> Any:
            return _add_video(joined, output, source, first)

        stream = add_streams(joined.passthrough, source, output, add_video)
        output.start_encoding()
        video = _video_packets(joined, stream)
        for packet in _merged(video, packets(joined.passthrough, source, joined.interrupted)):
            if packet.stream.index == stream.index:
                output.mux_one(packet)
            else:
                joined.passthrough.write(output, packet)
    _finish_header(joined)


def _options(joined: Joined, source: Any) -> dict[str, str]:
    """Keeps times as they are: Matroska's muxer would shift them because of decode times that it does not store, and
    MP4's would round the first one to milliseconds."""
    if joined.container not in IN_MILLISECONDS:
        begin = joined.index.pts[0] * joined.index.time_base
        own = muxer_options(stereo=joined.stereo)
        return own if (begin * 1000).denominator == 1 else {**own, "movie_timescale": str(joined.time_base.denominator)}
    starts = [stream.start_time for stream in source.streams if stream.start_time is not None]
    options = {} if min([*starts, *joined.index.pts[:1]]) < 0 else {"avoid_negative_ts": "disabled"}
    if _needs_aspect(joined):
        options["write_crc32"] = "0"  # of the header, which is completed afterwards
    return options


def _needs_aspect(joined: Joined) -> bool:
    return joined.container in IN_MILLISECONDS and joined.index.look.sample_aspect_ratio is not None


def _add_video(joined: Joined, output: Any, source: Any, first_packet: bytes) -> Any:
    av = import_av()
    look, headers = joined.look, {piece.header for piece in joined.pieces}
    made, form, header = _description(joined, first_packet)
    with av.open(BytesIO(made), "r", format=form) as described:
        template_stream = described.streams.video[0]
        stream = output.add_stream_from_template(template_stream, opaque=True)
        layers = template_stream.disposition.value & MULTILAYER
        if joined.alpha and has_further_layers(header):
            layers = MULTILAYER
    context = stream.codec_context
    context.width, context.height = look.width, look.height
    context.extradata = header
    context.framerate = joined.index.rate
    if joined.index.look.sample_aspect_ratio is not None:
        context.sample_aspect_ratio = joined.index.look.sample_aspect_ratio
    if look.codec == "hevc" and joined.container in ("mp4", "mov"):
        # Apple's players accept only hvc1, with parameter sets only in the header.
        context.codec_tag = "hvc1" if len(headers) == 1 else "hev1"
    if len(headers) > 1:
        joined.warnings.append(
            "Parts of the video come from different encoders and differ in their headers. Most players can play it."
        )
    stream.time_base = joined.time_base
    old = source.streams[joined.index.stream]
    stream.metadata.update(_metadata(joined, old))
    stream.disposition = old.disposition.value | layers
    _turn(joined, stream)
    return stream


def _description(joined: Joined, first_packet: bytes) -> tuple[bytes, str, bytes]:
    """A file with one packet that describes the stream to a muxer, its format, and the stream's header."""
    look, header = joined.look, joined.pieces[0].header
    if joined.alpha:
        header = with_alpha_information(whole_header(header, first_packet))
    if not joined.stereo:
        return template(look, first_packet, reserve=_needs_aspect(joined)), "matroska", header
    track = VideoTrack(
        codec=look.codec, header=header, width=look.width, height=look.height, time_base=joined.time_base,
        sample_aspect_ratio=joined.index.look.sample_aspect_ratio, stereo=True,
    )  # fmt: skip
    return one_packet_file(track, first_packet), "mp4", whole_header(header, first_packet)


def _metadata(joined: Joined, stream: Any) -> dict[str, str]:
    known = video_metadata(stream)
    if joined.passthrough.span is not None and known.pop("timecode", None) is not None:
        joined.warnings.append("The time code is dropped: it belongs to the source's first frame.")
    return known


def _turn(joined: Joined, stream: Any) -> None:
    matrix = joined.index.look.matrix
    if joined.container == "mpegts":
        look = joined.index.look
        lost = ["rotation"] * (matrix is not None) + ["shape of pixels"] * (look.sample_aspect_ratio is not None)
        joined.warnings.extend(f"The {what} is lost: mpegts cannot hold it." for what in lost)
        return
    if matrix is None:
        return
    if hasattr(stream, "set_display_matrix"):
        stream.set_display_matrix(matrix)
    else:
        if joined.look.roll is None:
            joined.warnings.append(
                "The picture is mirrored or skewed for display, which is lost: it needs PyAV 18 or newer."
            )


def _finish_header(joined: Joined) -> None:
    aspect = joined.index.look.sample_aspect_ratio
    if aspect is not None and _needs_aspect(joined) and not write_aspect(joined.part, joined.look, aspect):
        joined.warnings.append(f"The sample aspect ratio {aspect} is in the stream alone, not in the container.")


def coding_order(pieces: Sequence[Piece]) -> list[int]:
    """The numbers of the frames, in the order of their packets."""
    found: list[int] = []
    for piece in pieces:
        with piece.path.open("rb") as file:
            file.seek(len(MAGIC))
            file.readline()
            for _ in range(piece.last - piece.first):
                seq, _, size = RECORD.unpack(file.read(RECORD.size))
                found.append(seq)
                file.seek(size, 1)
    return found


def _video_packets(joined: Joined, stream: Any) -> Iterator[Any]:
    av = import_av()
    times = joined.times()
    last = max(1, nearest(joined.index.last_duration * joined.index.time_base / joined.time_base))
    ends = [*times[1:], times[-1] + last]
    step = times[1] - times[0] if len(times) > 1 else last
    decoding = iter(decode_times([times[number] for number in coding_order(joined.pieces)], step))
    for piece in joined.pieces:
        joined.interrupted()
        for number, keyframe, data in packets_of(piece):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, joined.time_base
            packet.pts, packet.dts = times[number], next(decoding)
            packet.duration = ends[number] - times[number]
            packet.is_keyframe = keyframe
            yield packet


def _merged(video: Iterator[Any], others: Iterator[Any]) -> Iterator[Any]:
    """Both, in the order of their decode times."""
    held = next(video, None)
    for other in others:
        while held is not None and _seconds(held) <= _seconds(other):
            yield held
            held = next(video, None)
        yield other
    if held is not None:
        yield held
        yield from video


def _seconds(packet: Any) -> Fraction:
    time = packet.dts if packet.dts is not None else packet.pts
    return Fraction(time or 0) * time_base(packet)
