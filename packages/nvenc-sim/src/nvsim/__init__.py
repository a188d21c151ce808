"""A simulated NVIDIA driver, for tests of code that uses NVENC on machines without a GPU.

In pytest, ask for the fixture `nvenc_sim`. On a command line, `nvsim run -- ffmpeg …`. From any other Python program:

    from nvsim import Simulator

    simulator = Simulator()
    with simulator.machine(gpus=["RTX 4090"], count=True) as machine:
        ...                       # any client of libcuda and libnvidia-encode in this process
        machine.calls()           # {"nvEncEncodePicture": 12, …}

Leaving the machine asserts that no rule of the interface was broken and that nothing is still alive. A program in
another process needs the variables of `environment`.
"""

from __future__ import annotations

from .driver import LIBRARIES, Library, Machine, Simulator, SimulatorError
from .echo import EchoUnit, checksum, parse
from .location import driver_folder, environment
from .nvenc_sim import NvencSim
from .report import Report, Violation, read_report
from .trace import Call, read_calls, read_violations

__all__ = [
    "LIBRARIES",
    "Call",
    "EchoUnit",
    "Library",
    "Machine",
    "NvencSim",
    "Report",
    "Simulator",
    "SimulatorError",
    "Violation",
    "checksum",
    "driver_folder",
    "environment",
    "parse",
    "read_calls",
    "read_report",
    "read_violations",
]
