"""What an index says about a track besides its samples."""

from __future__ import annotations

from typing import NamedTuple


class TrackHeader(NamedTuple):
    number: int
    """From 1."""
    is_video: bool
    timescale: int
    sample_entry: bytes
    """The box stsd."""
    display_size: tuple[int, int] = (0, 0)
    """In pixels with equal sides, times 2**16."""
    language: str = "und"
    skipped: int = 0
    """How much later decode times are than presentation times, in the track's time scale."""
    roll: int = 0
    """Samples that a decoder takes in before its output is right."""
    fixed_size: int = 0
    """The size of every sample; 0 if they differ."""
    codec: str = ""
    """"h264", "hevc" or "av1" for video."""
