"""Frames that wait for their turn: copies of them, and the thread that encodes them."""

from __future__ import annotations

from dataclasses import replace
from threading import Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING, Any

from .._encoders.aio import stream_here
from .._encoders.frame_layout import is_pyav_frame
from .._encoders.host_frames import copied_to_host

if TYPE_CHECKING:
    from .exchange import Exchange, OfferedFrame
    from .pacing import Pacing
    from .packet_stream import PacketStream


def kept(given: OfferedFrame, *, is_on_processor: bool) -> OfferedFrame:
    """The same frame in memory that its owner does not write to.

    Frames of PyAV are not copied, since FFmpeg writes none twice, nor are those for which a stream is named: their own
    library would copy them on another one.
    """
    frame = given.frame
    if is_pyav_frame(frame) or given.stream is not None:
        return given
    if given.layout.location == "gpu" and not is_on_processor:
        copied = _copied_by_its_library(frame)
        return replace(given, frame=copied, stream=stream_here(copied, None))
    return replace(given, frame=copied_to_host(frame))


def _copied_by_its_library(frame: Any) -> Any:
    """Objects that only lend their memory stay as they are, because nothing here can copy them."""
    copy = getattr(frame, "clone", None) or getattr(frame, "copy", None)
    return frame if copy is None else copy()


class OfferThread:
    """Encodes what is offered, until the exchange ends."""

    def __init__(self, stream: PacketStream, pacing: Pacing, exchange: Exchange) -> None:
        arguments = (stream, pacing, exchange)
        self._thread = Thread(target=_encode_offers, args=arguments, name="pdum.nvenc.live", daemon=True)
        self._thread.start()

    def join(self) -> None:
        if self._thread is not current_thread():
            self._thread.join()


def _encode_offers(stream: PacketStream, pacing: Pacing, exchange: Exchange) -> None:
    """It does not refer to the public encoder, which ends the exchange when nobody uses it any more."""
    while (given := exchange.next_frame(lambda: pacing.has_room(monotonic()))) is not None:
        try:
            exchange.encoded(stream.encode(given, is_bounded=False))
        except BaseException as error:
            exchange.encoded([], error)
        del given
