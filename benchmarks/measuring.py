"""Shared by the benchmarks: figures and their files, medians with their spread, the place of the simulated driver."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

FORM = 1
"""Of the files that hold figures. It grows when older programs could not read them any more."""

DRIVER = Path(os.environ.get("NVSIM_DIR", Path(__file__).resolve().parents[1] / "build" / "driver"))
HOW_TO_BUILD = "cmake -S tests/driver -B build/driver && cmake --build build/driver"


@dataclass(frozen=True)
class Figure:
    """One cell of a table: all samples of it, in the unit of its column."""

    row: str
    column: str
    unit: str
    samples: list[float]
    better: Literal["less", "more", ""] = "less"
    """Which change is an improvement; empty if neither is."""


def save(
    path: Path | None,
    part: str,
    figures: Iterable[Figure],
    *distributions: str,
    others: Mapping[str, str] | None = None,
) -> None:
    """Writes the figures of one part, if a file was asked for, with their machine and versions.

    ``others``: versions of what is not installed here, by their names.
    """
    if path is None:
        return
    found = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "load": round(os.getloadavg()[0], 1),
        "priority": "raised" if os.getpriority(os.PRIO_PROCESS, 0) < 0 else "usual",
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments_of(sys.argv[1:])]),
        "versions": {name: version_of(name) for name in ("pdum-nvenc", *distributions)} | dict(others or {}),
        "figures": [asdict(figure) | {"samples": [rounded(one) for one in figure.samples]} for figure in figures],
    }
    path.write_text(json.dumps({"form": FORM, "machine": machine_facts(), "parts": {part: found}}, indent=1) + "\n")


def arguments_of(command: Sequence[str]) -> list[str]:
    """Those that say what is measured: not the place of the results, which differs from machine to machine."""
    kept = list(command)
    if "--json" in kept:
        place = kept.index("--json")
        del kept[place : place + 2]
    return [word for word in kept if word != "--inside"]


def rounded(value: float) -> float:
    """Six digits are more than any clock here knows."""
    return float(f"{value:.6g}")


def machine_facts() -> dict[str, Any]:
    facts: dict[str, Any] = {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    gpu = gpu_name()
    return facts | ({"gpu": gpu} if gpu else {})


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def gpu_name() -> str:
    """Of the first GPU, with its driver's version; empty without one."""
    if shutil.which("nvidia-smi") is None:
        return ""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    lines = done.stdout.splitlines()
    return ", driver ".join(lines[0].split(", ")) if done.returncode == 0 and lines else ""


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
