"""Everything of a source that is not its video: what its new container can hold is copied, what it cannot is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from .av import import_av
from .decoder import is_picture
from .subtitles import TextConversion, text_conversion

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
    ".m2ts": "mpegts",
}
AUDIO_ENCODERS = {"mp4": "aac", "mov": "aac", "matroska": "libopus", "webm": "libopus", "mpegts": "aac"}
IN_MPEGTS = (
    *("aac", "mp2", "mp2float", "mp3", "mp3float", "ac3", "eac3", "dca", "truehd", "opus", "libopus"),
    *("dvbsub", "dvb_subtitle", "dvb_teletext", "pgssub", "hdmv_pgs_subtitle"),
    *("h264", "hevc", "mpeg2video", "mpeg4"),
)
CHANNEL_RATE = 96_000
"""Bits a second for each channel where audio has to be encoded and nobody said how."""

OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder")
"""Metadata that tells of the container itself, or of who wrote it."""
OF_THE_STREAM = ("encoder", "duration", "bps", "number_of_", "_statistics_", "vendor_id")
"""Beginnings of metadata that tells of the old video stream's bytes."""


@dataclass
class Carried:
    """One stream of the source, and how it goes on."""

    source: Any
    how: str
    """``"copy"``, ``"encode"``, ``"text"``, ``"attach"``."""
    made: Any = None
    conversion: TextConversion | None = None


@dataclass
class Passthrough:
    """All that goes on from a source into one output container."""

    video: int
    """The stream that is encoded."""
    has_chapters: bool = False
    carried: list[Carried] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def plan(source: Any, video: int, container: str, audio: str | int) -> Passthrough:
    """What becomes of each stream but the video that is encoded."""
    found = Passthrough(video, bool(source.chapters()))
    for stream in source.streams:
        if stream.index == video:
            continue
        if stream.type == "audio":
            _plan_audio(found, stream, container, audio)
        else:
            _plan_other(found, stream, container)
    return found


def _plan_audio(found: Passthrough, stream: Any, container: str, audio: str | int) -> None:
    if audio == "none":
        return
    if audio == "copy" and is_held(stream, container):
        found.carried.append(Carried(stream, "copy"))
        return
    if stream.codec_context is None:
        found.warnings.append(f"{_named(stream)} is left out: nothing can decode it, and {container} cannot hold it.")
        return
    if audio == "copy":
        codec = AUDIO_ENCODERS[container]
        found.warnings.append(f"{_named(stream)} is encoded as {codec}, since {container} cannot hold it.")
    found.carried.append(Carried(stream, "encode"))


def _plan_other(found: Passthrough, stream: Any, container: str) -> None:
    if stream.type == "attachment" or (is_picture(stream) and container == "matroska"):
        if container == "matroska":
            found.carried.append(Carried(stream, "attach"))
        else:
            found.warnings.append(f"{_named(stream)} is left out: {container} holds no attachments.")
        return
    if stream.type == "data" and (_is_time_code(stream) or _is_chapter_track(stream, found)):
        return  # written anew, from the metadata of the video and from the list of chapters
    if is_held(stream, container):
        found.carried.append(Carried(stream, "copy"))
        return
    conversion = text_conversion(stream, container)
    if conversion is not None and hasattr(import_av().container.OutputContainer, "add_mux_stream"):  # PyAV 17
        found.carried.append(Carried(stream, "text", conversion=conversion))
        found.warnings.append(f"{_named(stream)} is kept as plain text: {container} cannot hold it as it is.")
        return
    found.warnings.append(f"{_named(stream)} is left out: {container} cannot hold it.")


def _is_time_code(stream: Any) -> bool:
    """MP4's track of time codes has no codec, and the same words in its metadata."""
    return getattr(stream, "name", None) in (None, "none", "bin_data") and "timecode" in stream.metadata


def _is_chapter_track(stream: Any, found: Passthrough) -> bool:
    return found.has_chapters and getattr(stream, "name", None) in (None, "none", "bin_data")


def _named(stream: Any) -> str:
    codec = getattr(stream, "name", None)
    if stream.codec_context is not None:
        codec = stream.codec_context.name
    language = stream.metadata.get("language")
    details = ", ".join(word for word in (codec, language) if word)
    return f"Stream {stream.index} ({stream.type}{', ' + details if details else ''})"


def is_held(stream: Any, container: str) -> bool:
    """Whether the container's muxer takes the stream: it is asked."""
    av = import_av()
    if container == "mpegts" and (stream.codec_context is None or stream.codec_context.name not in IN_MPEGTS):
        return False  # its muxer takes everything, and calls what it does not know data
    trial = av.open(BytesIO(), "w", format=container)
    try:
        trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
    except (ValueError, OSError, NotImplementedError, av.error.FFmpegError):
        return False
    finally:
        _end(trial)
    return True


