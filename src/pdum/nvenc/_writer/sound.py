"""Sound for a video: samples are encoded, packets are passed on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO
from operator import index
from typing import Any

from .._config.settings import one_of, whole
from .._errors import InvalidConfig, InvalidFrame, UnsupportedFeature
from .._media.av import import_av
from .._media.containers import AUDIO_ENCODERS
from .packet_thread import Coded

CODECS = {"aac": "aac", "opus": "libopus", "pcm": "pcm_s16le"}
"""FFmpeg's encoders."""
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"}
OPUS_RATE = 48_000
"""Opus counts in this rate alone."""
AAC_PRIMING = 1024
"""Samples that FFmpeg's encoder puts before the first."""
GLOBAL_HEADER = 1 << 22
BITS_A_CHANNEL = 96_000
PCM_PACKET = Fraction(1, 10)
"""Seconds of sound in a packet of PCM."""
HOLDS_PCM = ("mp4", "mov", "matroska")
OUR_NAMES = {"aac": "aac", "libopus": "opus", "opus": "opus", "pcm_s16le": "pcm"}
"""What MP4 files hold, by FFmpeg's names of encoders and decoders."""


@dataclass(frozen=True, kw_only=True)
class SoundFormat:
    """What a container has to know about an audio stream. ``codec`` is FFmpeg's name of an encoder or a decoder."""

    codec: str
    rate: int
    channels: int
    description: bytes = b""
    """The AudioSpecificConfig of AAC, or the OpusHead."""
    priming: int = 0
    """Samples at the beginning that are not to be heard. The time of the first packet is minus that."""
    template: bytes = b""
    """A short file with such a stream, if its packets come from one."""

    def sample(self) -> bytes:
        """A short file with such a stream."""
        return self.template or _silence(self)


class SoundEncoder:
    """Encodes samples as they come, in pieces of any length."""

    def __init__(self, codec: str, rate: int, channels: int) -> None:
        if channels not in LAYOUTS:
            raise InvalidConfig(f"Expected 1 to 6 or 8 channels of sound, got {channels}.")
        self.given_rate, self.channels = whole("rate", rate, least=1, most=768_000), channels
        made_rate = OPUS_RATE if codec == "opus" else rate
        self._is_pcm = codec == "pcm"
        self._samples = 0
        self._context = None if self._is_pcm else _opened(CODECS[codec], made_rate, channels)
        description = b"" if self._context is None else bytes(self._context.extradata or b"")
        self.format = SoundFormat(
            codec=CODECS[codec],
            rate=made_rate,
            channels=channels,
            description=description,
            priming=AAC_PRIMING if codec == "aac" else 0,
        )

    def require_same(self, rate: int, channels: int) -> None:
        if (rate, channels) != (self.given_rate, self.channels):
            raise InvalidConfig(
                f"Expected sound of {self.given_rate} samples a second and {self.channels} channels, as at its "
                f"beginning, got {rate} and {channels}. Resample it."
            )

    def encode(self, samples: Any) -> Iterator[Coded]:
        """The packets that are finished. ``samples``: what ``as_samples`` returned."""
        step = max(int(self.given_rate * PCM_PACKET), 1) if self._is_pcm else self.given_rate
        for first in range(0, len(samples), step):
            piece = samples[first : first + step]
            if self._is_pcm:
                yield self._raw(piece)
            else:
                yield from self._compressed(piece)

    def finish(self) -> Iterator[Coded]:
        if self._context is not None:
            yield from map(self._made, self._context.encode(None))

    def _raw(self, samples: Any) -> Coded:
        import numpy as np

        if samples.dtype.kind == "f":
            samples = np.clip(np.rint(samples * 32768), -32768, 32767)
        at, self._samples = self._samples, self._samples + len(samples)
        return Coded("sound", samples.astype("<i2").tobytes(), at, at, True, len(samples))

    def _compressed(self, samples: Any) -> Iterator[Coded]:
        import numpy as np

        av = import_av()
        if samples.dtype.kind != "f":
            samples = samples.astype(np.float32) / 32768
        planes = np.ascontiguousarray(samples.T, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=LAYOUTS[self.channels])
        frame.sample_rate, frame.pts, frame.time_base = self.given_rate, self._samples, Fraction(1, self.given_rate)
        self._samples += len(samples)
        assert self._context is not None
        yield from map(self._made, self._context.encode(frame))

    def _made(self, packet: Any) -> Coded:
        base = Fraction(packet.time_base.numerator, packet.time_base.denominator)
        at = round(packet.pts * base * self.format.rate)
        length = round((packet.duration or 0) * base * self.format.rate)
        return Coded("sound", bytes(packet), at, at, True, length)


