"""The object behind pytest's fixture `nvenc_sim`. It needs no pytest itself."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .driver import Simulator
from .location import environment
from .report import Violation, read_report
from .statuses import number_of
from .trace import Call, read_calls

MOST_ENGINES = 64
DEFAULT_GPU = "RTX 4090"


class NvencSim:
    """The simulated driver as one test sees it: in this process, and in the programs that `run` starts.

    `folder` is where the trace and the report are written.
    """

    def __init__(self, simulator: Simulator, folder: Path, *gpus: str | Mapping[str, Any], **settings: Any) -> None:
        self.simulator = simulator
        self.trace_file = folder / "trace.jsonl"
        self.report_file = folder / "report.jsonl"
        self.check_leaks = True  # False: the test may end with sessions and memory that it did not give back
        self._expected: list[Violation] = []
        self._config: dict[str, Any] = {}
        self.machine(*gpus, **settings)
        simulator.reset()
        self._before = simulator.all_live()

    # The machine.

    def machine(self, *gpus: str | Mapping[str, Any], **settings: Any) -> None:
        """Replaces the machine: GPUs by name ("RTX 4090", "L4") or as objects, and settings such as `backend`.

        Refused while sessions are open.
        """
        __tracebackhide__ = True
        files = {"trace": str(self.trace_file), "report": str(self.report_file)}
        self._put({"gpus": list(gpus) or [DEFAULT_GPU], **files, **settings})

    def fail(self, call: str, status: int | str = "NV_ENC_ERR_GENERIC", *, nth: int = 1) -> None:
        """The nth use of this call from now on answers `status` instead of doing its work. `nth=0`: every use."""
        __tracebackhide__ = True
        self.simulator.check_call(call)
        fault = {"call": call, "nth": nth, "status": number_of(status)}
        self._put({**self._config, "faults": [*self._config.get("faults", []), fault]})

    def exhaust_sessions(self, status: int | str = "NV_ENC_ERR_OUT_OF_MEMORY") -> None:
        """No further session opens, as when other programs use all of them. Those that are open go on."""
        self.fail("nvEncOpenEncodeSessionEx", status, nth=0)

    def clear_faults(self) -> None:
        """Ends what `fail` and `exhaust_sessions` began."""
        self._put({key: value for key, value in self._config.items() if key != "faults"})

    def lose_device(self, gpu: int = 0, *, after_frames: int | None = None) -> None:
        """The GPU is gone: now, or as soon as one of its engines has encoded `after_frames`.

        The latter is refused while sessions are open. A new `machine` brings the GPU back.
        """
        __tracebackhide__ = True
        if after_frames is None:
            self.simulator.lose_device(gpu)
            return
        loss = {"gpu": gpu, "after_frames": after_frames, "device_lost": True}
        self._put({**self._config, "stall": [{**loss, "engine": engine} for engine in range(MOST_ENGINES)]})

    def _put(self, config: dict[str, Any]) -> None:
        __tracebackhide__ = True
        self.simulator.configure(**config)
        self._config = config

    # What happened.

    def calls(self, name: str = "") -> list[Call]:
        """The calls so far in order, of every process, or those of one name."""
        return read_calls(self.trace_file, name) if self.trace_file.exists() else []

    @property
    def violations(self) -> list[Violation]:
        """The rules broken so far, in every process, but those that were expected."""
        found = read_report(self.report_file).violations
        for expected in self._expected:
            found.remove(expected)
        return found

    def live(self, library: str = "encode") -> dict[str, int]:
        """What is alive in this process: {"sessions": 1, …}."""
        return self.simulator.live(library)

    @property
    def missing_codecs(self) -> dict[str, str]:
        """The codecs whose real streams (`backend="codec"`) cannot be had here, each with the reason."""
        return self.simulator.missing_codecs()

    @contextlib.contextmanager
    def expect_violation(self, match: str = "") -> Iterator[None]:
        """The block has to break a rule whose text matches; the rules that match do not fail the test."""
        before = len(self.violations)
        yield
        new = self.violations[before:]
        matching = [violation for violation in new if re.search(match, str(violation))]
        told = "\n".join(map(str, new)) or "none"
        assert matching, f"Expected a violation that matches {match!r}, got:\n{told}"
        self._expected += matching

    # Other processes.

    def environment(self) -> dict[str, str]:
        """The environment of a program that is to find the same machine."""
        return environment(**self._config)

    def run(
        self, command: Sequence[str | os.PathLike[str]], *, env: Mapping[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program on the same machine to its end, which must be good unless `check=False`.

        `options` are those of `subprocess.run`. Its output is captured as text.
        """
        given = {"check": True, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True, **options}
        return subprocess.run(list(command), env={**self.environment(), **(env or {})}, **given)

    # The end.

    def broken_rules(self) -> str:
        """The violations as a text for people; empty: there are none."""
        found = self.violations
        lines = [f"  {violation}" for violation in found[:20]]
        more = [f"  … and {len(found) - 20} more"] if len(found) > 20 else []
        told = "1 rule of the driver's interface was broken:"
        if len(found) > 1:
            told = f"{len(found)} rules of the driver's interface were broken:"
        return "\n".join([told, *lines, *more]) if found else ""

    def leaks(self) -> str:
        """What the test left in this process, as a text for people; empty: nothing."""
        leaked = self.simulator.leaked(self._before) if self.check_leaks else {}
        told = [f"{count} {kind}" for live in leaked.values() for kind, count in live.items()]
        return f"left alive in this process: {', '.join(told)}" if told else ""

    def close(self) -> None:
        """Stops writing, and takes the faults away. Sessions that are open stay open."""
        watched = {"trace", "report", "faults"}
        self._put({key: value for key, value in self._config.items() if key not in watched})
