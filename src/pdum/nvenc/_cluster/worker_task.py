"""An order as a task, for the lane of a worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .._results import Result
from .._tasks import BaseTask, EncodedRange, Plan

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .._nvenc import Packet
    from .._tasks import PieceSink, PortableTask
    from ..events import EngineInfo
    from .orders import Order


class WorkerTask(BaseTask):
    """One range of a pool's task. The worker only encodes it: the pool does everything else."""

    def __init__(self, order: Order, task: PortableTask) -> None:
        self._order, self._task = order, task
        self.kept: RecordingSink | None = None
        task.encoder_config = order.config

    @property
    def source(self) -> str:
        return self._order.source

    @property
    def needs_encoder(self) -> bool:
        return self._task.needs_encoder

    @property
    def plan(self) -> Plan:
        order = self._order
        return Plan(
            frames=order.frames, ranges=[(order.first, order.last)], whole_ranges=True,
            width=order.config.width, height=order.config.height,
        )  # fmt: skip

    def prepare(self, lanes: int) -> Plan:  # noqa: ARG002
        return self.plan

    def config(self, engine: EngineInfo) -> EncoderConfig:
        return self._task.config(engine)

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Any]:
        return self._task.frames(first, engine)

    def frames_with(self, first: int, engine: EngineInfo, encoder: Any) -> Iterator[Any]:
        return self._task.frames_with(first, engine, encoder)

    def sink(self, first: int) -> PieceSink:
        self.kept = RecordingSink(self._task, first)
        return self.kept

    def finish(self) -> Result:
        raise NotImplementedError


class RecordingSink:
    """Passes packets to the task's own sink, or keeps them for the pool if there is none."""

    def __init__(self, task: PortableTask, first: int) -> None:
        self._task, self._first = task, first
        self._sink: PieceSink | None = task.sink(first)
        self._packets: list[Packet] = []
        self.encoded: EncodedRange | None = None
        """The range, once it is complete."""

    def write(self, packets: Sequence[Packet]) -> None:
        if self._sink is None:
            self._packets += packets
        else:
            self._sink.write(packets)

    def complete(self, last: int, header: bytes) -> int:
        if self._sink is None:
            kept, size = None, sum(len(packet.data) for packet in self._packets)
        else:
            size = self._sink.complete(last, header)
            kept = self._sink.kept()  # type: ignore[attr-defined]
        self.encoded = EncodedRange(
            first=self._first, last=last, header=header, size=size, packets=tuple(self._packets), kept=kept,
            remarks=self._task.new_remarks(),
        )  # fmt: skip
        return size

    def discard(self) -> None:
        self._packets = []
        if self._sink is not None:
            self._sink.discard()
