"""The public live encoder: frames in, packets out, at the pace of the viewers."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

from .._config.settings import one_of, whole
from .._encoders.bitstreams import parameter_sets, sequence_obu
from .._errors import EncoderClosed, InvalidFrame
from .._mp4.codec_string import codec_string
from .current_encoder import CurrentEncoder
from .frames import single_picture
from .losses import InFlight, KeyFrames
from .packet import LivePacket
from .settings import LiveSettings
from .statistics import LiveStatistics

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .._config import choices
    from .._config.settings import FrameRate
    from .._encoders.frame_layout import FrameLayout
    from .._nvenc import Packet

MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class _Submitted:
    """What the packet of a frame has to know of it."""

    timestamp: int
    width: int
    height: int


class LiveEncoder:
    """Encodes frames for viewers who see them now.

    ::

        with LiveEncoder(codec="h264", fps=60, bitrate=8_000_000) as live:
            for frame in frames:                         # CuPy, PyTorch, NumPy; RGB by its shape
                for packet in live.submit(frame):
                    send(packet)                         # packet.data, .seq, .timestamp, .keyframe, .codec

    The first packet is a key frame, and so is the one after a change of size. All others are made when somebody needs
    one: ``request_keyframe()`` for a viewer who joins, ``lost(seq)`` for one who missed a packet.
    """

    def __init__(
        self,
        max_size: tuple[int, int] | None = None,
        codec: choices.Codec = "h264",
        *,
        fps: FrameRate = 60,
        bitrate: int = 0,
        min_bitrate: int = 0,
        pipeline_depth: int = 0,
        max_in_flight: int | None = None,
        keyframe_spacing: float = 0.25,
        backend: choices.EngineKind = "auto",
        gpu_id: int = 0,
        **fields: Any,
    ) -> None:
        self._settings = LiveSettings(
            max_size=max_size,
            codec=codec,
            fps=fps,
            bitrate=bitrate,
            min_bitrate=min_bitrate,
            pipeline_depth=pipeline_depth,
            gpu_id=gpu_id,
            fields=fields,
        )
        one_of("backend", backend, {name: name for name in ("auto", "nvenc", "software")})
        self._max_in_flight = None if max_in_flight is None else whole("max_in_flight", max_in_flight, least=1)
        self._lock = RLock()
        self._made_in = os.getpid()
        self._start = time.monotonic()
        self._closed = False
        self._current = CurrentEncoder(self._settings, backend)
        self._key_frames = KeyFrames(keyframe_spacing)
        self._in_flight = InFlight(2.0)
        self._waiting: dict[int, _Submitted] = {}
        self._done: list[LivePacket] = []
        self._next_seq = 0
        self._told: tuple[str, int, int] | None = None
        self._size = (0, 0)
        self._counts: dict[str, int] = dict.fromkeys(("key_frames", "held_back", "resized", "repaired", "bytes"), 0)

    def submit(
        self, frame: Any, timestamp: int | None = None, *, stream: Any = None, picture: Any = None
    ) -> list[LivePacket]:
        """Encodes a frame now. Returns the packets that are ready."""
        with self._lock:
            self._require_usable()
            now = time.monotonic()
            form = self._settings.fields.get("format")
            frame, layout = single_picture(frame, form, self._settings.fields.get("chroma", "auto"))
            if self._is_full(now):
                self._counts["held_back"] += 1
                return self._taken()
            self._fit(layout)
            seq = self._next_seq
            force = self._key_frames.is_due(now)
            self._waiting[seq] = _Submitted(self._timestamp(timestamp, now), layout.width, layout.height)
            try:
                packets = self._current.submit(frame, seq, force_idr=force, stream=stream, picture=picture)
            except BaseException:
                del self._waiting[seq]
                raise
            self._next_seq += 1
            self._in_flight.sent(seq, now)
            if force:
                self._key_frames.made(seq, now)
            self._finish(packets)
            return self._taken()

    def request_keyframe(self) -> None:
        """Makes the next frame a key frame, for a viewer who joins. Requests that come together share one."""
        with self._lock:
            self._require_usable()
            self._key_frames.request()
            self._in_flight.forget()

    def lost(self, seq: int) -> bool:
        """That packet has not reached its viewer. Returns whether the stream goes on without a key frame."""
        with self._lock:
            self._require_usable()
            number = whole("seq", seq)
            self._in_flight.lost(number)
            if self._key_frames.is_healed(number):
                return True
            if self._current.lost(number):
                self._counts["repaired"] += 1
                return True
            self._key_frames.request(is_urgent=True)
            return False

    def flush(self) -> list[LivePacket]:
        """Returns the packets of the frames that ``pipeline_depth`` has left in flight."""
        with self._lock:
            self._require_usable()
            self._finish(self._current.flush())
            return self._taken()

    def close(self) -> None:
        """Ends the encoder. Packets that were not taken are lost."""
        if self._made_in != os.getpid():
            return
        with self._lock:
            self._closed = True
            self._current.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def codec_string(self) -> str | None:
        """The stream's codec as browsers name it; None before the first key frame."""
        return None if self._told is None else self._told[0]

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know, such as that the processor encodes."""
        return self._current.notices

    @property
    def statistics(self) -> LiveStatistics:
        with self._lock:
            is_open = self._current.config is not None
            return LiveStatistics(
                **self._counts,
                encoded=self._next_seq,
                opened=self._current.opened,
                in_flight=self._in_flight.count(time.monotonic()),
                bitrate=self._current.config.bitrate if self._current.config else 0,
                backend=("nvenc" if self._current.is_hardware else "software") if is_open else None,
                width=self._size[0],
                height=self._size[1],
            )

    def _fit(self, layout: FrameLayout) -> None:
        size = (layout.width, layout.height)
        packets, starts_anew = self._current.fit(layout, self._settings.highest_bitrate(*size))
        self._finish(packets)
        if starts_anew:
            self._key_frames.made(self._next_seq, time.monotonic())
        self._counts["resized"] += self._size not in (size, (0, 0))
        self._size = size

    def _finish(self, packets: list[Packet]) -> None:
        self._done += [self._live(packet) for packet in packets]

    def _live(self, packet: Packet) -> LivePacket:
        made = self._waiting.pop(packet.seq)
        self._counts["bytes"] += len(packet.data)
        self._counts["key_frames"] += packet.keyframe
        codec = self._codec_of(packet, made) if packet.keyframe else None
        return LivePacket(
            seq=packet.seq,
            timestamp=made.timestamp,
            data=packet.data,
            keyframe=packet.keyframe,
            codec=codec,
            width=made.width,
            height=made.height,
        )

    def _codec_of(self, packet: Packet, made: _Submitted) -> str | None:
        """The codec string, if the viewer does not know it or the size yet."""
        codec = self._settings.codec_name
        data = packet.data
        header = sequence_obu(data) if codec == "av1" else parameter_sets(data, codec)
        told = (codec_string(codec, header), made.width, made.height)
        if told == self._told:
            return None
        self._told = told
        return told[0]

    def _taken(self) -> list[LivePacket]:
        packets, self._done = self._done, []
        return packets

    def _is_full(self, now: float) -> bool:
        return self._max_in_flight is not None and self._in_flight.count(now) >= self._max_in_flight

    def _timestamp(self, given: int | None, now: float) -> int:
        if given is None:
            return round((now - self._start) * MICROSECONDS)
        index = getattr(given, "__index__", None)
        if index is None:
            raise InvalidFrame(f"Expected a whole number of microseconds, got timestamp={given!r}.")
        return int(index())

    def _require_usable(self) -> None:
        if self._closed:
            raise EncoderClosed("The live encoder is closed. Make a new one.")
        if self._made_in != os.getpid():
            raise EncoderClosed("The live encoder was made before this process was forked. Make one here.")
