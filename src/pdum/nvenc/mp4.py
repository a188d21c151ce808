"""MP4 without FFmpeg: files, fragments, codec strings, and repair."""

from __future__ import annotations

from ._mp4.codec_string import codec_string
from ._mp4.fragments import Fragments
from ._mp4.mp4_file import Mp4File
from ._mp4.repair import RepairReport, repair
from ._mp4.tracks import AudioTrack, VideoTrack

__all__ = ["AudioTrack", "Fragments", "Mp4File", "RepairReport", "VideoTrack", "codec_string", "repair"]
