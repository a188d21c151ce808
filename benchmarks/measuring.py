"""Shared by the benchmarks: medians with their spread, a line about the machine, the place of the simulated driver."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

DRIVER = Path(os.environ.get("NVSIM_DIR", Path(__file__).resolve().parents[1] / "build" / "driver"))
HOW_TO_BUILD = "cmake -S tests/driver -B build/driver && cmake --build build/driver"


def quartiles(samples: Sequence[float]) -> tuple[float, float, float]:
    """The first quartile, the median and the third."""
    if len(samples) < 2:
        return samples[0], samples[0], samples[0]
    low, middle, high = statistics.quantiles(samples, n=4, method="inclusive")
    return low, middle, high


def machine(*distributions: str) -> str:
    """One line: processor, cores, load, Python, and the versions of what is measured."""
    words = [
        f"{os.cpu_count()} cores, {platform.machine()}",
        f"load {os.getloadavg()[0]:.1f}",
        f"{platform.python_implementation()} {platform.python_version()}",
    ]
    return ", ".join(words + [f"{name} {version_of(name)}" for name in ("pdum-nvenc", *distributions)])


def version_of(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def library_folder(driver: str) -> Path:
    """`full` (libcuda too) or `encode` (over a real libcuda) of the simulated driver."""
    folder = DRIVER / driver
    if not (folder / "libnvidia-encode.so.1").exists():
        raise SystemExit(f"The simulated driver is not built in {DRIVER} (NVSIM_DIR changes the place): {HOW_TO_BUILD}")
    return folder
