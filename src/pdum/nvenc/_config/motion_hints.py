"""Hints for an encoder's search for motion: how many a block may have, and the arrays that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._errors import InvalidConfig
from .settings import codec_name, whole

EncoderConfig = Any  # a module above this one, which calls it

BLOCKS = {"h264": 16, "hevc": 32, "av1": 64}
"""Pixels of the blocks that hints are for, in both directions."""

MOST = {"h264": 15, "hevc": 1, "av1": 255}
"""Hints of one block: the counts have 4 bits, and 8 in AV1. HEVC takes one for each kind of block."""

REACH = {"h264": (-2048, 2047, -512, 511), "hevc": (-2048, 2047, -512, 511), "av1": (-1023, 1023, -511, 511)}
"""The least and the most x, and the least and the most y, of a hint in whole pixels."""

NO_HINT = -32768
"""Stands in both places of a hint that a block does not have."""


def count(codec: str, given: int) -> int:
    """``EncoderConfig.motion_hints``."""
    return whole("motion_hints", given, most=MOST[codec], of=codec)


def contradictions(config: EncoderConfig, may_have_b_frames: bool) -> Iterator[str]:
    """Says of each contradiction what is wrong and what to do."""
    hints = config.motion_hints
    if not hints:
        return
    if may_have_b_frames:
        yield (
            f"motion_hints={hints} does not work with bframes={config.bframes}: hints are for pictures that refer to "
            "the one before. Give bframes=0."
        )
    if config.interlaced is not None:
        yield f"motion_hints={hints} does not work with interlaced={config.interlaced!r}: hints are for whole frames."


def shape(codec: str, width: int, height: int) -> tuple[int, int]:
    """Rows and columns of the blocks that hints are for."""
    block = BLOCKS[codec_name(codec)]
    return -(-height // block), -(-width // block)


def native(given: Any, codec: str, width: int, height: int, most: int) -> bytes | None:
    """The vectors of a picture's hints, as the native module takes them: 16 bits for each number."""
    if given is None:
        return None
    if not most:
        raise InvalidConfig(
            "motion_hints needs an encoder that was made with motion_hints=1 or more; others take no hints."
        )
    rows, columns = shape(codec, width, height)
    hints = _whole_numbers(given)
    if hints.shape == (rows, columns, 2):
        hints = hints[:, :, None]
    if hints.ndim != 4 or hints.shape[:2] != (rows, columns) or hints.shape[3] != 2 or not 0 < hints.shape[2] <= most:
        raise InvalidConfig(
            f"Expected motion_hints of shape ({rows}, {columns}, 2) or ({rows}, {columns}, n, 2) with n up to {most} "
            f"for {codec} and {width}x{height}, got {tuple(hints.shape)}. Give x and y for each block of "
            f"{BLOCKS[codec]}x{BLOCKS[codec]} pixels, and round up at the edges."
        )
    _require_reach(hints, codec)
    return _filled_up(hints, most)


def _whole_numbers(given: Any) -> Any:
    import numpy

    try:
        hints = numpy.asarray(given)
    except Exception as error:
        raise InvalidConfig(f"motion_hints cannot be read: {error} Give an array on the host.") from error
    if hints.dtype.kind not in "iu":
        raise InvalidConfig(
            f"Expected whole numbers of pixels as motion_hints, got type {hints.dtype}. Round them, and give "
            "integers: array.round().astype('int16')."
        )
    return hints


def _require_reach(hints: Any, codec: str) -> None:
    left, right, up, down = REACH[codec]
    x, y = hints[..., 0], hints[..., 1]
    is_none = (x == NO_HINT) & (y == NO_HINT)
    wrong = ~is_none & ((x < left) | (x > right) | (y < up) | (y > down))
    if not wrong.any():
        return
    place = tuple(int(one) for one in next(zip(*wrong.nonzero(), strict=True)))
    raise InvalidConfig(
        f"motion_hints has ({int(x[place])}, {int(y[place])}) in row {place[0]}, column {place[1]}; hints of {codec} "
        f"go from {left} to {right} across and from {up} to {down} down. Write {NO_HINT} in both places for none."
    )


def _filled_up(hints: Any, most: int) -> bytes:
    """All blocks have as many hints as the encoder takes; those that are missing are none."""
    import numpy

    full = numpy.full((*hints.shape[:2], most, 2), NO_HINT, numpy.int16)
    full[:, :, : hints.shape[2]] = hints
    return full.tobytes()
