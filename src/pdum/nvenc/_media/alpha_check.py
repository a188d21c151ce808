"""Whether a result has the alpha of its source: not none, not inverted, and not that of other frames.

The means of blocks are compared, because codecs keep them even where they keep little else. A picture may differ as
much as a low bitrate makes it differ: it is wrong if it is clearly something else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .._mp4.hevc_units import has_second_picture
from .alpha_layer import Layers, as_two_views, context_for_layers
from .av import import_av, rows_of

BLOCK = 16
KEPT = 12
"""Frames of each range whose alpha is kept: with B-frames, the first packets are not those of the first frames."""
NEARLY_RIGHT = 4
"""A picture is right if its blocks differ from the source's by no more than this, of 255 on average."""
CLEARLY = 4
"""A picture is wrong if it is this many times nearer to what it seems to show than to what it should show."""
FAR_OFF = 40
"""A key frame is wrong if its blocks differ by more than this on average: no bitrate does that."""
SHIFTS = (-2, -1, *range(1, KEPT))


class AlphaTaken:
    """The alpha of the first frames of each range, as an encoder gets it."""

    def __init__(self) -> None:
        self._ranges: dict[int, list[Any]] = {}

    def noting(self, first: int, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """The same conversion of frames to pairs with their alpha, for a range that begins at ``first``."""
        taken = self._ranges[first] = list[Any]()

        def converted(frame: Any) -> Any:
            pair = convert(frame)
            if len(taken) < KEPT:
                taken.append(block_means(pair[1]))
            return pair

        return converted

    def of(self, first: int) -> dict[int, Any]:
        """What is known of the range, by the frame's number."""
        return dict(enumerate(self._ranges.get(first, ()), first))


def block_means(alpha: Any) -> Any:
    """The means of its blocks. Those at the right and lower edge may be smaller."""
    import numpy as np

    rows, columns = (np.arange(0, size, BLOCK) for size in alpha.shape)
    sums = np.add.reduceat(np.add.reduceat(alpha, rows, axis=0, dtype=np.float64), columns, axis=1)
    ones = np.outer(*(np.diff([*starts, size]) for starts, size in zip((rows, columns), alpha.shape, strict=True)))
    return sums / ones


def complaint(
    packets: Iterable[tuple[int, bytes]], wanted: Mapping[int, Any], interrupted: Callable[[], None] = lambda: None
) -> str | None:
    """What is wrong with the alpha of these packets, each with its frame's number; None: nothing.

    ``wanted``: ``AlphaTaken.of`` their range. If FFmpeg decodes no alpha at all, this is no fault of the result: a
    later version of FFmpeg may. Then it is enough that there is some in each packet.
    """
    without: list[int] = []
    numbers: list[int] = []

    def watched() -> Iterator[tuple[int, bytes]]:
        for number, data in packets:
            interrupted()
            numbers.append(number)
            if not has_second_picture(data):
                without.append(number)
            yield number, data

    found = dict(_decoded(watched(), wanted))
    if without:
        return f"packet {without[0]} has no alpha."
    missing = sorted(set(numbers) - set(found))
    if found and missing:
        return f"the alpha of frame {missing[0]} cannot be decoded."
    return difference({number: means for number, means in found.items() if means is not None}, wanted)


class Numbered:
    """What packets carry to their frames: see ``Layers``."""

    def __init__(self, number: int) -> None:
        self.number = number


def _decoded(packets: Iterator[tuple[int, bytes]], wanted: Mapping[int, Any]) -> Iterator[tuple[int, Any]]:
    """The number of each frame whose alpha can be decoded, and the means of its blocks if they are wanted."""
    av, context, layers = import_av(), context_for_layers({}), Layers()

    def decoded(packet: Any) -> list[Any]:
        try:
            return list(context.decode(packet))
        except av.error.FFmpegError:  # the colours are judged elsewhere, and alpha will be missing
            return []

    def both() -> Iterator[tuple[Any, Any]]:
        for number, data in packets:
            packet = av.Packet(as_two_views(data))
            packet.opaque = Numbered(number)
            yield from layers.pairs(decoded(packet))
        yield from layers.pairs(decoded(None))

    for colours, alpha in both():
        if alpha is not None and not alpha.is_corrupt:
            number = colours.opaque.number
            yield number, block_means(rows_of(alpha.planes[0])[:, : alpha.width]) if number in wanted else None


def difference(found: Mapping[int, Any], wanted: Mapping[int, Any]) -> str | None:
    """How the alpha of frames is clearly not theirs; None: it is not. The first of them is a key frame."""
    numbers = sorted(set(found) & set(wanted))
    off = {number: _off(found[number], wanted[number]) for number in numbers}
    if not numbers or max(off.values()) <= NEARLY_RIGHT:
        return None
    first = numbers[0]
    if _show(found, off, {number: 255 - wanted[number] for number in numbers}):
        return f"the alpha of frame {first} is inverted: opaque where the source is transparent."
    shifted = [{number: wanted[number + by] for number in numbers if number + by in wanted} for by in SHIFTS]
    seen = [
        (_most_off(found, others), min(others), by)
        for by, others in zip(SHIFTS, shifted, strict=True)
        # An encoder that is short of bits may repeat a picture once, but not a key frame, and not always a new one.
        if (first in others or len(others) > 1) and _show(found, off, others)
    ]
    if seen:
        _, number, by = min(seen)
        return f"frame {number} has the alpha of frame {number + by}."
    if off[first] > FAR_OFF:
        return f"the alpha of frame {first} differs from the source's by {off[first]:.0f} of 255 on average."
    return None


def _show(found: Mapping[int, Any], off: Mapping[int, float], others: Mapping[int, Any]) -> bool:
    """Whether all frames for which there is another picture clearly show that instead of their own."""
    return all(
        off[number] > NEARLY_RIGHT and CLEARLY * _off(found[number], other) < off[number]
        for number, other in others.items()
    )


def _most_off(found: Mapping[int, Any], others: Mapping[int, Any]) -> float:
    return max(_off(found[number], other) for number, other in others.items())


def _off(one: Any, other: Any) -> float:
    rows, columns = (min(sizes) for sizes in zip(one.shape, other.shape, strict=True))
    return float(abs(one[:rows, :columns] - other[:rows, :columns]).mean())
