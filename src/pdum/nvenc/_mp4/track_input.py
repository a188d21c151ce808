"""One track on its way into a file: packets come in, and samples in the track's own time scale wait to be written."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from fractions import Fraction
from operator import index
from typing import NamedTuple, SupportsIndex

from .._errors import InvalidConfig, NvencError
from .boxes import LARGEST_32
from .codec_string import describe
from .coded_frames import Converter
from .sample_entry import audio_entry, header_of, pixel_shape, skipped_by_opus, video_entry
from .sample_table import Run
from .track_header import TrackHeader
from .tracks import PCM_BYTES, AudioTrack, VideoTrack

COARSE_SCALE = 10_000
"""Units in a second that a video's time scale has at least: some players round badly in coarser ones."""
FINE_SCALE = 1_000_000
"""Units in a second that it has at most. A frame lasts less than 2**32 units, here 71 minutes."""
LARGEST_OFFSET = (1 << 31) - 1
ROLLS = {"aac": 1, "opus": 4, "pcm": 0}
"""Packets that a decoder takes in before its output is right."""
LONGEST_SILENCE = 60
"""Seconds of PCM that are filled in."""


class Sample(NamedTuple):
    data: bytes
    decode: int
    offset: int
    """From decoding to presentation."""
    keyframe: bool
    duration: int
    """0: until the next."""


