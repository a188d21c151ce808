"""Reads the trace of calls that the simulated driver writes if the configuration names a file for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Call:
    """One call, as its library saw it."""

    time: int  # nanoseconds
    pid: int
    tid: int
    library: str  # "cuda", "encode", "nvml"
    api: str  # "13.0"; empty if the call belongs to no version
    name: str
    session: int  # 0: none
    status: int
    args: dict[str, Any]  # fields that are not zero, by their names


def read_calls(path: Path, name: str = "") -> list[Call]:
    """The calls of a trace in order, or those of one name."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    calls = [
        Call(
            time=line["t"],
            pid=line["pid"],
            tid=line["tid"],
            library=line["lib"],
            api=line.get("api", ""),
            name=line["call"],
            session=line.get("session", 0),
            status=line["status"],
            args=line.get("args", {}),
        )
        for line in lines
        if "violation" not in line
    ]
    return [call for call in calls if not name or call.name == name]


def read_violations(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if "violation" in line]
