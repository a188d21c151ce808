"""Tasks for tests of pools: numbered pictures through the simulated encoder, and checks of the result."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from frames import Nv12, nv12
from pdum.nvenc import BaseTask, EncoderConfig, EngineInfo, Event, Packet, Plan, Result
from pdum.nvenc._tasks import NextPlan
from pdum.nvenc.events import EngineWaiting

from simulator import EchoUnit, checksum, parse

WIDTH, HEIGHT = 192, 128


@functools.lru_cache(maxsize=4096)
def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> Nv12:
    return nv12(width, height, number)


@functools.lru_cache(maxsize=4096)
def sum_of(number: int) -> int:
    return checksum(picture(number))


class Sink:
    def __init__(self, task: Pictures, first: int) -> None:
        self.task, self.first = task, first
        self.packets: list[Packet] = []

    def write(self, packets: Sequence[Packet]) -> None:
        self.packets += packets

    def complete(self, last: int, header: bytes) -> int:
        assert header
        self.task.sinks_open -= 1
        self.task.pieces[self.first] = (last, self.packets)
        return sum(len(packet.data) for packet in self.packets)

    def discard(self) -> None:
        self.task.sinks_open -= 1


class Meeting:
    """Engines of a pool, or its GPUs, that wait for one another before their first picture, so that none of them has
    nothing left when it comes late."""

    def __init__(self, count: int, of: str = "index") -> None:
        self._count, self._of = count, of
        self._came: set[int] = set()
        self._changed = threading.Condition()

    def join(self, engine: EngineInfo) -> None:
        self.come(getattr(engine, self._of))
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._came) >= self._count, timeout=60):
                raise TimeoutError(f"only {sorted(self._came)} came, of {self._count}")

    def come(self, number: int) -> None:
        with self._changed:
            self._came.add(number)
            self._changed.notify_all()


class WaitingEngines(Meeting):
    """Pictures that wait until this many engines wait for a session. To be called with a run's events."""

    def join(self, engine: EngineInfo) -> None:
        self.come(-1)
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._came) > self._count, timeout=60):
                raise TimeoutError(f"only {len(self._came) - 1} engines wait, of {self._count}")

    def __call__(self, event: Event) -> None:
        if isinstance(event, EngineWaiting):
            self.come(event.engine)


class Pictures(BaseTask):
    """This many pictures, numbered from ``offset``, and compared with the result at the end."""

    source_bytes = 7

    def __init__(
        self,
        frames: int,
        offset: int = 0,
        *,
        parts: int | None = None,
        fail_at: int | None = None,
        pause: float = 0.0,
        meeting: Meeting | None = None,
        **config: Any,
    ) -> None:
        self.count, self.offset, self.parts, self.fail_at, self.pause = frames, offset, parts, fail_at, pause
        self.given: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "gop": 25, **config}
        self.pieces: dict[int, tuple[int, list[Packet]]] = {}
        self.sinks_open = 0
        self.sources_open = 0
        self.prepared = self.finished = self.abandoned = 0
        self.meeting = meeting
        self.begun = threading.Event()

    @property
    def source(self) -> str:
        return f"pictures from {self.offset}"

    destination = "nowhere"

    @property
    def estimated_work(self) -> float:
        return float(self.count)

    def prepare(self, lanes: int) -> Plan:
        self.prepared += 1
        parts = self.parts or 1
        bounds = [self.count * part // parts for part in range(parts + 1)]
        return Plan(
            frames=self.count, ranges=list(pairwise(bounds)), whole_ranges=self.parts is not None,
            width=self.given["width"], height=self.given["height"], fps=30.0, duration=self.count / 30,
        )  # fmt: skip

    def config(self, engine: EngineInfo) -> EncoderConfig:
        return EncoderConfig(**self.given)

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Nv12]:
        self.sources_open += 1
        try:
            if self.meeting is not None:
                self.meeting.join(engine)
            for number in range(first, self.count):
                if number == self.fail_at:
                    raise OSError(f"no frame {number}")
                if self.pause:
                    time.sleep(self.pause)
                if number - first == 3:
                    self.begun.set()
                yield picture(number + self.offset, self.given["width"], self.given["height"])
        finally:
            self.sources_open -= 1

    def sink(self, first: int) -> Sink:
        self.sinks_open += 1
        return Sink(self, first)

    def finish(self) -> Result | NextPlan:
        self.finished += 1
        size = sum(len(packet.data) for _, packets in self.pieces.values() for packet in packets)
        return Result(destination=self.destination, frames=self.count, size=size, source_bytes=self.source_bytes)

    def abandon(self, keep: bool) -> None:
        self.abandoned += 1

    def interrupt(self) -> None:
        self.fail_at = -1

    # --- the result ---

    def units(self) -> list[EchoUnit]:
        """The pictures that the encoder saw, in the order of the video, each of them once."""
        assert self.sinks_open == self.sources_open == 0
        ordered: list[EchoUnit] = []
        for first in sorted(self.pieces):
            last, packets = self.pieces[first]
            assert first == len(ordered), "pieces in a row"
            units = {packet.seq: unit for packet in packets for unit in parse(packet.data)}
            assert sorted(units) == list(range(first, last))
            assert packets[0].keyframe
            assert parse(packets[0].data)[0].is_idr
            assert packets[0].seq == first
            ordered += [units[seq] for seq in range(first, last)]
        return ordered

    def check(self) -> list[EchoUnit]:
        """Each picture of the source once, in order, from any engine."""
        units = self.units()
        assert [unit.checksum for unit in units] == [sum_of(self.offset + number) for number in range(self.count)]
        assert (self.finished, self.abandoned) == (1, 0)
        return units

    def engines(self) -> set[tuple[int, int]]:
        """(GPU, engine) of all that worked on it."""
        return {(unit.gpu_index, unit.engine) for unit in self.units() if unit.is_idr}


def threads_of_pools() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pdum.nvenc")]