def _end(trial: Any) -> None:
    av = import_av()
    with suppress(ValueError, OSError, av.error.FFmpegError):
        trial.close()


def add_streams(
    found: Passthrough, source: Any, output: Any, container: str, audio: str | int, add_video: Callable[[], Any]
) -> Any:
    """The output's streams in the order of the source's; returns the one of the video."""
    by_index = {one.source.index: one for one in found.carried if one.how != "attach"}
    video = None
    for stream in source.streams:
        if stream.index in by_index:
            _add(by_index[stream.index], output, container, audio)
        elif stream.index == found.video:
            video = add_video()
    for one in found.carried:
        if one.how == "attach":
            _attach(one.source, source, output)
    _add_metadata(source, output)
    return video


def _add(one: Carried, output: Any, container: str, audio: str | int) -> None:
    if one.how == "copy":
        one.made = output.add_stream_from_template(one.source, opaque=True)
    elif one.how == "encode":
        one.made = _audio_encoder(one.source, output, container, audio)
    elif one.conversion is not None:
        one.made = output.add_mux_stream(one.conversion.codec)
        one.made.time_base = one.source.time_base
    one.made.metadata.update(stream_metadata(one.source))
    one.made.disposition = one.source.disposition.value


def _add_metadata(source: Any, output: Any) -> None:
    """What the container says of itself."""
    output.metadata.update({key: value for key, value in source.metadata.items() if key not in OF_THE_FILE})
    chapters = source.chapters()
    if chapters:
        output.set_chapters(chapters)


def video_metadata(stream: Any) -> dict[str, str]:
    """Of the source's video, what is still true of the new one."""
    known = stream_metadata(stream)
    return {key: value for key, value in known.items() if not key.lower().startswith(OF_THE_STREAM)}


def stream_metadata(stream: Any) -> dict[str, str]:
    """What MP4 calls the name of a track is its title everywhere else."""
    known = dict(stream.metadata)
    if "name" in known and "title" not in known:
        known["title"] = known.pop("name")
    return known


def _attach(stream: Any, source: Any, output: Any) -> None:
    if stream.type == "attachment":
        made = output.add_attachment(stream.name or "attachment", stream.mimetype or "application/octet-stream",
                                     stream.data)  # fmt: skip
        made.metadata.update(stream.metadata)
        return
    codec = stream.codec_context.name
    kind, suffix = ("image/png", "png") if codec == "png" else ("image/jpeg", "jpg")
    for packet in source.demux(stream):
        if packet.size:
            output.add_attachment(f"cover.{suffix}", kind, bytes(packet))
            break
    source.seek(0)


def _audio_encoder(stream: Any, output: Any, container: str, audio: str | int) -> Any:
    codec = AUDIO_ENCODERS[container]
    rate = 48_000 if codec == "libopus" else stream.codec_context.sample_rate
    made = output.add_stream(codec, rate=rate)
    made.codec_context.layout = stream.codec_context.layout
    made.codec_context.bit_rate = audio if isinstance(audio, int) else CHANNEL_RATE * stream.codec_context.channels
    return made


def packets(found: Passthrough, source: Any, interrupted: Callable[[], None]) -> Iterator[Any]:
    """Of all streams that go on, about in the order of time, each with its stream of the output."""
    av = import_av()
    flowing = {one.source.index: one for one in found.carried if one.made is not None}
    if not flowing:
        return
    try:
        for number, packet in enumerate(source.demux([one.source for one in flowing.values()])):
            if not number % 64:
                interrupted()
            one = flowing[packet.stream.index]
            yield from _passed(one, packet)
    except av.error.FFmpegError as error:
        found.warnings.append(f"The source breaks off, and so do its other streams: {error}")
    for one in flowing.values():
        if one.how == "encode":
            yield from one.made.encode(None)


def _passed(one: Carried, packet: Any) -> Sequence[Any]:
    if one.how == "encode":
        return _encoded(one, packet)
    if not packet.size:
        return ()
    if packet.pts is None and packet.dts is None:
        if not is_picture(one.source):
            return ()
        packet.pts = packet.dts = 0  # a cover has no time
    if one.conversion is not None:
        return one.conversion.packets(packet, one.made)
    packet.stream = one.made
    return (packet,)


def _encoded(one: Carried, packet: Any) -> list[Any]:
    av = import_av()
    made: list[Any] = []
    try:
        frames = packet.decode()
    except (EOFError, av.error.FFmpegError):
        return made  # damage is silence
    for frame in frames:
        made += one.made.encode(frame)
    return made
