"""A task that leaves most of its work to another task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .._tasks import BaseTask

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .._files.task import FileTask
    from .._tasks import EncodedRange, PieceSink, Plan, Portable, Remarks
    from ..events import EngineInfo


class WrappedTask(BaseTask):
    """Hands everything on to a file's task, except how it ends: each subclass says that for itself."""

    def __init__(self, file: FileTask) -> None:
        self._file = file

    @property
    def source(self) -> str:
        return self._file.source

    @property
    def destination(self) -> str:
        return self._file.destination

    @property
    def source_bytes(self) -> int:
        return self._file.source_bytes

    @property
    def estimated_work(self) -> float:
        return self._file.estimated_work

    @property
    def is_committing(self) -> bool:
        return self._file.is_committing

    def engines_before(self) -> str:
        return self._file.engines_before()

    def expect_engines(self, engines: Sequence[EngineInfo]) -> None:
        self._file.expect_engines(engines)

    def use_engines(self, kind: str) -> None:
        self._file.use_engines(kind)

    def prepare(self, lanes: int) -> Plan:
        return self._file.prepare(lanes)

    def config(self, engine: EngineInfo) -> EncoderConfig:
        return self._file.config(engine)

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Any]:
        return self._file.frames(first, engine)

    def sink(self, first: int) -> PieceSink:
        return self._file.sink(first)

    def portable(self) -> Portable | None:
        return self._file.portable()

    def adopt(self, encoded: EncodedRange) -> None:
        self._file.adopt(encoded)

    def take_remarks(self, remarks: Remarks) -> None:
        self._file.take_remarks(remarks)
