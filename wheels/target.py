"""One wheel: a version of CPython and a processor."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.13t", "3.14t")
ARCHITECTURES = ("x86_64", "aarch64")
GLIBC = "2.17"  # older systems have no supported Python
DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Target:
    """A version as people write it (3.13t is 3.13 without the GIL), and a processor as uname does."""

    version: str
    architecture: str
    nvtx: bool = True
    """Whether it has ranges for profilers."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"3\.[1-9]\d+t?", self.version):
            raise SystemExit(f"Expected CPython 3.10 or newer, such as 3.12 or 3.13t, got {self.version!r}.")
        if self.architecture not in ARCHITECTURES:
            raise SystemExit(f"Expected {' or '.join(ARCHITECTURES)}, got --arch {self.architecture!r}.")

    @property
    def minor(self) -> str:
        """The version without the t."""
        return self.version.removesuffix("t")

    @property
    def free_threaded(self) -> bool:
        return self.version.endswith("t")

    @property
    def is_native(self) -> bool:
        return self.architecture == platform.machine()

    @property
    def triplet(self) -> str:
        return f"{self.architecture}-linux-gnu"

    @property
    def folder(self) -> str:
        """Where it is built, below the cache."""
        return f"{self.version}-{self.architecture}" + ("" if self.nvtx else "-no-nvtx")

    @property
    def nvtx_option(self) -> str:
        return f"-DUSE_NVTX={'ON' if self.nvtx else 'OFF'}"

    @property
    def abi(self) -> str:
        return "cp" + self.version.replace(".", "")

    @property
    def tag(self) -> str:
        """Before auditwheel has found out which systems the wheel is for."""
        return f"{self.abi.removesuffix('t')}-{self.abi}-linux_{self.architecture}"

    @property
    def suffix(self) -> str:
        """The end of the names of extension modules."""
        return f".cpython-{self.abi.removeprefix('cp')}-{self.triplet}.so"

    @property
    def debian_architecture(self) -> str:
        return DEBIAN_NAMES[self.architecture]

    def __str__(self) -> str:
        return f"{self.version} {self.architecture}"
