"""What came of a run: the result of each task, or its error."""

from __future__ import annotations

from dataclasses import dataclass

from ._errors import SeveralErrors
from ._old_names import warn_of_old_name


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a task that succeeded. ``skipped`` says why there is nevertheless no file."""

    destination: str
    frames: int
    size: int
    source_bytes: int = 0
    warnings: tuple[str, ...] = ()
    skipped: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """The results of a run's tasks, in their order: a ``Result``, or the error that ended the task."""

    results: tuple[Result | Exception, ...]
    frames: int
    seconds: float
    lost_engines: dict[int, str]

    @property
    def errors(self) -> list[Exception]:
        return [one for one in self.results if isinstance(one, Exception)]

    def raise_for_errors(self) -> list[Result]:
        """All results, if there is no error. Raises the error if there is one, and ``SeveralErrors`` if there are more.

        ``SeveralErrors`` is an ``ExceptionGroup``, for ``except*``, where Python has those (3.11 and newer).
        """
        errors = self.errors
        if len(errors) == 1:
            raise errors[0]
        if errors:
            text = f"{len(errors)} of {len(self.results)} jobs failed. The first error: {errors[0]}"
            raise SeveralErrors(text, errors)
        return [one for one in self.results if isinstance(one, Result)]

    def require_success(self) -> list[Result]:
        """The old name of ``raise_for_errors``, which raises the first error alone."""
        warn_of_old_name("RunReport.require_success()", "raise_for_errors()")
        for error in self.errors:
            raise error
        return [one for one in self.results if isinstance(one, Result)]
