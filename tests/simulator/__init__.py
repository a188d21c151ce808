"""The simulated NVIDIA driver for this repository's tests: the parts of `packages/nvenc-sim`, over build/driver.

    from simulator import Simulator

    simulator = Simulator()
    with simulator.machine(gpus=["RTX 4090"], backend="echo") as machine:
        ...                       # any client of libcuda and libnvidia-encode in this process
        machine.calls()           # {"nvEncEncodePicture": 12, …} with count=True

The driver is looked for in ``$NVSIM_DIR``, else in build/driver.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Programs that tests start find this folder, and not always what pytest has in its path.
if (SOURCE := str(ROOT / "packages" / "nvenc-sim" / "src")) not in sys.path:
    sys.path.append(SOURCE)

from nvsim import (  # noqa: E402
    EchoUnit,
    Library,
    Machine,
    Simulator,
    SimulatorError,
    checksum,
    driver_folder,
    environment,
    parse,
)

nvsim_dir = driver_folder

__all__ = [
    "EchoUnit",
    "Library",
    "Machine",
    "Simulator",
    "SimulatorError",
    "checksum",
    "environment",
    "nvsim_dir",
    "parse",
]
