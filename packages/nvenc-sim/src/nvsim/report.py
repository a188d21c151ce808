"""Reads the report that the simulated driver writes if the configuration names a file for it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Violation:
    """One rule of the interface that a program broke."""

    call: str
    object: str  # "session 1"
    message: str
    library: str = ""  # "cuda", "encode", "nvml"
    pid: int = 0

    def __str__(self) -> str:
        return f"{self.call} ({self.object}): {self.message}"


@dataclass
class Report:
    """What all processes told."""

    violations: list[Violation] = field(default_factory=list)
    loaded: set[int] = field(default_factory=set)  # processes that opened any of the libraries
    ended: set[int] = field(default_factory=set)  # those that told what was left
    live: Counter[str] = field(default_factory=Counter)  # what they left, by kind
    calls: Counter[str] = field(default_factory=Counter)  # how often each call was used, if `count` was on

    @property
    def unheard(self) -> set[int]:
        """Processes that were killed, or ended by _exit, before they could tell what was left."""
        return self.loaded - self.ended


def read_report(path: Path) -> Report:
    """What a report says. A file that is not there says that no process opened the driver."""
    report = Report()
    text = path.read_text() if path.exists() else ""
    for line in text.splitlines():
        add(report, json.loads(line))
    return report


def add(report: Report, line: dict[str, Any]) -> None:
    pid = line["pid"]
    if "loaded" in line:
        report.loaded.add(pid)
    elif "violation" in line:
        report.violations.append(Violation(line["call"], line["object"], line["violation"], line["lib"], pid))
    elif "ended" in line:
        report.ended.add(pid)
        report.live.update({kind: count for kind, count in line["ended"]["live"].items() if count})
        report.calls.update(line["ended"]["calls"])
