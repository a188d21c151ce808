"""What passes between a pool and its workers: an order, reports, answers to them, and the outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .._tasks import EncodedRange, Portable


@dataclass(frozen=True, kw_only=True)
class Grant:
    """How far a worker may encode. It asks for more in time, and so another engine can take what is not granted."""

    until: int
    """The first frame that is not granted."""
    is_final: bool
    """The range ends there."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A range of a task's frames to be encoded from an IDR to a flush."""

    number: str
    """No other order of any pool has it."""
    version: str
    """The version of this package that the pool has."""
    source: str
    """The task's name for messages."""
    key: str
    portable: Portable | None
    """None: the worker has it already, under ``key``."""
    config: EncoderConfig
    frames: int
    """Frames of the whole task."""
    first: int
    last: int
    """The end of the range if no other engine takes a part of it."""
    grant: Grant
    pace: float = 1.0
    """With many engines, reports are rarer by this factor, so that the pool does not get more of them."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """How far a worker is. It comes a few times a second, and at once if the worker needs more frames."""

    frames: int = 0
    packets: int = 0
    fps: float = 0.0
    until: int = 0
    """How far the worker may encode, as far as it knows."""
    wants_more: bool = False
    waits_for: str = ""
    """Why it does not encode yet."""
    decoders: tuple[int, int] = (0, 0)
    """How many decoders the engine has, and how many of them are the processor's."""
    waited: tuple[float, float] = (0.0, 0.0)
    """For how many seconds the engine has waited for frames, and frames for it, since the worker began."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an order ended: with the range, an error, or neither because it was cancelled."""

    encoded: EncodedRange | None = None
    error: Exception | None = None
    by_engine: bool = False
    """The error is the engine's or its machine's: another one may succeed."""
    is_refusal: bool = False
    """The engine could not make an encoder for it."""
    is_lost: bool = False
    """The engine cannot be used any more, or only by a new process."""
    forgot: bool = False
    """The worker does not have ``key``, so the order has to be given again with all that it needs."""
