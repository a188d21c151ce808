"""Containers that a writer fills packet by packet: an elementary stream, or one of PyAV's, with sound."""

from __future__ import annotations

from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from .._errors import InvalidConfig
from .._media.av import import_av
from .._media.mux import IVF_FRAME, IVF_HEADER, add_encoded_stream, muxer_options, video_track
from .._mp4.mp4_file import Mp4File
from .._mp4.tracks import AudioTrack
from .sound import OUR_NAMES

if TYPE_CHECKING:
    from .._media.mux import VideoFormat
    from .._mp4.tracks import VideoTrack
    from .packet_thread import Coded
    from .sound import SoundFormat

FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


class Container(Protocol):
    """Takes the packets of its tracks in the order of their decode times."""

    def write(self, packet: Coded) -> None: ...
    def close(self) -> None:
        """Completes the file."""
        ...

    def abandon(self) -> None:
        """Releases the file, which stays as it is or is removed."""
        ...


class ElementaryStream:
    """Packets one after the other: Annex B, or OBUs."""

    def __init__(self, file: Any, video: VideoFormat) -> None:
        self._file, self._header = file, video.header

    def write(self, packet: Coded) -> None:
        if self._header and self._header not in packet.data:  # some encoders do not write the header into the stream
            self._file.write(self._header)
        self._header = b""
        self._file.write(packet.data)

    def close(self) -> None:
        """Does nothing: there is nothing to complete."""

    abandon = close


class Ivf:
    """AV1's OBUs with their times. The number of frames is filled in at the end, if the file can seek."""

    def __init__(self, file: Any, video: VideoFormat) -> None:
        base = video.time_base
        self._head = (b"DKIF", 0, 32, b"AV01", video.width, video.height, base.denominator, base.numerator)
        self._file, self._frames = file, 0
        file.write(IVF_HEADER.pack(*self._head, 0))

    def write(self, packet: Coded) -> None:
        self._file.write(IVF_FRAME.pack(len(packet.data), packet.pts) + packet.data)
        self._frames += 1

    def close(self) -> None:
        if self._file.seekable():
            self._file.seek(0)
            self._file.write(IVF_HEADER.pack(*self._head, self._frames))

    def abandon(self) -> None:
        """Does nothing: there is nothing to release."""


class Mp4:
    """A complete MP4 file, or one that consists of fragments. Needs no PyAV."""

    def __init__(self, file: Any, video: VideoFormat, sound: SoundFormat | None, *, fragmented: bool) -> None:
        tracks: list[VideoTrack | AudioTrack] = [video_track(video)]
        if sound is not None:
            tracks.append(_audio_track(sound))
        self._file = Mp4File(file, tracks, fragmented=fragmented)

    def write(self, packet: Coded) -> None:
        track = 0 if packet.track == "video" else 1
        self._file.write(track, packet.data, packet.pts, packet.dts, packet.keyframe, packet.duration)

    def close(self) -> None:
        self._file.close()

    def abandon(self) -> None:
        self._file.abandon()


def _audio_track(sound: SoundFormat) -> AudioTrack:
    codec = OUR_NAMES.get(sound.codec)
    if codec is None:
        raise InvalidConfig(
            f"MP4 files hold sound in AAC, Opus or PCM here, got {sound.codec}. Use .mkv, which holds any, or give "
            "samples: add_audio()."
        )
    return AudioTrack(
        codec=codec,
        rate=sound.rate,
        channels=sound.channels,
        description=sound.description,
        priming=sound.priming,
    )


class PyavContainer:
    """One of FFmpeg's containers. The first packets describe the streams, so they open it."""

    def __init__(
        self,
        file: Any,
        container: str,
        video: VideoFormat,
        sound: SoundFormat | None,
        first: bytes,
        *,
        fragmented: bool,
    ) -> None:
        self._av = import_av()
        options = {**muxer_options(stereo=video.stereo), **(FRAGMENTED if fragmented and container == "mov" else {})}
        self._container = self._av.open(file, "w", format=container, options=options)
        self._streams = {"video": add_encoded_stream(self._av, self._container, video, first)}
        self._bases = {"video": video.time_base}
        if sound is not None:
            self._streams["sound"] = self._sound_stream(sound)
            self._bases["sound"] = Fraction(1, sound.rate)

    def _sound_stream(self, sound: SoundFormat) -> Any:
        with self._av.open(BytesIO(sound.sample())) as source:
            stream = self._container.add_stream_from_template(source.streams.audio[0], opaque=True)
            if sound.description:
                stream.codec_context.extradata = sound.description
            stream.time_base = Fraction(1, sound.rate)
        return stream

    def write(self, packet: Coded) -> None:
        made = self._av.Packet(packet.data)
        made.stream = self._streams[packet.track]
        made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
        made.time_base = self._bases[packet.track]
        made.is_keyframe = packet.keyframe
        self._container.mux_one(made)

    def close(self) -> None:
        self._container.close()

    abandon = close
