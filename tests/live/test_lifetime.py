"""Encoders that are not closed, and processes that fork."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from typing import Any

import pytest

from live.viewer import grey
from pdum.nvenc import EncoderClosed, LiveEncoder

pytestmark = pytest.mark.one_abi


def thread_names() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pdum.nvenc")]


def test_an_encoder_that_nobody_closed_is_collected_with_its_thread(place: dict[str, Any]) -> None:
    """The simulated card checks that the session is closed, too."""
    live = LiveEncoder(**place)
    live.offer(grey(50))
    next(live)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "pdum.nvenc.live"]
    gone = weakref.ref(live)
    del live
    gc.collect()
    assert gone() is None
    thread.join(60)
    assert not thread.is_alive()


def test_a_wrong_argument_leaves_nothing(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(ValueError, match="codec"):
        LiveEncoder(codec="none")
    gc.collect()
    assert thread_names() == []
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # since Python 3.12
def test_a_forked_child_gets_an_error_and_the_parent_goes_on(place: dict[str, Any]) -> None:
    """Even if a lock of the encoder was held at the fork: the child waits for none."""
    with LiveEncoder(**place) as live:
        live.offer(grey(50))
        next(live)
        with live._stream._lock, live._pacing._lock, live._exchange._changed:
            child = os.fork()
            if child == 0:
                signal.alarm(30)  # ends a child that waits
                os._exit(_refused(live))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        live.offer(grey(60))
        assert next(live).seq == 1


def _refused(live: LiveEncoder) -> int:
    """How many uses were not refused."""
    uses = (lambda: live.offer(grey(50)), lambda: next(live), live.flush, live.request_keyframe, lambda: live.lost(0))
    taken = 0
    for use in uses:
        try:
            use()
            taken += 1
        except EncoderClosed:
            continue
        except BaseException:
            taken += 1
    live.close()
    live.__del__()
    return taken
