"""The same folders under other paths: what one machine has as ``/mnt/videos``, another has as ``/srv/videos``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from .._errors import InvalidConfig

VARIABLE = "PDUM_NVENC_MAP_PATHS"
"""Of a worker's environment: its mappings, in JSON."""


@dataclass(frozen=True, kw_only=True)
class PathMapping:
    """A folder's path on the machine that gives work, and on the machine that does it. Both are absolute."""

    caller: PurePosixPath
    worker: PurePosixPath

    def __post_init__(self) -> None:
        for name in ("caller", "worker"):
            path = PurePosixPath(getattr(self, name))
            if not path.is_absolute() or ".." in path.parts:
                raise InvalidConfig(f"Expected an absolute path without '..', got {name}={str(path)!r}.")
            object.__setattr__(self, name, path)

    @classmethod
    def of(cls, text: str) -> PathMapping:
        """From ``"/mnt/videos=/srv/videos"``: first the caller's path, then the worker's."""
        caller, sign, worker = text.partition("=")
        if not sign or not caller or not worker:
            raise InvalidConfig(
                f"Expected the caller's path and the worker's, such as /mnt/videos=/srv/videos, got {text!r}."
            )
        return cls(caller=PurePosixPath(caller), worker=PurePosixPath(worker))

    def __str__(self) -> str:
        return f"{self.caller}={self.worker}"


def to_worker(path: PurePosixPath | str, mappings: Iterable[PathMapping]) -> PurePosixPath:
    """The worker's path of a file of the caller. The longest folder that holds the file decides."""
    return _mapped(PurePosixPath(path), [(one.caller, one.worker) for one in mappings])


def to_caller(path: PurePosixPath | str, mappings: Iterable[PathMapping]) -> PurePosixPath:
    """The caller's path of a file of the worker."""
    return _mapped(PurePosixPath(path), [(one.worker, one.caller) for one in mappings])


def _mapped(path: PurePosixPath, pairs: list[tuple[PurePosixPath, PurePosixPath]]) -> PurePosixPath:
    for old, new in sorted(pairs, key=lambda pair: len(pair[0].parts), reverse=True):
        if path.is_relative_to(old):
            return new / path.relative_to(old)
    return path


def require_one_meaning(mappings: Iterable[PathMapping]) -> None:
    """Raises InvalidConfig if two mappings give one folder different paths."""
    for side in ("caller", "worker"):
        seen: dict[PurePosixPath, PathMapping] = {}
        for one in mappings:
            other = seen.setdefault(getattr(one, side), one)
            if other != one:
                raise InvalidConfig(f"{other} and {one} conflict: the {side}'s path is the same. Leave one out.")


def as_variable(mappings: Sequence[PathMapping]) -> dict[str, str]:
    """For the environment of a worker's processes."""
    require_one_meaning(mappings)
    return {VARIABLE: json.dumps([str(one) for one in mappings])}


def mappings_of_this_process() -> list[PathMapping]:
    """Those that the worker was started with; none in any other process."""
    return [PathMapping.of(one) for one in json.loads(os.environ.get(VARIABLE, "[]"))]
