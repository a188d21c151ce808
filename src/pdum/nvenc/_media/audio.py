"""Audio that is encoded again: finds out how to open its encoder, before anything is encoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .._errors import UnsupportedFeature
from .av import import_av, words_of
from .containers import nearest

CHANNEL_RATE = 96_000
"""Bits a second for each channel unless the settings say how many."""
OPUS_RATE = 48_000
OPUS_CHANNEL_RATE = 256_000
"""The most bits a second that libopus takes for each channel."""
AAC_FRAME_BITS, AAC_FRAME = 6144, 1024
"""The most bits for each channel of a frame, and the samples in it."""
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""For each number of channels, a layout that every encoder takes."""
UNKNOWN_CHANNEL = "NONE"
GAP = Fraction(1, 20)
"""Seconds. Times that differ less than this from the samples before them are only rounded."""


@dataclass(frozen=True, kw_only=True)
class AudioSettings:
    """How an audio encoder is opened."""

    codec: str
    sample_rate: int
    layout: str
    bit_rate: int
    changes: tuple[str, ...] = ()
    """What differs from the source or from the settings, as ends of sentences."""


def audio_settings(stream: Any, codec: str, bit_rate: int | None) -> AudioSettings:
    """The settings nearest to the source and to the wanted bitrate that the encoder takes.

    Raises:
        UnsupportedFeature: it takes nothing.
    """
    context = stream.codec_context
    rate = _sample_rate(codec, context.sample_rate)
    errors = []
    for layout, channels in _layouts(context.layout):
        wanted = CHANNEL_RATE * channels if bit_rate is None else bit_rate
        bits = min(wanted, _most_bits(codec, rate, channels))
        found = AudioSettings(codec=codec, sample_rate=rate, layout=layout, bit_rate=bits)
        try:
            open_audio_encoder(import_av().CodecContext.create(codec, "w"), found).open()
        except (ValueError, OSError, import_av().error.FFmpegError) as error:
            errors.append(words_of(error))
            continue
        changes = tuple(_changes(context, found, bit_rate))
        return AudioSettings(codec=codec, sample_rate=rate, layout=layout, bit_rate=bits, changes=changes)
    raise UnsupportedFeature(
        f"{codec} takes no sound of {context.sample_rate} Hz with the channels {context.layout.name}: {errors[-1]}. "
        "Use audio='none', or audio='copy' with .mkv."
    )


def open_audio_encoder(context: Any, settings: AudioSettings) -> Any:
    """Sets up an encoder's context, which opens at its first frame."""
    context.sample_rate, context.layout = settings.sample_rate, settings.layout
    context.bit_rate = settings.bit_rate
    context.format = context.codec.audio_formats[0]
    return context


def _sample_rate(codec: str, rate: int) -> int:
    """The source's sample rate, or the next higher one, or the highest."""
    if codec == "libopus":
        return OPUS_RATE
    known: list[int] | None = import_av().Codec(codec, "w").audio_rates
    if not known or rate in known:
        return rate
    return min((one for one in known if one > rate), default=max(known))


def _most_bits(codec: str, rate: int, channels: int) -> int:
    return channels * (OPUS_CHANNEL_RATE if codec == "libopus" else AAC_FRAME_BITS * rate // AAC_FRAME)


def _layouts(layout: Any) -> Iterator[tuple[str, int]]:
    """Layouts with their numbers of channels, the nearest first."""
    count = layout.nb_channels
    if _is_named(layout):
        yield layout.name, count
    if count in LAYOUTS:
        yield LAYOUTS[count], count
    else:
        yield LAYOUTS[8], 8
    yield LAYOUTS[2], 2


def _is_named(layout: Any) -> bool:
    """Some sources say how many channels they have, but not which ones."""
    return all(channel.name != UNKNOWN_CHANNEL for channel in layout.channels)


def _changes(context: Any, found: AudioSettings, bit_rate: int | None) -> Iterator[str]:
    if _is_named(context.layout) and context.layout.name != found.layout:
        yield f"with the channels {found.layout} instead of {context.layout.name}"
    if found.sample_rate != context.sample_rate and found.codec != "libopus":
        yield f"at {found.sample_rate} Hz instead of {context.sample_rate}"
    if bit_rate is not None and found.bit_rate != bit_rate:
        yield f"with {found.bit_rate} bits a second instead of {bit_rate}"


class AudioEncoder:
    """A stream of the output that takes frames of any format, which may change half-way."""

    def __init__(self, stream: Any, settings: AudioSettings) -> None:
        self._stream = stream
        self._settings = settings
        self._resampler: Any = None
        self._form: tuple[str, str, int] | None = None
        self._end: Fraction | None = None
        """The end of the sound so far, in seconds."""

    def encode(self, frame: Any) -> list[Any]:
        """Packets; None for the frame gets the last ones."""
        if frame is None:
            return [*self._rest(), *self._stream.encode(None)]
        made, form = [], (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:
            made += self._rest()
            self._resampler, self._form = self._new_resampler(), form
        self._give_time(frame)
        for one in self._resampler.resample(frame):
            made += self._stream.encode(one)
        return made

    def _give_time(self, frame: Any) -> None:
        """The time in samples. Many containers have coarser units, with which times could even go back."""
        begin, rate = self._end or Fraction(0), frame.sample_rate
        if frame.pts is not None and frame.time_base is not None:
            told = frame.pts * Fraction(frame.time_base)
            begin = told if self._end is None or told - self._end > GAP else self._end
        frame.pts, frame.time_base = nearest(begin * rate), Fraction(1, rate)
        self._end = begin + Fraction(frame.samples, rate)

    def _new_resampler(self) -> Any:
        context, settings = self._stream.codec_context, self._settings
        return import_av().AudioResampler(context.format, settings.layout, settings.sample_rate)

    def _rest(self) -> list[Any]:
        """The end of what was resampled so far."""
        if self._resampler is None:
            return []
        return [packet for one in self._resampler.resample(None) for packet in self._stream.encode(one)]
