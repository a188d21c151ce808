"""One stream of packets without gaps, over as many encoders as it needs."""

from __future__ import annotations

import warnings
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from .._encoders.bitstreams import parameter_sets, sequence_obu
from .._errors import EncoderClosed
from .._mp4.codec_string import codec_string
from .current_encoder import CurrentEncoder
from .packet import LivePacket
from .statistics import LiveStatistics

if TYPE_CHECKING:
    from .._encoders.frame_layout import FrameLayout
    from .._nvenc import Packet
    from .exchange import OfferedFrame
    from .pacing import Pacing
    from .settings import LiveSettings


class PacketStream:
    """Encodes one frame at a time, each as the viewers' answers demand it."""

    def __init__(self, settings: LiveSettings, backend: str, pacing: Pacing) -> None:
        self._settings = settings
        self._pacing = pacing
        self._current = CurrentEncoder(settings, backend)
        self._lock = Lock()
        self._is_closed = False
        self._submitted: dict[int, tuple[int, int, int]] = {}  # time stamp, width and height by seq
        self._done: list[LivePacket] = []
        self._next_seq = 0
        self._last_key_frame = 0
        self._told: tuple[str, int, int] | None = None
        self._told_at: int | None = None  # the seq of the packet that had it
        self._size = (0, 0)
        self._warned = 0
        self._counts: dict[str, int] = dict.fromkeys(("key_frames", "held_back", "resized", "repaired", "bytes"), 0)

    @property
    def is_on_processor(self) -> bool:
        return self._current.is_on_processor

    @property
    def codec_string(self) -> str | None:
        return None if self._told is None else self._told[0]

    @property
    def notices(self) -> tuple[str, ...]:
        return self._current.notices

    def encode(self, given: OfferedFrame, *, is_bounded: bool) -> list[LivePacket]:
        """The packets that are ready now. ``is_bounded``: drop the frame if too many packets are on their way."""
        with self._lock:
            self._require_open()
            now = monotonic()
            if is_bounded and not self._pacing.has_room(now):
                self._counts["held_back"] += 1
                return self._taken()
            self._fit(given.layout, now)
            self._repair()
            self._submit(given, now)
            return self._taken()

    def lost(self, seq: int) -> None:
        """Does not wait for a frame that is being encoded. A lost packet that told the codec takes another key frame,
        even if there has been one since: that one did not tell it."""
        self._pacing.lost(seq, monotonic())
        if seq == self._told_at:
            self._told_at = None
            self._pacing.request_key_frame(is_urgent=True)

    def flush(self) -> list[LivePacket]:
        with self._lock:
            self._require_open()
            self._finish(self._current.flush())
            return self._taken()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._current.close()

    def statistics(self, replaced: int) -> LiveStatistics:
        now = monotonic()
        rtt, queue_delay = self._pacing.measured(now)
        config = self._current.config
        return LiveStatistics(
            **self._counts,
            encoded=self._next_seq,
            replaced=replaced,
            opened=self._current.opened,
            in_flight=self._pacing.in_flight(now),
            bitrate=config.bitrate if config is not None else 0,
            rtt=rtt,
            queue_delay=queue_delay,
            backend=None if config is None else "software" if self.is_on_processor else "nvenc",
            width=self._size[0],
            height=self._size[1],
        )

    def _fit(self, layout: FrameLayout, now: float) -> None:
        size = (layout.width, layout.height)
        if self._current.fit(layout, self._pacing.bitrate(*size), now, self._finish):
            self._is_key_frame(self._next_seq, now)
        self._counts["resized"] += self._size not in (size, (0, 0))
        self._size = size
        self._tell_notices()

    def _repair(self) -> None:
        for seq in self._pacing.take_losses():
            if seq >= self._next_seq:
                continue  # a packet that was not sent cannot be lost
            if self._current.repairs(seq, is_key_frame=seq == self._last_key_frame):
                self._counts["repaired"] += 1
            else:
                self._pacing.request_key_frame(is_urgent=True)

    def _submit(self, given: OfferedFrame, now: float) -> None:
        seq, is_due = self._next_seq, self._pacing.is_key_frame_due(now)
        self._submitted[seq] = (given.timestamp, given.layout.width, given.layout.height)
        try:
            packets = self._current.submit(
                given.frame, seq, force_idr=is_due, stream=given.stream, picture=given.picture
            )
        except BaseException:
            del self._submitted[seq]
            raise
        self._next_seq += 1
        if is_due:
            self._is_key_frame(seq, now)
        self._finish(packets)

    def _is_key_frame(self, seq: int, now: float) -> None:
        self._pacing.key_frame_made(seq, now)
        self._last_key_frame = seq

    def _finish(self, packets: list[Packet]) -> None:
        now = monotonic()
        for packet in packets:
            self._done.append(self._made(packet))
            self._pacing.sent(packet.seq, len(packet.data), now, is_key_frame=packet.keyframe)

    def _made(self, packet: Packet) -> LivePacket:
        timestamp, width, height = self._submitted.pop(packet.seq)
        if packet.keyframe:
            self._last_key_frame = max(self._last_key_frame, packet.seq)
        self._counts["bytes"] += len(packet.data)
        self._counts["key_frames"] += packet.keyframe
        return LivePacket(
            seq=packet.seq,
            timestamp=timestamp,
            data=packet.data,
            keyframe=packet.keyframe,
            codec=self._codec_to_tell(packet, width, height) if packet.keyframe else None,
            width=width,
            height=height,
            temporal_layer=packet.temporal_layer,
        )

    def _codec_to_tell(self, packet: Packet, width: int, height: int) -> str | None:
        """The codec string of a key frame, if viewers do not know it or the size yet."""
        codec, data = self._settings.codec_name, packet.data
        header = sequence_obu(data) if codec == "av1" else parameter_sets(data, codec)
        told = (codec_string(codec, header), width, height)
        if told == self._told and self._told_at is not None:
            return None
        self._told, self._told_at = told, packet.seq
        return told[0]

    def _taken(self) -> list[LivePacket]:
        packets, self._done = self._done, []
        return packets

    def _tell_notices(self) -> None:
        new, self._warned = self.notices[self._warned :], len(self.notices)
        for notice in new:
            warnings.warn(notice, RuntimeWarning, stacklevel=5)

    def _require_open(self) -> None:
        if self._is_closed:
            raise EncoderClosed("The live encoder is closed. Make a new one.")
