"""Decides which engine works on what: the longest job first, and idle engines share the rest. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from .job import Job
from .pieces import Piece
from .ranges import FrameRange, divided

PIECE_SECONDS = 0.02
"""A piece costs an engine a pause at its beginning and one at its end: shorter ones are not worth it."""


def ranked(jobs: Sequence[Job]) -> list[Job]:
    """Sorts the jobs: the longest first, equal ones in the order given. Sets the rank of each."""
    order = sorted(jobs, key=lambda job: -job.work)
    for rank, job in enumerate(order):
        job.rank = rank
    return order


def may_take(piece: Piece, engine: int, engines: Collection[int]) -> bool:
    """Whether the engine may do this piece. If it has failed at it, it may only if there is no other engine."""
    if engine in piece.job.refused_by:
        return False
    return engine not in piece.failed_on or all(
        other in piece.failed_on | piece.job.refused_by.keys() for other in engines
    )


def next_waiting(waiting: Iterable[Piece], engine: int, engines: Collection[int]) -> Piece | None:
    """The first piece of the longest job that waits for an engine."""
    fitting = [piece for piece in waiting if may_take(piece, engine, engines)]
    return min(fitting, key=lambda piece: (piece.job.rank, piece.first), default=None)


def shares(piece: Piece, idle: int, waiting: int) -> list[tuple[int, int]]:
    """Divides the piece into as many parts as there are idle engines for each waiting piece, if it may be divided."""
    parts = max(idle // max(waiting, 1), 1) if piece.job.may_be_divided else 1
    return divided(piece.first, piece.last, parts, piece.job.good_length)


def steal(
    working: Collection[Piece], engine: int, engines: Collection[int], rates: Mapping[int, float]
) -> Piece | None:
    """Takes a part of the piece that will take the longest; None if no part is worth it.

    ``rates``: megapixels a second that each engine was seen to do. The part is such that both end together.
    """
    before = sum(piece.last - piece.first - piece.packets for piece in working if piece.engine == engine)
    victims = [
        piece
        for piece in working
        if piece.engine != engine
        and piece.job.may_be_divided
        and not piece.is_dropped
        and may_take(piece, engine, engines)
    ]
    for piece in sorted(victims, key=lambda piece: -_seconds_left(piece, rates)):
        frames = _stolen(piece, engine, before, rates)
        if frames is not None:
            return Piece(piece.job, frames)
    return None


def _in_hand(piece: Piece) -> int:
    """Frames that its engine has claimed and that have not come out: a software codec holds many at once."""
    return piece.range.claimed - piece.first - piece.packets


def _stolen(piece: Piece, engine: int, before: int, rates: Mapping[int, float]) -> FrameRange | None:
    own, other = rates.get(engine), rates.get(piece.engine)
    share = own / (own + other) if own and other else 0.5
    frames_a_second = (own or 0.0) * 1e6 / piece.job.pixels
    shortest = max(piece.job.shortest, round(frames_a_second * PIECE_SECONDS))
    return piece.range.steal(share, shortest, _in_hand(piece), before)


def _seconds_left(piece: Piece, rates: Mapping[int, float]) -> float:
    rate = rates.get(piece.engine) or max(rates.values(), default=1.0)
    return piece.range.rest * piece.job.pixels / rate
