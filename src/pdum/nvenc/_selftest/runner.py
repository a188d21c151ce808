"""Starts the processes that ask, ends those that hang, and collects the lines of the report."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from .probe import FAILED, NOT_ASKED, NOT_HERE, Line, line_of
from .questions import BY_NAME

SECONDS_TO_START = 60.0
ENDED = None
"""In the queue of events: the process has closed its output."""


@dataclass(kw_only=True)
class Outcome:
    """Everything that was found out."""

    card: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    recordings: dict[str, Any] = field(default_factory=dict)
    unusable: str | None = None
    """Why nothing could be asked at all."""


@dataclass
class Child:
    """One process that asks, and its events as they come."""

    process: subprocess.Popen[str]
    events: queue.SimpleQueue[dict[str, Any] | None] = field(default_factory=queue.SimpleQueue)
    reader: threading.Thread | None = None

    @classmethod
    def start(cls, command: Sequence[str], names: Sequence[str]) -> Child:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        child = cls(process)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write("\n".join(names))
            process.stdin.close()
        except BrokenPipeError:
            pass  # it ended at once, which its missing events tell
        child.reader = threading.Thread(target=child._read, args=(process.stdout,), daemon=True)
        child.reader.start()
        return child

    def _read(self, output: IO[str]) -> None:
        with output:
            for text in output:
                self.events.put(json.loads(text))
        self.events.put(ENDED)

    def next(self, seconds: float) -> dict[str, Any] | None:
        """The next event. Raises queue.Empty if there is none in time."""
        return self.events.get(timeout=max(seconds, 0.01))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.reader is not None:
            self.reader.join()


class Runner:
    """Asks all questions within a time budget."""

    def __init__(
        self,
        gpu_id: int,
        seconds: float,
        told: Callable[[Line], object] = lambda _: None,
        command: Sequence[str] = (),
    ) -> None:
        self.command = command or (sys.executable, "-m", "pdum.nvenc._selftest.child", str(gpu_id))
        self.ends_at = time.monotonic() + seconds
        self.told = told
        self.outcome = Outcome()

    def run(self, names: Sequence[str] = tuple(BY_NAME)) -> Outcome:
        left = list(names)
        while left and self.outcome.unusable is None and self._seconds_left() > 0:
            self._run_child(left)
        for name in left:
            if self.outcome.unusable is None:
                self._add(name, line_of(BY_NAME[name], "the time ran out", NOT_ASKED))
            else:
                self._add(name, line_of(BY_NAME[name], self.outcome.unusable, NOT_HERE))
        return self.outcome

    def _run_child(self, left: list[str]) -> None:
        """Takes from ``left`` what a process has answered, and the question that it did not survive."""
        child = Child.start(self.command, left)
        asking: str | None = None
        try:
            while left and (asking is not None or self._seconds_left() > 0):
                event = child.next(SECONDS_TO_START if asking is None else BY_NAME[asking].seconds)
                if event is ENDED:
                    self._lost(left, asking, f"the process ended with {child.process.wait()}")
                    return
                asking = self._take(event, left)
                if self.outcome.unusable is not None:
                    return
        except queue.Empty:
            self._lost(left, asking, "no answer in time; the process was ended")
        finally:
            child.end()

    def _take(self, event: dict[str, Any], left: list[str]) -> str | None:
        """Notes an event; the question that is being asked now."""
        if event["event"] == "unusable":
            self.outcome.unusable = event["reason"]
        if event["event"] == "card":
            self.outcome.card = event["card"]
        if event["event"] == "answer":
            self.outcome.recordings.update(event["recordings"])
            left.remove(event["name"])
            self._add(event["name"], Line(**event["line"]))
        return str(event["name"]) if event["event"] == "asking" else None

    def _lost(self, left: list[str], asking: str | None, why: str) -> None:
        if asking is None:
            self.outcome.unusable = f"the process that asks did not start: {why}"
            return
        left.remove(asking)
        self._add(asking, line_of(BY_NAME[asking], why, FAILED))

    def _add(self, name: str, line: Line) -> None:
        self.outcome.lines[name] = line
        self.told(line)

    def _seconds_left(self) -> float:
        return self.ends_at - time.monotonic()
