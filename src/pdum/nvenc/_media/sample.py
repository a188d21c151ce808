"""Decodes the first packets of a range while the rest is encoded, so nothing waits for it at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from .._encoders.bitstreams import DECODERS
from .._errors import VerificationFailed
from .alpha_check import complaint
from .av import import_av
from .background import BackgroundCall

if TYPE_CHECKING:
    from .._nvenc import Packet
    from .._tasks import PieceSink

SAMPLED = 4
"""Frames that are decoded: a key frame, and some that refer to it."""


def wrong(what: str) -> VerificationFailed:
    return VerificationFailed(f"The result is wrong and was discarded: {what}")


def has_decoder(codec: str) -> bool:
    """Without it, a stream can still be decodable from a file: FFmpeg chooses another decoder then."""
    return DECODERS[codec] in import_av().codecs_available


def decoded(
    codec: str, packets: Iterable[bytes], *, threads: int = 0, strict: bool = False, views: int = 1
) -> Iterator[Any]:
    """The pictures of a stream in display order. ``strict``: damage raises an error of FFmpeg's. ``views``: 2 for those
    of both eyes in turn."""
    av = import_av()
    context: Any = av.CodecContext.create(DECODERS[codec], "r")
    context.thread_count = threads
    context.options = {**({"err_detect": "explode"} if strict else {}), **({"view_ids": "-1"} if views > 1 else {})}
    for data in packets:
        yield from context.decode(av.Packet(data))
    yield from context.decode(None)


def require_alpha(
    packets: Iterable[tuple[int, bytes]], taken: Mapping[int, Any], interrupted: Callable[[], None] = lambda: None
) -> None:
    """Raises VerificationFailed unless the packets have the alpha that was taken from the source."""
    found = complaint(packets, taken, interrupted)
    if found is not None:
        raise wrong(found)


class SampledSink:
    """Passes packets to the sink of a piece, and decodes the first ones in another thread.

    Args:
        views: how many pictures each packet holds: 2 for both eyes.
        alpha: returns what the encoder got as alpha (``AlphaTaken.of``), if each packet has a layer of it.
    """

    def __init__(
        self,
        sink: PieceSink,
        first: int,
        codec: str,
        views: int = 1,
        alpha: Callable[[], Mapping[int, Any]] | None = None,
    ) -> None:
        self.first = first
        self.is_whole = False
        self._sink = sink
        self._codec = codec
        self._views, self._alpha = views, alpha
        self._packets: list[tuple[int, bytes]] = []
        self._sample: BackgroundCall[None] | None = None
        self._is_wanted = True

    def write(self, packets: Sequence[Packet]) -> None:
        if self._sample is None:
            self._packets += [(packet.seq, packet.data) for packet in packets[: SAMPLED - len(self._packets)]]
            if len(self._packets) == SAMPLED:
                self._sample = BackgroundCall(self._decode)
        self._sink.write(packets)

    def complete(self, last: int, header: bytes) -> int:
        if self._sample is None:
            self._sample = BackgroundCall(self._decode)
        size = self._sink.complete(last, header)
        self.is_whole = True
        return size

    def discard(self) -> None:
        self._sink.discard()

    def require(self) -> None:
        """Waits for the thread of a complete piece. Raises VerificationFailed if frames are missing."""
        assert self._sample is not None
        self._sample.answer()

    def stop(self) -> None:
        """Stops the thread, if there is one, and waits until it is done with its packet."""
        self._is_wanted = False
        if self._sample is not None:
            self._sample.undo(lambda _: None)

    def _decode(self) -> None:
        av, found = import_av(), 0
        try:
            wanted = takewhile(lambda _: self._is_wanted, (data for _, data in self._packets))
            for frame in decoded(self._codec, wanted, threads=1, strict=True, views=self._views):
                found += not frame.is_corrupt
        except av.error.FFmpegError as error:
            raise self._missing(found) from error
        if found < len(self._packets) * self._views:
            raise self._missing(found)
        if self._alpha is not None:
            require_alpha(self._packets, self._alpha())

    def _missing(self, found: int) -> VerificationFailed:
        return wrong(
            f"of {len(self._packets)} packets from frame {self.first} on, only {found // self._views} can be decoded."
        )
