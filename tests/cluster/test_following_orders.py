"""A worker gets its next order before its piece ends. Nobody is blamed, lost or encoded twice for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cluster.scripted import FRAMES, Film, GivenTo, Scripted, until
from pdum.nvenc import EncoderPool, NvencError, Run, events
from pdum.nvenc._cluster import dispatcher
from pdum.nvenc._cluster.orders import Outcome

pytestmark = pytest.mark.one_abi


class Playing:
    """A run of films, of which the first is the longest, and the pool and cluster that it is on."""

    def __init__(self, *workers: str, films: int = 3) -> None:
        self.cluster = Scripted(*workers)
        self.films = [Film(f"film {number}", FRAMES - number) for number in range(films)]
        self.told: list[events.Event] = []
        self.pool = EncoderPool(cluster=self.cluster, backend="software")
        self.run: Run = self.pool.start(self.films, on_event=self.told.append)

    def first_two(self) -> list[GivenTo]:
        """The orders of a worker that is about to finish the first."""
        (current,) = self.cluster.orders(1)
        current.report(FRAMES - 1)
        return self.cluster.orders(2)

    def kind(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.told if isinstance(one, kind)]

    def finish_the_rest(self) -> None:
        """Ends every order that is not cancelled, as it comes."""

        def step() -> bool:
            for one in list(self.cluster.given):
                if not one.has_ended and not one.is_forgotten:
                    one.end(Outcome()) if one.is_cancelled else one.finish()
            return self.run.is_over

        until(step)
        self.run.wait().raise_for_errors()

    def frames_encoded(self) -> dict[str, int]:
        return {film.source: sum(one.last - one.first for one in film.adopted) for film in self.films}


@pytest.fixture
def play() -> Iterator[Callable[..., Playing]]:
    made: list[Playing] = []

    def begin(*workers: str, **more: Any) -> Playing:
        made.append(Playing(*workers, **more))
        return made[-1]

    yield begin
    for one in made:
        one.run.cancel()
        for order in one.cluster.given:
            order.end(Outcome())
        one.pool.close()


def test_the_next_order_is_there_before_the_piece_ends(play: Callable[..., Playing]) -> None:
    playing = play("one")
    current, following = playing.first_two()
    assert [current.order.source, following.order.source] == ["film 0", "film 1"]
    assert [one.job for one in playing.kind(events.PieceStarted)] == [0], "the engine has not begun with the next"
    following.report(1)
    current.finish()
    until(lambda: len(playing.kind(events.PieceStarted)) == 2)
    order = [type(one).__name__ for one in playing.told if type(one) in (events.PieceStarted, events.PieceFinished)]
    assert order == ["PieceStarted", "PieceFinished", "PieceStarted"]
    playing.finish_the_rest()
    assert playing.frames_encoded() == {"film 0": 100, "film 1": 99, "film 2": 98}
    assert [one.order.source for one in playing.cluster.given] == ["film 0", "film 1", "film 2"]


def test_no_worker_has_more_than_two(play: Callable[..., Playing]) -> None:
    playing = play("one", films=6)
    _, following = playing.first_two()
    following.report(FRAMES - 2)
    for _ in range(3):
        playing.run.pause()
        playing.run.resume()  # which wakes the dispatcher
    assert len(playing.cluster.given) == 2
    playing.finish_the_rest()


def test_a_piece_that_is_far_from_its_end_reserves_none(play: Callable[..., Playing]) -> None:
    """Another engine may be free before."""
    playing = play("one", "two")
    for one in playing.cluster.orders(2):
        one.report(1)
    playing.cluster.given[1].report(FRAMES - 2)
    assert playing.cluster.orders(3)[2].worker == "two"
    playing.finish_the_rest()


def test_a_following_job_is_skipped_at_once(play: Callable[..., Playing]) -> None:
    """Its engine is busy with another job for a long time."""
    playing = play("one")
    current, following = playing.first_two()
    current.report(0, fps=0.1)
    playing.run.skip(1)
    until(lambda: following.is_cancelled)
    assert not current.is_cancelled
    following.end(Outcome())
    until(lambda: playing.kind(events.JobSkipped))
    current.finish()
    playing.run.retry(1)
    playing.finish_the_rest()
    assert playing.frames_encoded() == {"film 0": 100, "film 1": 99, "film 2": 98}


def test_a_paused_run_takes_the_following_order_back(play: Callable[..., Playing]) -> None:
    playing = play("one")
    current, following = playing.first_two()
    playing.run.pause()
    until(lambda: following.is_cancelled)
    following.end(Outcome())
    current.finish()
    until(lambda: playing.kind(events.PieceFinished))
    assert len(playing.cluster.given) == 2
    playing.run.resume()
    playing.finish_the_rest()
    assert playing.frames_encoded() == {"film 0": 100, "film 1": 99, "film 2": 98}
    assert not playing.kind(events.PieceRetried)


@pytest.mark.parametrize("has_begun", [False, True])
def test_only_the_piece_at_work_is_blamed_for_a_lost_process(play: Callable[..., Playing], has_begun: bool) -> None:
    """If the following one has begun, the result of the piece before was lost on its way."""
    playing = play("one")
    _, following = playing.first_two()
    if has_begun:
        following.report(1)
    playing.cluster.leave("one")
    until(lambda: playing.kind(events.PieceRetried))
    (retried,) = playing.kind(events.PieceRetried)
    assert retried.job == int(has_begun)
    started = [one.job for one in playing.kind(events.PieceStarted)]
    assert started == [0, 1] if has_begun else started == [0]
    playing.cluster.join("one", 0)
    playing.finish_the_rest()
    assert playing.frames_encoded() == {"film 0": 100, "film 1": 99, "film 2": 98}


def test_a_piece_that_has_failed_never_follows(play: Callable[..., Playing]) -> None:
    """If it ends the process, the result of the piece before may still be in there."""
    playing = play("one", "two", films=4)
    poison, other = playing.cluster.orders(2)
    poison.end(Outcome(error=NvencError("It failed."), by_engine=True))
    playing.cluster.orders(3)
    other.report(FRAMES - 2)
    following = playing.cluster.orders(4)[3]
    assert (following.worker, following.order.source) == (other.worker, "film 3"), "and not film 0, which is longer"
    playing.finish_the_rest()
    assert playing.frames_encoded() == {"film 0": 100, "film 1": 99, "film 2": 98, "film 3": 97}


def test_an_order_that_ends_without_a_result_is_given_again(play: Callable[..., Playing]) -> None:
    """A worker stops if its pool is silent for long: the pool's machine was asleep, and goes on now."""
    playing = play("one", films=1)
    (first,) = playing.cluster.orders(1)
    first.report(10)
    first.end(Outcome())
    playing.finish_the_rest()
    assert playing.frames_encoded() == {"film 0": 100}
    assert len(playing.cluster.given) == 2


def test_a_worker_that_rests_gives_both_back(play: Callable[..., Playing], monkeypatch: pytest.MonkeyPatch) -> None:
    """The following order becomes the current one, but the worker works for another run now."""
    playing = play("one")
    current, following = playing.first_two()
    monkeypatch.setattr(dispatcher, "BUSY_SECONDS", 0.2)
    current.finish()
    until(lambda: following.is_cancelled and following.is_forgotten)
    playing.finish_the_rest()
    assert playing.frames_encoded() == {"film 0": 100, "film 1": 99, "film 2": 98}
