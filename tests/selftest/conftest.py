"""The self-test as a user runs it, on simulated cards."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from loud import need_module
from simulator import environment


@dataclass(frozen=True)
class Report:
    """What one run wrote, and how it ended."""

    content: dict[str, Any]
    text: str
    page: str
    code: int
    shown: str
    violations: tuple[str, ...] = ()
    """Rules of the interface that were broken, if the configuration has a trace."""

    @property
    def lines(self) -> dict[str, dict[str, Any]]:
        return {f"{line['theme']}: {line['name']}": line for line in self.content["lines"]}

    def named(self, *verdicts: str) -> dict[str, str]:
        """The lines with these verdicts, and what was found."""
        return {name: line["found"] for name, line in self.lines.items() if line["verdict"] in verdicts}


class Run(Protocol):
    def __call__(
        self, config: dict[str, Any] | None, *only: str, abi: str = "", seconds: int = 200, **variables: str
    ) -> Report: ...


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, nvsim_dir: Path) -> Run:
    """Runs ``python -m pdum.nvenc selftest`` on a machine; without a configuration on one that has no driver."""
    need_module("av")
    assert nvsim_dir.is_dir()

    def once(config: dict[str, Any] | None, *only: str, abi: str = "", seconds: int = 200, **variables: str) -> Report:
        folder = tmp_path_factory.mktemp("report")
        given = {name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "NVSIM_CONFIG")}
        surroundings = given if config is None else environment(backend="codec", **config)
        surroundings |= {"PDUM_NVENC_ABI": abi, **variables}
        command = [sys.executable, "-m", "pdum.nvenc", "selftest", "-o", str(folder), "--seconds", str(seconds)]
        for one in only:
            command += ["--only", one]
        done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=280)
        text = (folder / "selftest.json").read_text()
        page = (folder / "selftest.md").read_text()
        trace = Path((config or {}).get("trace", folder / "none"))
        return Report(json.loads(text), text, page, done.returncode, done.stdout, violations_in(trace))

    return once


def violations_in(trace: Path) -> tuple[str, ...]:
    if not trace.exists():
        return ()
    with trace.open() as lines:
        return tuple(json.loads(line)["violation"] for line in lines if '"violation"' in line)


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[], Report]) -> Report:
    """A whole report takes ten seconds, so all processes of a run of tests share it."""
    folder = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    kept = folder / f"{name}.json"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_text(json.dumps(asdict(make())))
    told = json.loads(kept.read_text())
    return Report(**{**told, "violations": tuple(told["violations"])})


@pytest.fixture(scope="session")
def rtx_3060(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The recorded card, on the interface of the recording."""
    trace = str(tmp_path_factory.mktemp("trace") / "calls.jsonl")
    config = {"gpus": ["RTX 3060"], "driver_version": "595", "trace": trace}
    return made_once(tmp_path_factory, "rtx_3060", lambda: run(config, abi="13.0"))


@pytest.fixture(scope="session")
def rtx_4090(run: Run) -> Report:
    """A card with AV1 and two engines."""
    return run({"gpus": [{"name": "RTX 4090", "fps_1080p": 60}]}, abi="13.1")
