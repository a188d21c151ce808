"""The public live encoder: frames in, packets out, at the pace of the viewers."""

from __future__ import annotations

import os
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

from .._config.settings import bits, one_of
from .._errors import EncoderClosed, InvalidFrame, NvencError
from .exchange import Exchange, OfferedFrame
from .frames import single_picture
from .offered_frames import OfferThread, kept
from .pacing import Pacing
from .packet_stream import PacketStream
from .settings import LiveSettings

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from .._config import choices
    from .._config.encoder_fields import LiveEncoderFields
    from .._config.picture import PictureOptions
    from .._config.settings import Bits, FrameRate
    from .._encoders.aio import Worker
    from .packet import LivePacket
    from .statistics import LiveStatistics

MICROSECONDS = 1_000_000


class LiveEncoder:
    """Encodes frames for viewers who see them now.

    ::

        with LiveEncoder(fps=60, bitrate=8_000_000) as live:
            for frame in frames:                         # CuPy, PyTorch, NumPy, …; RGB by its shape
                for packet in live.submit(frame):
                    send(packet)                         # packet.data, .seq, .timestamp, .keyframe, .codec

    Frames may change their size at any time. The stream has a key frame at its beginning, after each change of
    size, and whenever somebody needs one: ``request_keyframe()`` for a viewer who joins, ``lost(seq)`` for one who
    missed a packet, if the card cannot repair that with less. ``feedback`` controls the bitrate.

    There are two ways to give it frames. ``submit`` encodes in the calling thread and returns the packets
    (``submit_async`` for asyncio). ``offer`` gives the frame to a thread and returns at once; iterate over the
    encoder to get the packets (``for packet in live`` or ``async for packet in live``). If frames are offered faster
    than they can be encoded and sent, the latest one is encoded, and the others are dropped. Packets are never dropped.

    All methods may be called in any thread. ``feedback``, ``lost`` and ``request_keyframe`` never wait for the encoder.

    Args:
        max_size: the largest width and height that frames will probably have. Up to it, a card changes the size in
            its running session. Larger frames work, too, with another session.
        codec: ``"h264"``, ``"hevc"`` or ``"av1"``.
        fps: about how many frames a second there will be.
        bitrate: the highest rate of the stream in bits a second; 0: what fits the size and ``fps``.
        min_bitrate: the lowest rate to which ``feedback`` goes; 0: a twentieth of the highest.
        start_bitrate: the rate at the beginning, for links that may not take the highest rate; 0: the highest.
        pipeline_depth: how many frames may stay in the encoder while the next ones are made. Each of
            them delays all packets by one frame. 0: each call returns the packet of its own frame.
        max_in_flight: how many packets may be on their way (sent, and neither ``acked`` nor ``lost``). Beyond that,
            frames are dropped. None: no limit before the first ``acked``, then as many as a round trip takes.
        keyframe_spacing: the least time between two requested key frames, in seconds. An earlier request waits.
        backend: ``"nvenc"``, ``"software"`` (the processor), or ``"auto"``: hardware if there is any.
        gpu_id: the GPU, as CUDA counts.
        fields: further fields of ``EncoderConfig``, such as ``preset``, ``tuning``, ``format="nv12"``, ``qp_map``,
            ``intra_refresh_period``. Without ``colour`` the stream is BT.709, or BT.601 with
            ``"argb"`` and the like, which the engine converts itself. ``gop`` is 0 (a key frame only if somebody needs
            one) if it is None or not given.

    Raises:
        InvalidConfig: a setting is wrong. The first frame raises what the card refuses.
    """

    def __init__(
        self,
        max_size: tuple[int, int] | None = None,
        codec: choices.Codec = "h264",
        *,
        fps: FrameRate = 60,
        bitrate: Bits = 0,
        min_bitrate: Bits = 0,
        start_bitrate: Bits = 0,
        pipeline_depth: int = 0,
        max_in_flight: int | None = None,
        keyframe_spacing: float = 0.25,
        backend: choices.EngineKind = "auto",
        gpu_id: int = 0,
        **fields: Unpack[LiveEncoderFields],
    ) -> None:
        self._made_in = os.getpid()
        self._exchange = Exchange()
        self._settings = LiveSettings(
            max_size=max_size,
            codec=codec,
            fps=fps,
            bitrate=bits("bitrate", bitrate),
            min_bitrate=bits("min_bitrate", min_bitrate),
            start_bitrate=bits("start_bitrate", start_bitrate),
            pipeline_depth=pipeline_depth,
            gpu_id=gpu_id,
            fields=dict(fields),
        )
        one_of("backend", backend, {name: name for name in ("auto", "nvenc", "software")})
        self._pacing = Pacing(self._settings, max_in_flight, keyframe_spacing)
        self._stream = PacketStream(self._settings, backend, self._pacing)
        self._starting = Lock()  # held while a thread is started
        self._start = monotonic()
        self._closed = False
        self._way: str | None = None
        self._thread: OfferThread | None = None
        self._worker: Worker | None = None

    def submit(
        self,
        frame: Any,
        timestamp: int | None = None,
        *,
        stream: Any = None,
        picture: PictureOptions | None = None,
    ) -> list[LivePacket]:
        """Encodes a frame, and returns the packets that are ready.

        That is the packet of this frame, or of an earlier one with ``pipeline_depth``, or none if the frame was dropped
        because too many packets are in flight.

        Args:
            frame: an array on the GPU or the host, an ``av.VideoFrame`` or a PIL image. Its memory may be used again at
                once; a GPU's, in the order of the stream on which it was made.
            timestamp: microseconds, as WebCodecs counts; any whole number. None: since the encoder was made.
            stream: the CUDA stream on which the frame is made, if the frame does not name it.
            picture: options of this picture.

        Raises:
            InvalidFrame: it is not a frame. Nothing has changed.
            NvencError: what opening an encoder for the first frame, or for another size, raises.
        """
        self._go("submit")
        return self._stream.encode(self._given(frame, timestamp, stream, picture), is_bounded=True)

    async def submit_async(
        self,
        frame: Any,
        timestamp: int | None = None,
        *,
        stream: Any = None,
        picture: PictureOptions | None = None,
    ) -> list[LivePacket]:
        """``submit`` for asyncio: the event loop runs on while the frame is encoded. Leave the frame alone until then.

        If it is cancelled, the frame is encoded anyway, and its packet comes with the next call.
        """
        from .._encoders.aio import stream_here

        self._go("submit")
        given = self._given(frame, timestamp, stream_here(frame, stream), picture)
        call = cast("Any", lambda: self._stream.encode(given, is_bounded=True))
        return cast("list[LivePacket]", await self._started_worker().run(call))

    def offer(
        self,
        frame: Any,
        timestamp: int | None = None,
        *,
        stream: Any = None,
        picture: PictureOptions | None = None,
        copy: bool = True,
    ) -> None:
        """Gives a frame to the encoder's thread, and returns at once. A frame that still waits is dropped.

        Its packet comes by iterating over the encoder. An error with an earlier frame is raised both here and there.

        Args:
            copy: False: the frame is not copied. Give each frame memory of its own then. Frames for which a ``stream``
                is named are not copied either.
        """
        self._go("offer")
        given = self._given(frame, timestamp, stream, picture)
        if copy:
            given = kept(given, is_on_processor=self._stream.is_on_processor)
        with self._starting:
            if self._thread is None and not self._closed:
                self._thread = OfferThread(self._stream, self._pacing, self._exchange)
        self._exchange.offer(given)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LivePacket:
        """Waits for the next packet of the offered frames. Ends once the encoder is closed and all were taken."""
        self._require_own_process()
        packet = self._exchange.take()
        if packet is None:
            raise StopIteration
        return packet

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LivePacket:
        self._require_own_process()
        packet = await self._exchange.take_async()
        if packet is None:
            raise StopAsyncIteration
        return packet

    def request_keyframe(self) -> None:
        """Makes the next frame a key frame, for a viewer who joins or restarts. Simultaneous requests share one.

        Earlier packets do not count as in flight any more, because nobody will acknowledge them.
        """
        self._require_open()
        self._pacing.request_key_frame()
        self._exchange.answered()

    def lost(self, seq: int) -> None:
        """Reports that a packet has not reached its viewer. The next frame repairs the picture as cheaply as possible.

        A card with reference invalidation lets it refer to a picture before the lost one. A stream with intra refresh
        is repaired by the wave that comes anyway. Otherwise the next frame is a key frame. Further reports of the same
        packet, and of any before the last key frame, change nothing.
        """
        self._require_open()
        self._stream.lost(seq)
        self._exchange.answered()

    def feedback(self, *, rtt: float | None = None, acked: int | None = None, bandwidth: float | None = None) -> None:
        """Reports what a viewer answers. The bitrate follows from the next frame on.

        Args:
            acked: the packet of this seq has arrived, and those before it have, or never will. Called for each packet,
                it is all that the bitrate needs.
            rtt: seconds of a round trip, if something else has measured it.
            bandwidth: the viewer's estimate of its link in bits a second (WebRTC's REMB).
        """
        self._require_open()
        self._pacing.heard(monotonic(), rtt, acked, bandwidth)
        self._exchange.answered()

    def flush(self) -> list[LivePacket]:
        """Returns the packets of the frames that ``pipeline_depth`` has left in the encoder.

        After ``offer``, it waits until the last offered frame has been encoded. Iteration returns its packets;
        this call returns none.
        """
        self._require_open()
        if self._way == "offer":
            self._exchange.wait_until_idle()
        packets = self._stream.flush()
        if self._way != "offer":
            return packets
        self._exchange.add(packets)
        return []

    async def flush_async(self) -> list[LivePacket]:
        """``flush`` for asyncio, with what cancelled calls have left."""
        self._require_open()
        call = cast("Any", self.flush)
        return cast("list[LivePacket]", await self._started_worker().run(call))

    def close(self) -> None:
        """Ends the encoder, in any thread. The frame that waits for its turn is dropped, and so are those that
        ``pipeline_depth`` has left; ``flush`` first if they matter. Packets that wait can still be taken."""
        if self._made_in != os.getpid():
            return
        with self._starting:
            self._closed = True
            worker, thread = self._worker, self._thread
        self._exchange.end()
        if thread is not None:
            thread.join()
        if worker is not None:
            worker.end()
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        """Ends the thread of an encoder that was not closed. In a forked child, its locks may be held forever."""
        if getattr(self, "_made_in", None) == os.getpid() and hasattr(self, "_exchange"):
            self._exchange.end()

    @property
    def codec_string(self) -> str | None:
        """The codec's name for browsers, for a viewer who joins. None before the first key frame."""
        return self._stream.codec_string

    @property
    def notices(self) -> tuple[str, ...]:
        """The warnings that the user has got, such as that the processor encodes."""
        return self._stream.notices

    @property
    def statistics(self) -> LiveStatistics:
        return self._stream.statistics(self._exchange.replaced)

    def _given(self, frame: Any, timestamp: int | None, stream: Any, picture: PictureOptions | None) -> OfferedFrame:
        fields = self._settings.fields
        frame, layout = single_picture(frame, fields.get("format"), fields.get("chroma", "auto"))
        return OfferedFrame(frame, layout, self._timestamp(timestamp), stream, picture)

    def _timestamp(self, given: int | None) -> int:
        if given is None:
            return round((monotonic() - self._start) * MICROSECONDS)
        index = getattr(given, "__index__", None)
        if index is None:
            raise InvalidFrame(f"Expected a whole number of microseconds, got timestamp={given!r}.")
        return int(index())

    def _go(self, way: str) -> None:
        """Packets that are returned and packets that wait would be mixed up."""
        self._require_open()
        if self._way not in (None, way):
            raise NvencError(
                f"{way}() does not work after {self._way}(): some packets would come by iteration and others not. Use "
                "one of them, or two encoders."
            )
        self._way = way

    def _started_worker(self) -> Worker:
        from .._encoders.aio import Worker

        with self._starting:
            self._require_open()
            if self._worker is None:
                self._worker = Worker()
            return self._worker

    def _require_open(self) -> None:
        self._require_own_process()
        if self._closed:
            raise EncoderClosed("The live encoder is closed. Make a new one.")

    def _require_own_process(self) -> None:
        """Call it before any lock is taken: a thread of the parent may have held it at the fork."""
        if self._made_in != os.getpid():
            raise EncoderClosed("The live encoder was made before this process was forked. Make one here.")