class TrackInput:
    """Takes packets in coding order. ``ready`` holds the samples whose duration is known."""

    def __init__(self, number: int, time_base: Fraction, coarsest: int) -> None:
        self.number = number
        factor = -(-coarsest // time_base.denominator)
        self.timescale = min(time_base.denominator * factor, max(FINE_SCALE, coarsest))
        self._unit = time_base * self.timescale
        self._skipped = 0
        """Added to all times, and subtracted again by players, because no time of a file is below 0."""
        self._ahead = 0
        """Added only to decode times."""
        self._last_decode: int | None = None
        self._step = max(1, round(self._unit))
        self._waiting: Sample | None = None
        self._is_announced = False
        self.ready: list[Sample] = []
        self.ready_bytes = 0

    def header(self) -> TrackHeader:
        """Readers know it from now on, so it must not change."""
        self._is_announced = True
        return self._header()

    def add(self, data: bytes, pts: int, dts: int, keyframe: bool, duration: int) -> None:
        """The packet before this one lasts until this one, and is ready from now on."""
        data = _as_bytes(data)
        decode, shown, length = (self._in_scale(index(time)) for time in (dts, pts, duration))
        if self._last_decode is None:
            self._begin(data, decode)
        decode, shown = decode + self._skipped + self._ahead, shown + self._skipped
        if self._last_decode is not None and decode <= self._last_decode:
            raise NvencError(f"Expected decode times that rise, got dts={dts} at or before the one of the last packet.")
        sample = self._sample(data, decode, shown, bool(keyframe), length)
        if self._waiting is not None:
            self._settle(self._waiting, sample.decode - self._waiting.decode)
        self._waiting, self._last_decode = sample, sample.decode

    def settle(self) -> None:
        """Makes the last packet ready too. It lasts as long as its duration says, or as long as the one before it."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._settle(waiting, waiting.duration or self._step)

    def take_run(self) -> tuple[Run, list[bytes]] | None:
        """The samples that are ready, and their data."""
        ready, self.ready, self.ready_bytes = self.ready, [], 0
        if not ready:
            return None
        offsets = array("q", (one.offset for one in ready))
        keys = array("I", (place for place, one in enumerate(ready) if one.keyframe))
        run = Run(
            sizes=array("I", (len(one.data) for one in ready)),
            durations=array("I", (one.duration for one in ready)),
            offsets=offsets if any(offsets) else array("q"),
            keys=None if len(keys) == len(ready) else keys,
            samples=len(ready),
            decode=ready[0].decode,
        )
        return run, [one.data for one in ready]

    @property
    def ready_time(self) -> float:
        """How many seconds are ready."""
        return ((self._last_decode or 0) - self.ready[0].decode) / self.timescale if self.ready else 0.0

    def _in_scale(self, time: int) -> int:
        return round(time * self._unit)

    def _settle(self, sample: Sample, duration: int) -> None:
        if duration > LARGEST_32:
            limit = LARGEST_32 // self.timescale
            raise NvencError(f"Expected less than {limit} s between two frames, got {duration / self.timescale:.0f} s.")
        self._step = duration
        self.ready.append(sample._replace(duration=duration))
        self.ready_bytes += len(sample.data)

    def _header(self) -> TrackHeader:
        raise NotImplementedError

    def _begin(self, data: bytes, decode: int) -> None:
        """Looks at the first packet."""
        raise NotImplementedError

    def _sample(self, data: bytes, decode: int, shown: int, keyframe: bool, duration: int) -> Sample:
        raise NotImplementedError


class VideoInput(TrackInput):
    """Players show each picture at its packet's time.

    If pictures are decoded before time 0, all times are later in the file, and an edit list takes that away again. If
    readers know the track already, composition offsets are negative instead.
    """

    def __init__(self, track: VideoTrack, number: int) -> None:
        super().__init__(number, track.time_base, COARSE_SCALE)
        self._track = track
        self._description = describe(track.codec, track.header)
        self._converter = Converter(track.codec, track.header)
        self._first_packet = b""

    def _begin(self, data: bytes, decode: int) -> None:
        self._first_packet = data
        if self._is_announced:
            self._ahead = max(0, -decode)
        else:
            self._skipped = max(0, -decode)
            self._converter = Converter(self._track.codec, header_of(self._track, data))

    def _sample(self, data: bytes, decode: int, shown: int, keyframe: bool, duration: int) -> Sample:
        offset = shown - decode
        if abs(offset) > LARGEST_OFFSET:
            raise NvencError("Expected a presentation time that is near the decode time, got one that is hours away.")
        return Sample(self._converter.sample(data), decode, offset, keyframe, duration)

    def _header(self) -> TrackHeader:
        track, ratio = self._track, pixel_shape(self._track, self._description) or Fraction(1)
        return TrackHeader(
            number=self.number,
            is_video=True,
            timescale=self.timescale,
            sample_entry=video_entry(track, self._first_packet),
            skipped=self._skipped,
            display_size=(round(track.width * ratio * (1 << 16)), track.height << 16),
            codec=track.codec,
        )


class AudioInput(TrackInput):
    """Decode times are presentation times plus the time of the samples that are not to be heard."""

    def __init__(self, track: AudioTrack, number: int) -> None:
        super().__init__(number, track.time_base, track.rate)
        self._track = track
        self._skipped = track.priming or (skipped_by_opus(track.description) if track.codec == "opus" else 0)

    def _begin(self, data: bytes, decode: int) -> None:  # noqa: ARG002
        if decode + self._skipped >= 0:
            return
        if self._is_announced:
            raise InvalidConfig(
                f"Expected a first packet of sound at {-self._skipped} or later, got {decode}. "
                f"Say priming={-decode} in its AudioTrack."
            )
        self._skipped = -decode

    def _sample(self, data: bytes, decode: int, shown: int, keyframe: bool, duration: int) -> Sample:  # noqa: ARG002
        if not data:
            raise InvalidConfig("Expected a packet of sound, got no bytes.")
        return Sample(bytes(data), decode, 0, True, duration)

    def _header(self) -> TrackHeader:
        track = self._track
        return TrackHeader(
            number=self.number,
            is_video=False,
            timescale=self.timescale,
            sample_entry=audio_entry(track),
            language=track.language,
            skipped=self._skipped,
            roll=ROLLS[track.codec],
            fixed_size=PCM_BYTES * track.channels if track.codec == "pcm" else 0,
            codec=track.codec,
        )


class PcmInput(AudioInput):
    """A packet holds any number of samples. Silence fills the gaps between packets."""

    def __init__(self, track: AudioTrack, number: int) -> None:
        super().__init__(track, number)
        self._size = PCM_BYTES * track.channels
        self._end: int | None = None

    def _sample(self, data: bytes, decode: int, shown: int, keyframe: bool, duration: int) -> Sample:  # noqa: ARG002
        if not data or len(data) % self._size:
            raise InvalidConfig(f"Expected PCM in whole samples of {self._size} bytes, got {len(data)} bytes.")
        gap = 0 if self._end is None else decode - self._end
        if not 0 <= gap <= LONGEST_SILENCE * self.timescale:
            raise NvencError(f"Expected PCM that goes on at {self._end}, got a packet at {decode}.")
        data = bytes(gap * self._size) + bytes(data)
        self._end = decode - gap + len(data) // self._size
        return Sample(data, decode - gap, 0, True, len(data) // self._size)

    def take_run(self) -> tuple[Run, list[bytes]] | None:
        self.settle()
        ready, self.ready, self.ready_bytes = self.ready, [], 0
        if not ready:
            return None
        count = sum(len(one.data) for one in ready) // self._size
        run = Run(array("I", [self._size]), array("I", [1]), array("q"), None, count, ready[0].decode)
        return run, [one.data for one in ready]


def _as_bytes(data: object) -> bytes:
    if isinstance(data, bytes):
        return data
    try:
        return memoryview(data).tobytes()  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"Expected the bytes of a packet, got {data!r}.") from None


def inputs_of(tracks: Sequence[VideoTrack | AudioTrack]) -> list[TrackInput]:
    """One input for each track, numbered from 1. Raises InvalidConfig if an object is not a track."""
    made: list[TrackInput] = []
    if isinstance(tracks, (VideoTrack, AudioTrack)):
        raise InvalidConfig("Expected a list of tracks, got a single track.")
    for number, track in enumerate(tracks, 1):
        if isinstance(track, VideoTrack):
            made.append(VideoInput(track, number))
        elif isinstance(track, AudioTrack):
            made.append((PcmInput if track.codec == "pcm" else AudioInput)(track, number))
        else:
            raise InvalidConfig(f"Expected VideoTrack and AudioTrack objects, got {track!r}.")
    if not made:
        raise InvalidConfig("Expected at least one track, got none.")
    return made


def input_at(inputs: Sequence[TrackInput], track: int) -> TrackInput:
    if not isinstance(track, SupportsIndex) or not 0 <= index(track) < len(inputs):
        raise InvalidConfig(f"Expected a track from 0 to {len(inputs) - 1}, got track={track!r}.")
    return inputs[track]
