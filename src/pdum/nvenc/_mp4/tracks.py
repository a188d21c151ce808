"""The description of a track, which is known before its first packet."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from .._config.settings import whole
from .._errors import InvalidConfig
from .bits import BitReader
from .codec_string import DESCRIBE, codec_string

if TYPE_CHECKING:
    from .._config.colour import Colour
    from .._config.hdr import ContentLight, MasteringDisplay

AUDIO_CODECS = ("aac", "opus", "pcm")
AUDIO_STRINGS = {"opus": "opus", "pcm": "sowt"}
EXTENDED_TYPE = 31
OPUS_RATE = 48_000
PCM_BYTES = 2
LARGEST_SIZE = 0xFFFF
LARGEST_RATE = 0xFFFF
"""Hz. The field for the rate of PCM has 16 bits."""


@dataclass(frozen=True, kw_only=True)
class VideoTrack:
    """Video in H.264, HEVC or AV1. Its packets are Annex B or OBUs, as encoders give them.

    Colour, pixel shape, views and HDR metadata come from the header and the first packet, unless they are given here.
    """

    codec: str
    header: bytes
    """The parameter sets in Annex B's form, or the sequence header OBU: what ``sequence_header()`` returns."""
    width: int
    height: int
    time_base: Fraction
    """The unit of the packets' times, in seconds."""
    sample_aspect_ratio: Fraction | None = None
    colour: Colour | None = None
    mastering_display: MasteringDisplay | None = None
    content_light: ContentLight | None = None
    stereo: bool | None = None
    """Whether HEVC's packets have a view for each eye, the left one first (MV-HEVC). None: as the first packet says."""

    @property
    def codec_string(self) -> str:
        """The stream's name for browsers and manifests, such as ``avc1.64002a``."""
        return codec_string(self.codec, self.header)

    def __post_init__(self) -> None:
        if self.codec not in DESCRIBE:
            raise InvalidConfig(f"Expected one of {', '.join(DESCRIBE)}, got codec={self.codec!r}.")
        if self.stereo and self.codec != "hevc":
            raise InvalidConfig(f"stereo=True does not work with codec={self.codec!r}: two views are a part of HEVC.")
        whole("width", self.width, least=1, most=LARGEST_SIZE)
        whole("height", self.height, least=1, most=LARGEST_SIZE)
        _require_positive("time_base", self.time_base)
        if self.sample_aspect_ratio is not None:
            _require_positive("sample_aspect_ratio", self.sample_aspect_ratio)


@dataclass(frozen=True, kw_only=True)
class AudioTrack:
    """Sound in AAC, Opus or PCM (16 bits, little-endian, channels interleaved). The unit of times is a sample."""

    codec: str
    rate: int
    channels: int
    description: bytes = b""
    """AAC: the AudioSpecificConfig. Opus: the OpusHead. FFmpeg calls them extradata."""
    language: str = "und"
    """Three lowercase letters (ISO 639-2)."""
    priming: int = 0
    """Samples at the beginning that are not to be heard. The first packet's time is minus this number. Opus says it in
    its description."""

    def __post_init__(self) -> None:
        if self.codec not in AUDIO_CODECS:
            raise InvalidConfig(f"Expected one of {', '.join(AUDIO_CODECS)}, got codec={self.codec!r}.")
        whole("rate", self.rate, least=1, most=LARGEST_RATE if self.codec == "pcm" else 1 << 20)
        whole("channels", self.channels, least=1, most=255)
        whole("priming", self.priming)
        letters = self.language.encode("ascii", "replace")
        if len(letters) != 3 or not letters.isalpha() or not letters.islower():
            raise InvalidConfig(f"Expected three lowercase letters such as 'eng', got language={self.language!r}.")
        _require_description(self)

    @property
    def time_base(self) -> Fraction:
        return Fraction(1, self.rate)

    @property
    def codec_string(self) -> str:
        """The stream's name for browsers and manifests, such as ``mp4a.40.2``."""
        return f"mp4a.40.{_object_type(self.description)}" if self.codec == "aac" else AUDIO_STRINGS[self.codec]


def _object_type(config: bytes) -> int:
    """The kind of AAC in an AudioSpecificConfig."""
    reader = BitReader(config, "AudioSpecificConfig")
    found = reader.bits(5)
    return 32 + reader.bits(6) if found == EXTENDED_TYPE else found


def _require_positive(name: str, value: object) -> None:
    if not isinstance(value, Fraction) or value <= 0:
        raise InvalidConfig(f"Expected a Fraction above 0, got {name}={value!r}.")


def _require_description(track: AudioTrack) -> None:
    if track.codec == "aac" and len(track.description) < 2:
        raise InvalidConfig(
            f"Expected AAC's AudioSpecificConfig, got description={track.description!r}. It is the encoder's extradata."
        )
    if track.codec != "opus":
        return
    if track.description[:8] != b"OpusHead" or len(track.description) < 19:
        raise InvalidConfig(
            f"Expected an OpusHead, got description={track.description!r}. It is the encoder's extradata."
        )
    if track.rate != OPUS_RATE:
        raise InvalidConfig(f"Expected rate={OPUS_RATE}, the rate of all Opus streams, got rate={track.rate}.")
