"""Runs in the Python that a wheel is for: imports the installed package and encodes frames with each codec.

usage: encode_some.py FOLDER VERSION     where it is installed, and the version of Python that this has to be
"""

from __future__ import annotations

import platform
import sys
import sysconfig

import numpy as np

import pdum.nvenc

WIDTH, HEIGHT, FRAMES = 256, 192, 4


def main() -> None:
    folder, version = sys.argv[1:]
    free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    own = "{}.{}".format(*sys.version_info[:2]) + "t" * free_threaded
    assert own == version, f"Expected Python {version}, got {own}."
    assert pdum.nvenc.__file__.startswith(folder), f"Expected the package in {folder}, got {pdum.nvenc.__file__}."
    frame = np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8)  # NV12
    for codec in ("h264", "hevc", "av1"):
        with pdum.nvenc.NvencEncoder(WIDTH, HEIGHT, codec=codec) as encoder:
            stream = b"".join([*(encoder.encode(frame) for _ in range(FRAMES)), encoder.flush()])
        assert len(stream) > FRAMES, f"Expected {FRAMES} pictures of {codec}, got {stream!r}."
    if free_threaded:
        assert not sys._is_gil_enabled(), "The import of pdum.nvenc turned the GIL on."  # type: ignore[attr-defined]
    print(f"Python {platform.python_version()}{'t' * free_threaded} on {platform.machine()} encoded")


main()
