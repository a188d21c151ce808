"""Carries over everything but the video: what the new container can hold is copied; for the rest there is a warning."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from typing import Any

from .._text import count
from .audio import AudioEncoder, AudioSettings, audio_settings, open_audio_encoder
from .av import import_av, open_container, words_of
from .containers import AUDIO_ENCODERS, IN_MPEGTS, WITH_EDIT_LISTS
from .decoder import is_picture
from .span import Span
from .subtitles import TextConversion, text_conversion

LOOKED_THROUGH = 500
"""Packets of all streams, to find the first of each audio stream."""

OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder")
"""Metadata about the container itself or the program that wrote it."""
OF_THE_STREAM = ("encoder", "duration", "bps", "number_of_", "_statistics_", "vendor_id")
"""Beginnings of the names of metadata about the old video stream's bytes."""


@dataclass
class Carried:
    """One stream of the source, and how it is carried over."""

    source: Any
    how: str
    """``"copy"``, ``"encode"``, ``"text"``, ``"attach"``."""
    made: Any = None
    conversion: TextConversion | None = None
    audio: AudioSettings | None = None
    encoder: AudioEncoder | None = None
    damaged: int = 0
    """Packets that were left out."""
    run_up: Any = None
    """The last hidden packet before the first that is heard. Decoders need it for that one."""
    is_begun: bool = False
    name: str = ""
    """For messages. After its container is closed, ``source`` must not be used."""

    def __post_init__(self) -> None:
        self.name = _named(self.source)


@dataclass
class Passthrough:
    """Everything that is carried over from a source into one container."""

    container: str
    video: int
    """The index of the stream that is encoded."""
    has_chapters: bool = False
    carried: list[Carried] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    span: Span | None = None
    """What is kept of the source; None: all."""

    def chapters(self, source: Any) -> list[Any]:
        """The chapters of the source, at their times in the result."""
        found: list[Any] = source.chapters()
        return found if self.span is None else self.span.chapters(found)

    def write(self, output: Any, packet: Any) -> None:
        """Muxes a packet of another stream than the video. Leaves it out if it is damaged."""
        try:
            output.mux_one(packet)
        except (import_av().error.InvalidDataError, import_av().error.PatchWelcomeError):
            for one in self.carried:
                if one.made is not None and one.made.index == packet.stream.index:
                    one.damaged += 1

    def all_warnings(self) -> list[str]:
        """The warnings of the plan, and those about damage."""
        lost = [
            f"{one.name} has {count(one.damaged, 'damaged packet')}, which the result does not have."
            for one in self.carried
            if one.damaged
        ]
        return [*self.warnings, *lost]


def plan(source: Any, video: int, container: str, audio: str | int, span: Span | None = None) -> Passthrough:
    """Decides about each stream except the video that is encoded."""
    found = Passthrough(container, video, bool(source.chapters()), span=span)
    first = _first_sounds(source) if audio == "copy" else {}
    for stream in source.streams:
        if stream.index == video:
            continue
        if stream.type == "audio":
            _plan_audio(found, stream, container, audio, first.get(stream.index))
        else:
            _plan_other(found, stream, container)
    return found


def _first_sounds(source: Any) -> dict[int, Any]:
    """The first packet of each audio stream. The file is opened again for it."""
    found: dict[int, Any] = {}
    wanted = {stream.index for stream in source.streams.audio}
    if not wanted:
        return found
    with suppress(import_av().error.FFmpegError), open_container(source.name, "r") as again:
        for packet in islice(again.demux(), LOOKED_THROUGH):
            if packet.stream.index in wanted and packet.size and packet.dts is not None:
                found.setdefault(packet.stream.index, packet)
            if len(found) == len(wanted):
                break
    return found


def _plan_audio(found: Passthrough, stream: Any, container: str, audio: str | int, first: Any) -> None:
    if audio == "none":
        return
    if audio == "copy" and is_held(stream, container, first):
        found.carried.append(Carried(stream, "copy"))
        return
    if stream.codec_context is None:
        found.warnings.append(f"{_named(stream)} is dropped: nothing can decode it, and {container} cannot hold it.")
        return
    codec = AUDIO_ENCODERS[container]
    settings = audio_settings(stream, codec, audio if isinstance(audio, int) else None)
    if audio == "copy":
        found.warnings.append(f"{_named(stream)} is encoded as {codec}, since {container} cannot hold it.")
    if settings.changes:
        found.warnings.append(f"{_named(stream)} is encoded {' and '.join(settings.changes)}, as {codec} needs it.")
    found.carried.append(Carried(stream, "encode", audio=settings))


def _plan_other(found: Passthrough, stream: Any, container: str) -> None:
    if stream.type == "attachment" or (is_picture(stream) and container == "matroska"):
        if container == "matroska":
            found.carried.append(Carried(stream, "attach"))
        else:
            found.warnings.append(f"{_named(stream)} is dropped: {container} holds no attachments.")
        return
    if stream.type == "data" and (_is_time_code(stream) or _is_chapter_track(stream, found)):
        return  # both are written again, from the video's metadata and the list of chapters
    if is_held(stream, container):
        found.carried.append(Carried(stream, "copy"))
        return
    conversion = text_conversion(stream, container)
    if conversion is not None and hasattr(import_av().container.OutputContainer, "add_mux_stream"):  # PyAV 17
        found.carried.append(Carried(stream, "text", conversion=conversion))
        found.warnings.append(f"{_named(stream)} is kept as plain text: {container} cannot hold it as it is.")
        return
    found.warnings.append(f"{_named(stream)} is dropped: {container} cannot hold it.")


