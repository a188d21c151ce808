"""Errors of the file system, in words that name the disk or the file that they are about."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def naming_the_disk(path: Path) -> Iterator[None]:
    """Adds to an OSError from inside what it is about, if the error does not say that itself."""
    try:
        yield
    except OSError as error:
        text = _described(error, path)
        if text is None:
            raise
        raise OSError(error.errno, text) from error


def _described(error: OSError, path: Path) -> str | None:
    if error.errno is None:
        return None
    reason = os.strerror(error.errno)
    if error.errno in FULL:
        folder = path.parent
        return f"{reason}: {folder} is on the disk that is mounted at {_mount_of(folder)}. Free some space there."
    return None if error.filename is not None else f"{reason}: {path}"


def _mount_of(path: Path) -> Path:
    """The folder that the path's file system is mounted at."""
    path = path.resolve()
    while path != path.parent and not os.path.ismount(path):
        path = path.parent
    return path
