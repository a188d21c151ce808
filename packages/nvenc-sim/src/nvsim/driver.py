"""The simulated driver, loaded into this process.

The libraries are loaded once. From then on everybody in the process who opens `libcuda.so.1`, `libnvidia-encode.so.1`,
`libnvidia-ml.so.1` or `libnvcuvid.so.1` gets them.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .call_names import check_call
from .location import driver_folder

# In the order in which they are loaded: the encoder opens libcuda by its name.
LIBRARIES = {
    "cuda": "libcuda.so.1",
    "encode": "libnvidia-encode.so.1",
    "nvml": "libnvidia-ml.so.1",
    "decode": "libnvcuvid.so.1",
}
OPTIONAL = {"nvml", "decode"}
"""A build of the encoder alone has none of these, and one without libavcodec no decoder."""


class SimulatorError(RuntimeError):
    """The simulated driver refused a request."""


class Library:
    """One simulated library, loaded into this process."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise SimulatorError(
                f"Expected the simulated driver at {path}, got no such file: set NVSIM_DIR to the folder in which"
                " it was built, or unset it to use the one of pdum-nvenc-sim"
            )
        self.name = path.name
        self.handle = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        self.handle.nvsim_control.restype = ctypes.c_char_p
        self.handle.nvsim_control.argtypes = [ctypes.c_char_p]

    def control(self, **request: Any) -> dict[str, Any]:
        """Asks nvsim_control; raises SimulatorError if the answer is an error."""
        __tracebackhide__ = True  # pytest shows the caller
        answer: dict[str, Any] = json.loads(self.handle.nvsim_control(json.dumps(request).encode()))
        if "error" in answer:
            raise SimulatorError(answer["error"])
        return answer


class Simulator:
    """The simulated driver in this process. Make it before anything else opens a driver.

    `only` names the libraries to load, such as ``("encode",)`` over a real libcuda.
    """

    def __init__(self, only: tuple[str, ...] = tuple(LIBRARIES)) -> None:
        folder = driver_folder() / ("full" if "cuda" in only else "encode")
        present = [
            name for name in LIBRARIES if name in only and (name not in OPTIONAL or (folder / LIBRARIES[name]).exists())
        ]
        self.libraries = {name: Library(folder / LIBRARIES[name]) for name in present}

    def configure(self, **config: Any) -> None:
        """Replaces the whole configuration of every library."""
        __tracebackhide__ = True
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

    def catalogue(self) -> dict[str, dict[str, Any]]:
        """The GPUs that a configuration can name, and what each has."""
        return self.libraries["encode"].control(catalogue=True)

    def missing_codecs(self) -> dict[str, str]:
        """The codecs that the backend `codec` cannot use here, each with the reason."""
        obstacles = self.libraries["encode"].control(codecs=True)
        return {codec: reason for codec, reason in obstacles.items() if reason}

    def lose_device(self, gpu: int = 0) -> None:
        """From now on this GPU is gone: every later call on it fails."""
        __tracebackhide__ = True
        self.libraries["encode"].control(lose_device=gpu)

    def check_call(self, name: str) -> None:
        """Raises ValueError if no library has a call of this name."""
        __tracebackhide__ = True
        check_call(name, {key: library.handle for key, library in self.libraries.items()})

    def all_live(self) -> dict[str, dict[str, int]]:
        """`live` of every library."""
        return {name: self.live(name) for name in self.libraries}

    def leaked(self, before: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        """What is alive now that was not alive `before`, by library."""
        now = self.all_live()
        return {name: live for name, live in now.items() if grown(before[name], live)}

    @contextlib.contextmanager
    def machine(self, *, check: bool = True, **config: Any) -> Iterator[Machine]:
        """A machine with this configuration. Unless `check` is off, it must end without violations and live objects."""
        self.configure(**config)
        self.reset()
        before = self.all_live()
        yield Machine(self)
        if not check:
            return
        violations = self.violations()
        assert not violations, "\n".join(f"{v['call']} ({v['object']}): {v['message']}" for v in violations)
        leaked = self.leaked(before)
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
