"""Numbers of a writer, for whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WriterStatistics:
    """Numbers of a writer, at one moment."""

    frames: int
    """Written by the caller, without those that were dropped."""
    dropped: int
    encoded: int
    """Frames whose packets have come out of the encoder."""
    waiting: int
    """Frames in the queue before the encoder."""
    bytes: int
    """Written to the file."""
    seconds: float
    """How long the video is so far."""
