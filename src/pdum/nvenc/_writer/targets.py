"""Where the bytes of a video go: a file that gets its name at the end, an object of the caller's, or memory."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from typing import Any, Protocol, TypeAlias

from .._errors import FolderMissing, InvalidConfig, NvencError
from .._media.av import naming_file
from .._media.disk_errors import naming_the_disk
from .._media.mux import give_name
from .._media.spool import hidden_sibling

MOST_LEFT_OVER = 100
"""Files of killed writers for the same name. They are kept, since they can be repaired."""


class Target(Protocol):
    """Opened for the first packet."""

    name: str
    """What messages call it."""

    def reserve(self) -> None:
        """Called before the first frame is encoded. Raises if the file could not be written."""
        ...

    def open(self) -> Any:
        """A binary file to write to."""
        ...

    def naming_errors(self) -> Any:
        """A context in which errors say what they are about."""
        ...

    def commit(self) -> None:
        """Called when everything is written and the file is good."""
        ...

    def discard(self, *, is_stuck: bool = False) -> None:
        """Removes what was written, as far as possible. ``is_stuck``: a write to it never returned."""
        ...


class PathTarget:
    """A file with a hidden name until it is complete.

    ``fragmented``: it has its own name from the beginning, since it can be played at any time.
    """

    def __init__(self, path: Path, *, fragmented: bool = False) -> None:
        self.path = self.part = path
        self.name = str(path)
        self._is_hidden = not fragmented
        self._is_reserved = False
        self._file: io.FileIO | None = None
        if not path.parent.is_dir():
            raise FolderMissing(f"The folder {path.parent} does not exist. Create it first.")
        if path.is_dir():
            raise InvalidConfig(f"{path} is a folder. Give the name of a file in it.")

    def reserve(self) -> None:
        """Makes an empty file. Afterwards ``part`` is its name."""
        with naming_the_disk(self.path):
            self._made().close()
        self._is_reserved = True

    def open(self) -> Any:
        self._file = io.FileIO(os.fspath(self.part), "w+")
        return self._file

    def _made(self) -> io.FileIO:
        if not self._is_hidden:
            return io.FileIO(os.fspath(self.path), "a")  # what it holds stays until there is something to write
        for number in range(MOST_LEFT_OVER):
            more = f"-{number}" if number else ""
            name = self.path.with_name(f"{self.path.stem}{more}{self.path.suffix}")
            self.part = hidden_sibling(name, f".part{self.path.suffix.lower()}")
            try:
                return io.FileIO(os.fspath(self.part), "x+")
            except FileExistsError:
                continue
        raise InvalidConfig(
            f"{MOST_LEFT_OVER} hidden files of killed writers lie beside {self.path}. Repair them with "
            "pdum-nvenc repair, or delete them."
        )

    @contextmanager
    def naming_errors(self) -> Iterator[None]:
        try:
            with naming_the_disk(self.part), naming_file(self.part):
                yield
        except FileNotFoundError as error:
            folder = self.path.parent
            if folder.is_dir():
                raise
            raise FolderMissing(f"The folder {folder} was deleted, and the video in it is lost.") from error

    def commit(self) -> None:
        self._close()
        with self.naming_errors():
            give_name(self.part, self.path)

    def discard(self, *, is_stuck: bool = False) -> None:
        """A fragmented file stays: it is a playable video up to there."""
        if not is_stuck:
            self._close()
        if self._is_reserved and (self._is_hidden or self._is_empty()):
            self.part.unlink(missing_ok=True)

    def _is_empty(self) -> bool:
        return self.path.exists() and self.path.stat().st_size == 0

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


class ObjectTarget:
    """A binary file-like object of the caller's. It needs ``write`` alone, and is never closed here."""

    def __init__(self, file: Any) -> None:
        if not callable(getattr(file, "write", None)):
            raise InvalidConfig(
                f"Expected a path, a binary file that can be written to, or None, got a {type(file).__name__}."
            )
        if isinstance(file, io.TextIOBase):
            raise InvalidConfig("Expected a binary file, got a text file. Open it with mode='wb'.")
        if callable(ask := getattr(file, "writable", None)) and not file.closed and not ask():
            raise InvalidConfig("Expected a file that can be written to, got one for reading. Open it with mode='wb'.")
        self._file = file
        self.name = str(getattr(file, "name", None) or f"the {type(file).__name__}")

    def reserve(self) -> None:
        """Leaves the object open, because it is the caller's."""

    def open(self) -> Any:
        return self._file

    @contextmanager
    def naming_errors(self) -> Iterator[None]:
        try:
            yield
        except NvencError:
            raise
        except Exception as error:
            raise NvencError(
                f"{self.name} could not be written to: {_sentence(error)} The video is incomplete: "
                "keep the file open until close(), and begin again with a new VideoWriter."
            ) from error

    def commit(self) -> None:
        if callable(flush := getattr(self._file, "flush", None)):
            with self.naming_errors():
                flush()

    def discard(self, *, is_stuck: bool = False) -> None:
        """Does nothing: bytes in the caller's object cannot be removed."""


class MemoryTarget:
    """Keeps the bytes until they are read."""

    name = "the video in memory"

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._changed = Condition()
        self._is_over = False
        self._error: BaseException | None = None

    def reserve(self) -> None:
        """Does nothing: there is always room."""

    def open(self) -> Any:
        return self

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        with self._changed:
            self._chunks.append(bytes(data))
            self._changed.notify_all()
        return len(data)

    @contextmanager
    def naming_errors(self) -> Iterator[None]:
        yield

    def take(self) -> bytes:
        """All that is there now."""
        with self._changed:
            chunks, self._chunks = self._chunks, []
        return b"".join(chunks)

    def take_waiting(self) -> bytes:
        """Waits for bytes; b"" once the video is over."""
        with self._changed:
            while not self._chunks and not self._is_over:
                self._changed.wait()
        data = self.take()
        if not data and self._error is not None:
            raise self._error
        return data

    def commit(self) -> None:
        self._end(None)

    def discard(self, *, is_stuck: bool = False) -> None:  # noqa: ARG002
        self._end(NvencError("The video was discarded before it was complete. Make a new VideoWriter."))

    def _end(self, error: BaseException | None) -> None:
        with self._changed:
            if not self._is_over:
                self._is_over, self._error = True, error
            self._changed.notify_all()


def _sentence(error: Exception) -> str:
    """What the caller's object says, with one full stop."""
    return (str(error).rstrip(".") or type(error).__name__) + "."


AnyTarget: TypeAlias = "PathTarget | ObjectTarget | MemoryTarget"


def target_of(given: Any, *, fragmented: bool) -> AnyTarget:
    if given is None:
        return MemoryTarget()
    if isinstance(given, (str, os.PathLike)):
        return PathTarget(Path(os.fsdecode(given)).absolute(), fragmented=fragmented)
    return ObjectTarget(given)
