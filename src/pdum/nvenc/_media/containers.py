"""Each container: the suffixes of its files, and what it can hold."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from .._errors import InvalidConfig, UnsupportedFeature

CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
    ".m2ts": "mpegts",
}
"""FFmpeg's name of the container, by the suffix of a file."""
VIDEO_CODECS = {
    "mp4": ("h264", "hevc", "av1"),
    "mov": ("h264", "hevc"),
    "matroska": ("h264", "hevc", "av1"),
    "webm": ("av1",),
    "mpegts": ("h264", "hevc"),
}
"""Those of our codecs that a container can hold."""
WITH_TWO_VIEWS = ("mp4", "mov")
"""Those that say in a standard way which view of MV-HEVC is for which eye."""
WITH_ALPHA = ("mp4", "mov")
"""Those in which players look for the alpha of HEVC."""
AUDIO_ENCODERS = {"mp4": "aac", "mov": "aac", "matroska": "libopus", "webm": "libopus", "mpegts": "aac"}
SUBTITLE_CODECS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip"}
"""The codec for text subtitles."""
IN_MPEGTS = (
    *("aac", "mp2", "mp2float", "mp3", "mp3float", "ac3", "eac3", "dca", "truehd", "opus", "libopus"),
    *("dvbsub", "dvb_subtitle", "dvb_teletext", "pgssub", "hdmv_pgs_subtitle"),
    *("h264", "hevc", "mpeg2video", "mpeg4"),
)
"""Codecs that MPEG-TS can hold. Its muxer takes all others too, and calls them data."""
WITH_EDIT_LISTS = ("mp4", "mov")
"""Players do not show what lies before the beginning of these."""
IN_MILLISECONDS = ("matroska", "webm")
MILLISECOND = Fraction(1, 1000)
OF_MPEGTS = Fraction(1, 90_000)


def require_video_codec(name: str, container: str, codec: str) -> None:
    """Raises InvalidConfig if the container cannot hold the codec. ``name`` is the file, for the message."""
    holds = VIDEO_CODECS[container]
    if codec not in holds:
        raise InvalidConfig(
            f"{name!r} does not work with {codec}: its container, {container}, holds only {' and '.join(holds)}. "
            "Use .mp4 or .mkv, which hold every codec."
        )


def require_place_for_views(name: str, container: str) -> None:
    """Raises InvalidConfig if the container has no standard form for the views of both eyes."""
    if container not in WITH_TWO_VIEWS:
        raise InvalidConfig(
            f"{name!r} does not work with two views: its container, {container}, has no form for MV-HEVC that players "
            "know. Use .mp4, .mov or .h265."
        )


def require_place_for_alpha(name: str, container: str) -> None:
    """Raises InvalidConfig if players do not look for HEVC's alpha in the container."""
    if container not in WITH_ALPHA:
        raise InvalidConfig(
            f"{name!r} does not work with alpha: in its container, {container}, players do not look for HEVC's alpha. "
            "Use .mov or .mp4."
        )


def container_time_base(container: str, source: Fraction) -> Fraction:
    """The unit of times in a new file: the source's if the container can have it."""
    if container in IN_MILLISECONDS:
        return MILLISECOND
    return OF_MPEGTS if container == "mpegts" else Fraction(1, source.denominator)


def container_times(container: str, source: Fraction, times: Sequence[int]) -> list[int]:
    """The source's times, which ascend, in the container's unit.

    Raises:
        UnsupportedFeature: two of them are the same in it.
    """
    unit = container_time_base(container, source)
    factor = source / unit
    found = [nearest(time * factor) for time in times]
    for number in range(1, len(found)):
        if found[number] == found[number - 1]:
            apart = float((times[number] - times[number - 1]) * source)
            raise UnsupportedFeature(
                f"Frames {number - 1} and {number} are {apart * 1000:.3g} ms apart, but times in {container} are "
                f"multiples of {float(unit) * 1000:.3g} ms, so both would have the same. Use .mp4 or .mov."
            )
    return found


def nearest(value: Fraction) -> int:
    """Rounds halves away from zero, as FFmpeg does."""
    return int(value + Fraction(1, 2)) if value >= 0 else -int(-value + Fraction(1, 2))