def _is_time_code(stream: Any) -> bool:
    """Whether it is MP4's track of time codes, which has no codec; its metadata holds the same."""
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


def is_held(stream: Any, container: str, packet: Any = None) -> bool:
    """Whether the container can hold the stream, and the packet if one is given. Tries it with a file in memory."""
    av = import_av()
    if container == "mpegts" and (stream.codec_context is None or stream.codec_context.name not in IN_MPEGTS):
        return False  # its muxer accepts everything, and labels what it does not know as data
    trial = av.open(BytesIO(), "w", format=container)
    try:
        made = trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
        if packet is not None:
            packet.stream = made
            trial.mux_one(packet)
        trial.close()
    except (ValueError, OSError, NotImplementedError, av.error.FFmpegError):
        return False
    finally:
        _end(trial)
    return True


def _end(trial: Any) -> None:
    av = import_av()
    with suppress(ValueError, OSError, av.error.FFmpegError):
        trial.close()


def add_streams(found: Passthrough, source: Any, output: Any, add_video: Callable[[], Any]) -> Any:
    """Adds the streams in the order of the source. Returns the stream of the video."""
    by_index = {one.source.index: one for one in found.carried if one.how != "attach"}
    video = None
    for stream in source.streams:
        if stream.index in by_index:
            _add(by_index[stream.index], output)
        elif stream.index == found.video:
            video = add_video()
    for one in found.carried:
        if one.how == "attach":
            _attach(one.source, source, output)
    _add_metadata(found, source, output)
    return video


def _add(one: Carried, output: Any) -> None:
    if one.how == "copy":
        one.made = output.add_stream_from_template(one.source, opaque=True)
    elif one.audio is not None:
        one.made = output.add_stream(one.audio.codec, rate=one.audio.sample_rate)
        open_audio_encoder(one.made.codec_context, one.audio)
        one.encoder = AudioEncoder(one.made, one.audio)
    elif one.conversion is not None:
        one.made = output.add_mux_stream(one.conversion.codec)
        one.made.time_base = one.source.time_base
    one.made.metadata.update(stream_metadata(one.source))
    one.made.disposition = one.source.disposition.value


def _add_metadata(found: Passthrough, source: Any, output: Any) -> None:
    """Copies the container's metadata and chapters."""
    output.metadata.update({key: value for key, value in source.metadata.items() if key not in OF_THE_FILE})
    chapters = found.chapters(source)
    if chapters:
        output.set_chapters(chapters)


def video_metadata(stream: Any) -> dict[str, str]:
    """The metadata of the source's video that holds for the new video too."""
    known = stream_metadata(stream)
    return {key: value for key, value in known.items() if not key.lower().startswith(OF_THE_STREAM)}


def stream_metadata(stream: Any) -> dict[str, str]:
    """The metadata of a stream. MP4 calls a track's title its name."""
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


def packets(found: Passthrough, source: Any, interrupted: Callable[[], None]) -> Iterator[Any]:
    """The packets of all streams that are carried over, roughly in order of time, each with its output stream."""
    av = import_av()
    flowing = {one.source.index: one for one in found.carried if one.made is not None}
    if not flowing:
        return
    _discard_others(source, flowing)
    try:
        for number, packet in enumerate(source.demux([one.source for one in flowing.values()])):
            if not number % 64:
                interrupted()
            one = flowing[packet.stream.index]
            if one.encoder is not None:
                yield from _encoded(one, one.encoder, packet, found.span)
            elif found.span is None or found.span.kept(packet):
                yield from _passed(one, packet, found.container)
    except av.error.FFmpegError as error:
        found.warnings.append(f"The source ends early, and so do its other streams: {words_of(error)}.")
    for one in flowing.values():
        if one.encoder is not None:
            yield from one.encoder.encode(None)


def _discard_others(source: Any, wanted: Collection[int]) -> None:
    """In MP4 and MOV, discarded streams are not read: most of a file is its video. PyAV 17 cannot discard streams."""
    discard = getattr(import_av().stream, "Discard", None)
    if discard is None or "mp4" not in source.format.name.split(","):
        return
    for stream in source.streams:
        if stream.index not in wanted:
            stream.discard = discard.all


def _passed(one: Carried, packet: Any, container: str) -> Sequence[Any]:
    if not packet.size:
        return ()
    if packet.pts is None and packet.dts is None:
        if not is_picture(one.source):
            return ()
        packet.pts = packet.dts = 0  # covers have no time
    if one.conversion is not None:
        return one.conversion.packets(packet, one.made)
    packet.stream = one.made
    return _heard(one, packet, container) if one.source.type == "audio" else (packet,)


def _heard(one: Carried, packet: Any, container: str) -> Sequence[Any]:
    """Leaves out what the source's edit list hides, unless the new file has an edit list too."""
    if not packet.is_discard:
        run_up, one.run_up, one.is_begun = one.run_up, None, True
        return (packet,) if run_up is None else (run_up, packet)
    if one.is_begun:
        return ()
    if container in WITH_EDIT_LISTS:
        return (packet,)
    one.run_up = packet
    return ()


def _encoded(one: Carried, encoder: AudioEncoder, packet: Any, span: Span | None) -> list[Any]:
    """Encodes the sound of a packet. A damaged packet gives nothing."""
    if span is not None and not span.may_be_heard(packet):
        return []
    try:
        frames = packet.decode()
    except EOFError:
        return []
    except import_av().error.FFmpegError:
        one.damaged += 1
        return []
    if span is not None:
        frames = [part for frame in frames if (part := span.heard(frame)) is not None]
    return [made for frame in frames for made in encoder.encode(frame)]
