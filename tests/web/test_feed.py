"""A run's feed and its other end in one process: events arrive, requests are passed on, the run waits for no viewer."""

from __future__ import annotations

import json
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Condition, Event, current_thread

import pytest

from pdum.nvenc import NvencError, events
from pdum.nvenc._web.feed import Feed
from pdum.nvenc._web.remote_run import RemoteRun

from dashboards import Recorded
from event_streams import recorded

pytestmark = pytest.mark.one_abi

STREAM = recorded(12, trouble=0.3, seed=4)


class Held(Recorded):
    """Half of the events, and the rest when it is let go."""

    def __init__(self) -> None:
        super().__init__(STREAM)
        self.gate = Event()

    def __iter__(self) -> Iterator[events.Event]:
        yield from self.stream[: len(self.stream) // 2]
        self.gate.wait()
        yield from self.stream[len(self.stream) // 2 :]


@pytest.fixture
def feed() -> Iterator[Feed]:
    one = Feed()
    yield one
    one.close()
    assert not one.path.parent.exists()


def test_all_events_arrive_at_each_viewer(feed: Feed) -> None:
    early = RemoteRun(str(feed.path))
    feed.show(Recorded(STREAM), {"codec": "av1", "trim": None})
    late = RemoteRun(str(feed.path))
    for run in (early, late):
        assert list(run) == STREAM
        assert run.settings == {"codec": "av1", "trim": None}
        run.tell_drawn()


def test_requests_are_passed_on(feed: Feed) -> None:
    run = Held()
    feed.show(run, {})
    viewer = RemoteRun(str(feed.path))
    viewer.pause()
    viewer.resume()
    viewer.skip(3)
    viewer.retry(4)
    viewer.set_engines(1)
    assert run.asked == [("pause",), ("resume",), ("skip", 3), ("retry", 4), ("set_engines", 1)]
    run.gate.set()
    assert list(viewer) == STREAM
    viewer.tell_drawn()


def test_refusals_are_passed_on(feed: Feed) -> None:
    feed.show(Recorded(STREAM, refuses=ValueError("no such\njob")), {})
    viewer = RemoteRun(str(feed.path))
    with pytest.raises(NvencError, match=r"^no such job$"):
        viewer.skip(99)
    viewer.tell_drawn()


@pytest.mark.parametrize("method", ["cancel", "drain", "_ask", "__init__", "stream"])
def test_viewers_do_not_end_the_run(feed: Feed, method: str) -> None:
    run = Recorded(STREAM)
    feed.show(run, {})
    with socket.socket(socket.AF_UNIX) as viewer:
        viewer.connect(str(feed.path))
        viewer.sendall(json.dumps({"ask": method, "with": [], "number": 7}).encode() + b"\n")
        with viewer.makefile() as lines:
            answer = next(message for line in lines if "answer" in (message := json.loads(line)))
    assert answer == {"answer": 7, "error": f"a viewer cannot {method}"}
    assert run.asked == []
    viewer_of_ours = RemoteRun(str(feed.path))
    for end in (viewer_of_ours.drain, viewer_of_ours.cancel):
        with pytest.raises(NvencError, match="Only the terminal that started the run can end it"):
            end()
    viewer_of_ours.tell_drawn()


def test_viewers_that_go_or_talk_nonsense_disturb_nobody(feed: Feed) -> None:
    run = Held()
    feed.show(run, {})
    for said in (b"", b"nonsense\n", b"[]\n", b'{"ask": 3}\n', b"\xff\n"):
        with socket.socket(socket.AF_UNIX) as viewer:
            viewer.connect(str(feed.path))
            viewer.sendall(said)
            if said:
                viewer.settimeout(60)
                while viewer.recv(1 << 16):  # until the other side has had enough of it
                    pass
    viewer_that_stays = RemoteRun(str(feed.path))
    run.gate.set()
    assert list(viewer_that_stays) == STREAM
    viewer_that_stays.tell_drawn()


def test_closing_waits_until_the_end_is_drawn() -> None:
    feed = Feed()
    feed.show(Recorded(STREAM), {})
    viewer = RemoteRun(str(feed.path))
    assert list(viewer) == STREAM
    assert not viewer.is_cut
    waits = []

    class Changed(Condition):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(viewer.is_cut)
            viewer.tell_drawn()
            return super().wait(timeout)

    feed._changed = Changed()
    feed.close()
    assert waits == [False]
    with viewer._changed:
        viewer._changed.wait_for(lambda: viewer.is_cut)
    with pytest.raises(NvencError, match="process is gone"):
        viewer.pause()


def test_a_viewer_that_comes_while_the_feed_closes_is_let_go() -> None:
    accepted, closed = Event(), Event()

    class Slow(Condition):
        def __enter__(self) -> bool:
            if current_thread().name == "pdum-nvenc-web-feed":
                accepted.set()
                assert closed.wait(60)
            return super().__enter__()

    feed = Feed()
    feed._changed = Slow()
    viewer = RemoteRun(str(feed.path))
    assert accepted.wait(60)
    feed.close()
    closed.set()
    with viewer._changed:
        assert viewer._changed.wait_for(lambda: viewer.is_cut, 60)


def test_a_run_that_never_begins_lets_its_viewers_go() -> None:
    feed = Feed()
    viewer = RemoteRun(str(feed.path))
    feed.close()
    assert list(viewer) == []


def test_the_folder_for_temporary_files_may_have_a_long_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    feed = Feed()
    RemoteRun(str(feed.path))
    feed.close()


def test_other_users_cannot_come_near() -> None:
    feed = Feed()
    assert stat.S_IMODE(feed.path.parent.stat().st_mode) == 0o700
    feed.close()
