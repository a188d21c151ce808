"""Giving a result its name, and where it replaces its source, the source's place in every respect."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

COPIED_AT_ONCE = 1 << 20
COMPARED = 4096


def take_place(part: Path, destination: Path, replaced: Path | None = None) -> None:
    """Renames the part file once its bytes are on the disk.

    ``replaced`` is a source that is to be gone: the result takes its owner, permissions and times. Where it has further
    names, the result is written into the file that all of them mean, and the part file stays until that is done.
    """
    _sync(part)
    if replaced is None:
        part.replace(destination)
        _sync_folder(destination.parent)
        return
    stat = replaced.stat()
    is_same = destination.exists() and destination.samefile(replaced)
    if stat.st_nlink > 1 and is_same:
        _overwrite(destination, part)
        os.utime(destination, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        part.unlink()
        return
    _take_owner(part, stat)
    shutil.copystat(replaced, part)
    target = destination.resolve() if is_same else destination  # a link to the source stays one
    part.replace(target)
    _sync_folder(target.parent)
    if not is_same:
        replaced.unlink()
        _sync_folder(replaced.parent)


def go_on_replacing(part: Path, destination: Path, mtime_ns: int) -> None:
    """What a killed run had begun: the part file is whole, the file with several names is not."""
    _overwrite(destination, part)
    os.utime(destination, ns=(destination.stat().st_atime_ns, mtime_ns))
    part.unlink()


def is_half_replaced(part: Path, destination: Path) -> bool:
    """Whether the file begins as the part file does, and so was being overwritten with it."""
    try:
        with part.open("rb") as new, destination.open("rb") as file:
            begin = new.read(COMPARED)
            return bool(begin) and file.read(COMPARED) == begin
    except OSError:
        return False


def _take_owner(part: Path, stat: os.stat_result) -> None:
    with suppress(PermissionError):  # only root gives files away
        os.chown(part, stat.st_uid, stat.st_gid)


def _overwrite(target: Path, part: Path) -> None:
    with part.open("rb") as source, target.open("rb+") as file:
        shutil.copyfileobj(source, file, COPIED_AT_ONCE)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
