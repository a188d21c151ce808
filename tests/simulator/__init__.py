"""The simulated NVIDIA driver for Python tests.

    from simulator import Simulator

    simulator = Simulator()
    with simulator.machine(gpus=["RTX 4090"], backend="echo") as machine:
        ...                       # any client of libcuda and libnvidia-encode in this process
        machine.calls()           # {"nvEncEncodePicture": 12, …} with count=True

``machine`` configures all the simulated libraries, and on leaving asserts that no rule was broken and that nothing is
still alive. Clients of other processes need `LD_LIBRARY_PATH` and `NVSIM_CONFIG`: see `environment`.

The libraries are looked for in ``$NVSIM_DIR``, else in build/driver, and loaded once; from then on everybody in the
process who opens ``libcuda.so.1`` or ``libnvidia-encode.so.1`` gets them.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.echo import EchoUnit, checksum, parse

__all__ = ["EchoUnit", "Machine", "Simulator", "SimulatorError", "checksum", "environment", "nvsim_dir", "parse"]

LIBRARIES = {
    "cuda": "libcuda.so.1",
    "encode": "libnvidia-encode.so.1",
    "nvml": "libnvidia-ml.so.1",
    "decode": "libnvcuvid.so.1",
}
# Folders of earlier builds, and those of the encoder alone, have no others.
ALWAYS_THERE = ("cuda", "encode")


class SimulatorError(RuntimeError):
    """The simulated driver refused a request."""


def nvsim_dir() -> Path:
    """The folder in which the simulated driver was built."""
    return Path(os.environ.get("NVSIM_DIR", Path(__file__).resolve().parents[2] / "build" / "driver"))


def environment(**config: Any) -> dict[str, str]:
    """The environment of a process that finds the simulated driver with this configuration, and no real one."""
    given = {key: value for key, value in os.environ.items() if key != "NVSIM_CONFIG"}
    return {**given, "LD_LIBRARY_PATH": str(nvsim_dir() / "full"), "NVSIM_CONFIG": json.dumps(config)}


class Library:
    """One simulated library, loaded into this process."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise SimulatorError(f"{path} is not there: build tests/driver first")
        self.name = path.name
        self.handle = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        self.handle.nvsim_control.restype = ctypes.c_char_p
        self.handle.nvsim_control.argtypes = [ctypes.c_char_p]

    def control(self, **request: Any) -> dict[str, Any]:
        """Asks nvsim_control; raises SimulatorError if the answer is an error."""
        answer: dict[str, Any] = json.loads(self.handle.nvsim_control(json.dumps(request).encode()))
        if "error" in answer:
            raise SimulatorError(f"{self.name}: {answer['error']}")
        return answer


class Simulator:
    """The simulated driver in this process: libcuda first, since the encoder library opens it by name.

    `only` names the libraries to load, such as ``("encode",)`` over a real libcuda.
    """

    def __init__(self, only: tuple[str, ...] = ("cuda", "encode", "nvml", "decode")) -> None:
        folder = nvsim_dir() / ("full" if "cuda" in only else "encode")
        present = [
            name for name in LIBRARIES if name in only and (name in ALWAYS_THERE or (folder / LIBRARIES[name]).exists())
        ]
        self.libraries = {name: Library(folder / LIBRARIES[name]) for name in present}

    def configure(self, **config: Any) -> None:
        """Replaces the whole configuration of every library."""
        gc.collect()  # garbage must not keep a session open
        for library in self.libraries.values():
            library.control(configure=config)

    def reset(self) -> None:
        """Resets violations, counts of calls and the uses that faults have counted."""
        for library in self.libraries.values():
            library.control(reset=True)

    def report(self, library: str = "encode") -> dict[str, Any]:
        """`live`, `violations` and `calls` of one library."""
        return self.libraries[library].control(report=True)

    def violations(self) -> list[dict[str, str]]:
        """The rules broken since the last reset, of all libraries."""
        return [violation for name in self.libraries for violation in self.report(name)["violations"]]

    def live(self, library: str = "encode") -> dict[str, int]:
        """How many objects of each kind are alive, for kinds that have any."""
        return {kind: count for kind, count in self.report(library)["live"].items() if count}

    def calls(self, library: str = "encode") -> dict[str, int]:
        """How often each call was used, if the configuration has `count`, faults or a trace."""
        calls: dict[str, int] = self.report(library)["calls"]
        return calls

    @contextlib.contextmanager
    def machine(self, *, check: bool = True, **config: Any) -> Iterator[Machine]:
        """A machine with this configuration. Unless `check` is off, it must end without violations and live objects."""
        self.configure(**config)
        self.reset()
        before = {name: self.live(name) for name in self.libraries}
        yield Machine(self)
        if not check:
            return
        violations = self.violations()
        assert not violations, "\n".join(f"{v['call']} ({v['object']}): {v['message']}" for v in violations)
        after = {name: self.live(name) for name in self.libraries}
        leaked = {name: live for name, live in after.items() if grown(before[name], live)}
        assert not leaked, f"still alive: {leaked}"


def grown(before: dict[str, int], after: dict[str, int]) -> bool:
    """Whether more objects of any kind are alive; primary contexts that a client keeps may stay."""
    kept = {"primary_retains"}
    return any(count > before.get(kind, 0) for kind, count in after.items() if kind not in kept)


class Machine:
    """A test's view of the configured simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def violations(self) -> list[dict[str, str]]:
        return self.simulator.violations()

    def live(self, library: str = "encode") -> dict[str, int]:
        return self.simulator.live(library)

    def calls(self, library: str = "encode") -> dict[str, int]:
        return self.simulator.calls(library)

    def reset(self) -> None:
        self.simulator.reset()
