"""Runs each case in a forked process of its own, so that a crash or a hang costs nothing but its own outcome."""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

AT_ONCE = 3
"""Some cases wait for a driver that is busy. Others run meanwhile."""
SECONDS_A_CASE = 120.0
"""A driver that is always busy is asked for a quarter of a second by each of a hundred calls."""

Case = dict[str, Any]
Outcome = dict[str, Any]
Run = Callable[[Case], Outcome]


class Child:
    """A case in its process."""

    def __init__(self, case: Case, run: Run) -> None:
        self.case, self._limit = case, SECONDS_A_CASE
        self.deadline = time.monotonic() + self._limit
        self.read_end, write_end = os.pipe()
        self._text = b""
        self._pid = os.fork()
        if self._pid == 0:
            run_and_exit(case, run, write_end)
        os.close(write_end)

    def read(self) -> bool:
        """Takes what the process has written. Whether more may come."""
        part = os.read(self.read_end, 1 << 16)
        self._text += part
        return bool(part)

    def outcome(self) -> Outcome:
        """Of a process that has written all, or whose time is over."""
        os.close(self.read_end)
        is_late = time.monotonic() >= self.deadline
        if is_late:
            os.kill(self._pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        if code == 0:
            outcome: Outcome = json.loads(self._text)
            return outcome
        problem = f"did not end within {self._limit} s" if is_late else f"ended with status {code}"
        return {"problems": [problem], "errors": [], "calls": {}}


def run_and_exit(case: Case, run: Run, write_end: int) -> NoReturn:
    status = 1
    try:
        text = json.dumps(run(case)).encode()
        while text:
            text = text[os.write(write_end, text) :]
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def outcomes_of(cases: Iterator[Case], run: Run) -> Iterator[tuple[Case, Outcome]]:
    """All cases with their outcomes, as they end."""
    children: dict[int, Child] = {}
    while True:
        for case in itertools.islice(cases, AT_ONCE - len(children)):
            child = Child(case, run)
            children[child.read_end] = child
        if not children:
            return
        for one in ended(children):
            child = children.pop(one)
            yield child.case, child.outcome()


def ended(children: dict[int, Child]) -> list[int]:
    """Waits for one of them. Those that have written all, and those whose time is over."""
    deadline = min(child.deadline for child in children.values())
    ready, _, _ = select.select([*children], [], [], max(deadline - time.monotonic(), 0))
    now = time.monotonic()
    over = [one for one, child in children.items() if one not in ready and now >= child.deadline]
    return [*(one for one in ready if not children[one].read()), *over]
