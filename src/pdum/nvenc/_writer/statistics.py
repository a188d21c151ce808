"""The statistics of a writer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WriterStatistics:
    """The numbers of a writer at one moment."""

    frames: int
    """Frames that the caller wrote, without those that were dropped."""
    dropped: int
    encoded: int
    """Frames whose packets have come out of the encoder."""
    waiting: int
    """Frames in the queue before the encoder."""
    bytes: int
    """Bytes written to the file."""
    seconds: float
    """How long the video is so far."""
