"""What decodes the packets of a container's stream, whoever does the work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class PacketDecoder(Protocol):
    """Decodes the packets of one stream."""

    def frames(self, packet: Any) -> Iterable[Any]:
        """Decodes a packet. An empty packet returns the frames that the decoder still holds.

        Raises:
            SourceUnreadable: decoding is strict and something is damaged, or the decoder failed without damage.
            Stumbled: decoding is not strict, and more may be lost than what is damaged.
        """

    def rest(self) -> Iterable[Any]:
        """The frames that the decoder still holds after the file ended early. Raises Stumbled."""

    def close(self) -> None: ...
