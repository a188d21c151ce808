"""A storage that breaks on demand: ``faulty://`` has the same files as ``memory://``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loud import need_module


class Faults:
    """What goes wrong: each function is called with the name of an operation before it, and may raise."""

    def __init__(self) -> None:
        self.before: Callable[[str], object] = lambda _: None
        self.change: Callable[[bytes], bytes] = lambda data: data
        self.calls: list[str] = []

    def tell(self, call: str) -> None:
        self.calls.append(call)
        self.before(call)


def faulty_file_system(found: Faults) -> Any:
    """The class of a file system, for fsspec."""
    memory = type(need_module("fsspec").filesystem("memory"))

    class File:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def read(self, size: int = -1) -> bytes:
            found.tell("read")
            return found.change(self._file.read(size))

        def write(self, data: bytes) -> int:
            found.tell("write")
            return int(self._file.write(data))

    class Faulty(memory):  # type: ignore[misc, valid-type]
        protocol = "faulty"

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return str(memory._strip_protocol(path.replace("faulty://", "memory://")))

        def info(self, path: str, **more: Any) -> Any:
            found.tell("info")
            return super().info(path, **more)

        def open(self, path: str, mode: str = "rb", **more: Any) -> Any:
            found.tell("open")
            return File(super().open(path, mode, **more))

        def mv(self, old: str, new: str, **more: Any) -> None:
            found.tell("mv")
            self.store[self._strip_protocol(new)] = self.store.pop(self._strip_protocol(old))

    return Faulty
