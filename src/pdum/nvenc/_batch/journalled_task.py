"""Tasks of a batch that write each step into the journal before they report it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._errors import NvencError
from .._files.wrapped_task import WrappedTask
from .._results import Result
from .._tasks import BaseTask, NextPlan, Plan

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .._files.task import FileTask
    from .._tasks import PieceSink
    from ..events import EngineInfo
    from .decisions import Decision
    from .journal_entry import Identity
    from .ledger import Ledger
    from .scan import Trouble


class JournalledTask(WrappedTask):
    """A file's task. The journal learns of its beginning, of its result just before that gets its name, and of its
    end."""

    def __init__(self, file: FileTask, decision: Decision, ledger: Ledger, quality: float | None = None) -> None:
        super().__init__(file)
        self._decision, self._ledger, self._quality = decision, ledger, quality
        file.on_commit, file.on_found = self._announce, self._found

    def _announce(self, made: Identity) -> None:
        self._ledger.announce(self._decision, made)

    def _found(self, quality: int) -> None:
        self._quality = quality
        self._ledger.found(self._decision, quality)

    def prepare(self, lanes: int) -> Plan:
        self._ledger.begin(self._decision, self._quality)
        return super().prepare(lanes)

    def finish(self) -> Result | NextPlan:
        result = self._file.finish()
        if isinstance(result, Result):
            self._ledger.end(self._decision, result.size, kept=result.skipped is None)
        return result

    def abandon(self, keep: bool) -> None:
        self._file.abandon(keep)

    def failed(self, message: str) -> None:
        """Records a failure. The caller learns of it from the run's events; a task is not told why it is abandoned."""
        self._ledger.fail(self._decision, message)

    def interrupt(self) -> None:
        self._file.interrupt()


class BrokenTask(BaseTask):
    """A source that cannot be encoded. The run reports it like any other failure."""

    def __init__(self, source: Path | str, error: Exception) -> None:
        self._source, self._error = source, error

    @classmethod
    def of(cls, trouble: Trouble) -> BrokenTask:
        return cls(trouble.source, NvencError(trouble.reason))

    @property
    def source(self) -> str:
        return str(self._source)

    def prepare(self, lanes: int) -> Plan:  # noqa: ARG002
        raise self._error

    def config(self, engine: EngineInfo) -> EncoderConfig:
        raise NotImplementedError

    def frames(self, first: int, engine: EngineInfo) -> Iterator[Any]:
        raise NotImplementedError

    def sink(self, first: int) -> PieceSink:
        raise NotImplementedError

    def finish(self) -> Result | NextPlan:
        raise NotImplementedError
