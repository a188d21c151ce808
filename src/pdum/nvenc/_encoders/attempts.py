"""Coding one picture several times, and keeping the best."""

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING, Any, Protocol

from .._errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from .._config.config import EncoderConfig
    from .._config.encoder_fields import LiveFields
    from .._config.regions import Region
    from .._nvenc import Packet

HALVING = {"h264": 6, "hevc": 6, "av1": 30}
"""So many steps of the quantiser halve a picture's bits, roughly."""


class Encoder(Protocol):
    """What attempts need of ``NvencEncoder``, which is above them."""

    @property
    def config(self) -> EncoderConfig | None: ...
    def reconfigure(self, **changes: Unpack[LiveFields]) -> None: ...
    def _attempt(self, picture: Any) -> Packet: ...
    def _earlier_packets(self) -> list[Packet]: ...
    def _keep_attempt(self, number: int) -> None: ...
    def _drop_attempts(self) -> None: ...
    async def _do(self, work: Callable[[], object]) -> None: ...


class Attempts:
    """One picture, which can be coded several times: ``NvencEncoder.begin_attempts`` and ``attempts_at`` give it.

    Leaving its ``with`` block keeps the last attempt if none was kept before. If there was none, the frame is left out;
    an encoder with ``lookahead`` has to encode it, and its packet is among the ``earlier`` ones of the next picture.
    """

    packets: tuple[Packet, ...]
    """What the attempts gave."""
    kept: Packet | None
    """The one that was kept."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._is_open = True
        self.packets = ()
        self.kept = None
        self._earlier: tuple[Packet, ...] = ()

    @property
    def earlier(self) -> tuple[Packet, ...]:
        """Packets that belong into the stream before this picture's, of frames without attempts.

        With ``lookahead``, these are frames at which you made none, and those that ``reconfigure`` had to finish. If
        you do not ask for them, ``flush_pipeline`` returns them.
        """
        if self._is_open:
            self._earlier += tuple(self._encoder._earlier_packets())
        return self._earlier

    @property
    def left(self) -> int:
        """How many more attempts can be made."""
        config = self._encoder.config
        return config.attempts - len(self.packets) if config is not None and self._is_open else 0

    def encode(
        self,
        *,
        regions: Sequence[Region] = (),
        qp_map: Any = None,
        emphasis_map: Any = None,
        **changes: Unpack[LiveFields],
    ) -> Packet:
        """Codes the picture once more and returns its packet, as if no attempt had been made before.

        ``changes`` are made with ``reconfigure`` and stay, for later pictures too. The map applies to this attempt;
        without one, the map of the picture does.
        """
        from .._config.picture import PictureOptions

        options = PictureOptions(regions=regions, qp_map=qp_map, emphasis_map=emphasis_map)
        if changes:
            self._encoder.reconfigure(**changes)
        packet = self._encoder._attempt(options)
        self.packets += (packet,)
        return packet

    def keep(self, packet: Packet | None = None) -> Packet:
        """Keeps this packet's attempt, from which the stream continues; None: the last one. Returns the packet."""
        if not self._is_open:
            raise InvalidConfig("An attempt at this picture was kept already. Begin with the next frame.")
        if not self.packets:
            raise InvalidConfig("There is no attempt at this picture to keep. Call encode() first.")
        wanted = self.packets[-1] if packet is None else packet
        number = next((index for index, one in enumerate(self.packets) if one is wanted), None)
        if number is None:
            raise InvalidConfig(f"Expected a packet of this picture's attempts, got {wanted!r}.")
        self._encoder._keep_attempt(number)
        self._is_open = False
        self.kept = wanted
        return wanted

    def fit(self, most_bytes: int) -> Packet:
        """Keeps the largest packet of at most this many bytes, or the smallest if none is small enough.

        For encoders with ``qp``. Attempts begin at that quantiser and come closer to the size as long as some are left;
        afterwards it is as before.
        """
        config = self._encoder.config
        if config is None or config.qp is None:
            raise InvalidConfig("fit() needs an encoder with qp, which it changes. Make one: NvencEncoder(…, qp=28).")
        if isinstance(most_bytes, bool) or not isinstance(most_bytes, int) or most_bytes < 1:
            raise InvalidConfig(f"Expected a number of bytes from 1, got most_bytes={most_bytes!r}.")
        before = config.qp
        try:
            return self.keep(self._fitting(most_bytes, config.codec, before))
        finally:
            self._encoder.reconfigure(qp=before)

    async def encode_async(
        self,
        *,
        regions: Sequence[Region] = (),
        qp_map: Any = None,
        emphasis_map: Any = None,
        **changes: Unpack[LiveFields],
    ) -> Packet:
        """``encode`` for asyncio. If it is cancelled, the attempt is made nevertheless: ``packets`` gets it."""
        made: list[Packet] = []
        maps: dict[str, Any] = {"regions": regions, "qp_map": qp_map, "emphasis_map": emphasis_map}
        await self._encoder._do(lambda: made.append(self.encode(**maps, **changes)))
        return made[0]

    async def keep_async(self, packet: Packet | None = None) -> Packet:
        """``keep`` for asyncio. If it is cancelled, the packet is kept nevertheless."""
        await self._encoder._do(lambda: self.keep(packet))
        assert self.kept is not None
        return self.kept

    async def fit_async(self, most_bytes: int) -> Packet:
        """``fit`` for asyncio. If it is cancelled, a packet is kept nevertheless."""
        await self._encoder._do(lambda: self.fit(most_bytes))
        assert self.kept is not None
        return self.kept

    def _fitting(self, most_bytes: int, codec: str, qp: Any) -> Packet:
        from .._config.values import LARGEST_QP

        low, high = -1, LARGEST_QP[codec] + 1  # too large a picture, and one that fits
        now = max(qp) if isinstance(qp, tuple) else qp
        tried: list[Packet] = [self.encode(qp=now)]
        while self.left:
            size = len(tried[-1].data)
            if size > most_bytes:
                low = max(low, now)
            else:
                high = min(high, now)
            step = HALVING[codec] * log2(size / most_bytes)
            now = min(max(now + (ceil(step) if step > 0 else int(step)), low + 1), high - 1)
            if not low < now < high:
                break
            tried.append(self.encode(qp=now))
        fitting = [packet for packet in tried if len(packet.data) <= most_bytes]
        if fitting:
            return max(fitting, key=lambda packet: len(packet.data))
        return min(tried, key=lambda packet: len(packet.data))

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._encoder._drop_attempts()
            self.kept = self.packets[-1] if self.packets else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._encoder._do(self._close)
