"""Where the simulated driver is, and the environment in which a process finds it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

IN_THIS_PACKAGE = Path(__file__).resolve().parent / "driver"
IN_A_CHECKOUT = Path(__file__).resolve().parents[4] / "build" / "driver"


def driver_folder() -> Path:
    """The folder that holds `full` and `encode`: $NVSIM_DIR, else the one that was installed with this package.

    In a checkout of the sources, where none is installed, it is build/driver.
    """
    if given := os.environ.get("NVSIM_DIR"):
        return Path(given)
    return IN_THIS_PACKAGE if IN_THIS_PACKAGE.exists() or not IN_A_CHECKOUT.exists() else IN_A_CHECKOUT


def environment(**config: Any) -> dict[str, str]:
    """The environment of a process that finds the simulated driver, with this configuration, before any real one."""
    return {**os.environ, **variables(config)}


def variables(config: Mapping[str, Any]) -> dict[str, str]:
    """Only the variables that make a process find the simulated driver."""
    paths = [str(driver_folder() / "full"), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {"LD_LIBRARY_PATH": os.pathsep.join(paths), "NVSIM_CONFIG": json.dumps(config)}
