"""Fragmented MP4 and CMAF as bytes, for Media Source Extensions and for servers."""

from __future__ import annotations

from collections.abc import Sequence

from .fragment import take_fragment
from .movie import file_type, fragmented_movie
from .track_input import TrackInput, input_at, inputs_of
from .tracks import AudioTrack, VideoTrack


class Fragments:
    """An init segment, then media segments. Each has what was added since the last one.

    ::

        video = VideoTrack(codec="h264", header=header, width=1280, height=720, time_base=Fraction(1, 60))
        fragments = Fragments([video])
        send(fragments.init_segment())
        for packet in packets:
            fragments.add(0, packet.data, packet.pts, packet.dts, packet.keyframe, duration=1)
            send(fragments.take())

    Args:
        tracks: a VideoTrack and AudioTracks, in any order.
    """

    def __init__(self, tracks: Sequence[VideoTrack | AudioTrack]) -> None:
        self._inputs: list[TrackInput] = inputs_of(tracks)
        self._number = 0
        kind = "video" if any(isinstance(track, VideoTrack) for track in tracks) else "audio"
        self.mime_type = f'{kind}/mp4; codecs="{", ".join(track.codec_string for track in tracks)}"'
        """The MIME type for ``MediaSource.isTypeSupported`` and ``addSourceBuffer``."""

    def init_segment(self) -> bytes:
        """What a player needs before any media segment. HDR metadata is in it if a track says so, or if the first
        packet that has it was added before."""
        headers = [one.header() for one in self._inputs]
        return file_type(headers, fragmented=True) + fragmented_movie(headers)

    def add(self, track: int, data: bytes, pts: int, dts: int, keyframe: bool, duration: int = 0) -> None:
        """Takes the next packet of a track in coding order.

        Args:
            track: its place in ``tracks``, from 0.
            data: Annex B, OBUs, or a packet of sound.
            pts, dts: when it is shown and when it is decoded, in units of the track's time base.
            duration: in the same unit. Without it, a packet lasts until the next one, and the last packet of a segment
                as long as the one before it.
        """
        input_at(self._inputs, track).add(data, pts, dts, keyframe, duration)

    def take(self) -> bytes:
        """A media segment of all packets that were added since the last one. Nothing was added: no bytes."""
        for one in self._inputs:
            one.settle()
        fragment = take_fragment(self._inputs, self._number + 1)
        if fragment is None:
            return b""
        self._number += 1
        return b"".join(fragment.pieces())