def as_samples(samples: Any) -> Any:
    """Samples as an array (number, channels) of int16 or float32, from one axis or two in either order.

    Of two axes, the shorter one is that of the channels.
    """
    import numpy as np

    try:
        array = np.asarray(samples)
    except Exception as error:
        raise InvalidFrame(f"Expected an array of samples, got a {type(samples).__name__}: {error}") from error
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.dtype.kind not in "if" or array.dtype == np.int8:
        raise InvalidFrame(
            "Expected samples (number,), (number, channels) or (channels, number) of int16, or of floats from -1 to 1, "
            f"got shape {array.shape} of {array.dtype}."
        )
    if array.dtype.kind == "i" and array.dtype.itemsize != 2:
        raise InvalidFrame(
            f"Expected samples of int16 or of floats from -1 to 1, got {array.dtype}. Convert them first."
        )
    if array.shape[0] < array.shape[1]:
        array = array.T
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def codec_for(wanted: str, container: str) -> str:
    """The codec of the sound: ``"auto"`` is what the container usually holds, and PCM without PyAV."""
    one_of("audio", wanted, {name: name for name in ("auto", *CODECS)})
    if container == "stream":
        raise InvalidConfig("An elementary stream holds no sound. Use a name that ends with .mp4, .mkv or .mov.")
    if wanted == "pcm" and container not in HOLDS_PCM:
        raise InvalidConfig(f"audio='pcm' does not work with {container}. Use audio='opus' or .mp4, .mov or .mkv.")
    if wanted != "auto":
        return wanted
    try:
        import_av()
    except UnsupportedFeature:
        return "pcm"
    return "opus" if AUDIO_ENCODERS[container] == "libopus" else "aac"


def passed_on(
    packets: Iterable[Any], codec: str | None, rate: int | None, channels: int | None, description: bytes
) -> tuple[SoundFormat, Iterator[Coded]]:
    """The format of encoded packets, and the packets: frames of PyAV, or tuples (data, pts, duration) in samples."""
    packets = iter(packets)
    first = next(packets, None)
    if first is None:
        raise InvalidConfig("Expected at least one packet of sound, got none.")
    if hasattr(first, "stream") and hasattr(first, "dts"):
        form = _format_of_stream(first)
    elif codec is None or rate is None or channels is None:
        raise InvalidConfig("Packets of sound as tuples need codec, rate and channels. Packets of PyAV tell them.")
    else:
        one_of("codec", codec, CODECS)
        form = SoundFormat(
            codec=CODECS[codec], rate=whole("rate", rate, least=1), channels=channels, description=description
        )
    form = replace(form, priming=max(-_coded(first, form.rate).pts, 0) if "opus" not in form.codec else 0)
    return form, (_coded(packet, form.rate) for packet in _all_of(first, packets))


def _all_of(first: Any, others: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from others


def _coded(packet: Any, rate: int) -> Coded:
    if isinstance(packet, tuple):
        data, pts, duration = packet
        return Coded("sound", bytes(data), index(pts), index(pts), True, index(duration))
    base = Fraction(packet.time_base.numerator, packet.time_base.denominator)
    at, length = round((packet.pts or 0) * base * rate), round((packet.duration or 0) * base * rate)
    return Coded("sound", bytes(packet), at, at, True, length)


def _format_of_stream(packet: Any) -> SoundFormat:
    context = packet.stream.codec_context
    return SoundFormat(
        codec=context.codec.name,
        rate=context.sample_rate,
        channels=context.layout.nb_channels,
        description=bytes(context.extradata or b""),
        template=_copy_of_stream(packet),
    )


def _copy_of_stream(packet: Any) -> bytes:
    av, file = import_av(), BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream_from_template(packet.stream, opaque=True)
        copied = av.Packet(bytes(packet))
        copied.stream, copied.pts, copied.dts, copied.time_base = stream, 0, 0, packet.time_base
        container.mux_one(copied)
    return file.getvalue()


def _silence(form: SoundFormat) -> bytes:
    import numpy as np

    av, file = import_av(), BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(form.codec, rate=form.rate, layout=LAYOUTS[form.channels])
        format_name = stream.codec_context.format.name
        kind = np.int16 if format_name.startswith("s16") else np.float32
        shape = (form.channels, 4096) if format_name.endswith("p") else (1, 4096 * form.channels)
        frame = av.AudioFrame.from_ndarray(np.zeros(shape, kind), format=format_name, layout=LAYOUTS[form.channels])
        frame.sample_rate = form.rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _opened(codec: str, rate: int, channels: int) -> Any:
    av = import_av()
    context = av.CodecContext.create(codec, "w")
    context.sample_rate, context.layout = rate, LAYOUTS[channels]
    context.format = context.codec.audio_formats[0]
    context.bit_rate = BITS_A_CHANNEL * channels
    context.time_base = Fraction(1, rate)
    context.flags |= GLOBAL_HEADER
    try:
        context.open()
    except Exception as error:
        raise InvalidConfig(
            f"{codec} does not take {rate} samples a second and {channels} channels: {error}. Resample the sound, for "
            "example to 48000."
        ) from error
    return context
