"""`import pdum.nvenc` loads no array or video library and touches no driver."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loud import need_module

pytestmark = pytest.mark.one_abi

PROBE = """
import json, sys
before = set(sys.modules)
import pdum.nvenc
mapped = {line.split()[-1] for line in open("/proc/self/maps") if "/" in line}
print(json.dumps({"modules": sorted(set(sys.modules) - before), "mapped": sorted(mapped)}))
"""

SOFTWARE = """
import json, sys
before = set(sys.modules)
from pdum.nvenc import EncoderPool, FileTask, SoftwareEncoder
EncoderPool(backend="software").close()
print(json.dumps(sorted(set(sys.modules) - before)))
"""

# Measured in milliseconds; ctypes and multiprocessing would each cost about as much as the whole package.
HEAVY = {"numpy", "av", "cupy", "torch", "ctypes", "multiprocessing", "asyncio", "importlib.metadata", "inspect"}
DRIVER_LIBRARIES = ("libcuda", "libnvidia", "libnvcuvid", "libcudart")


@pytest.fixture(scope="module")
def seen() -> dict[str, list[str]]:
    result = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60, check=True)
    found: dict[str, list[str]] = json.loads(result.stdout)
    return found


def test_native_module_is_loaded(seen: dict[str, list[str]]) -> None:
    assert {"pdum.nvenc", "pdum.nvenc._nvenc"} <= set(seen["modules"])
    assert any("_nvenc" in path for path in seen["mapped"])


def test_no_heavy_module_is_loaded(seen: dict[str, list[str]]) -> None:
    assert not HEAVY & set(seen["modules"])


def test_software_loads_nothing_of_the_hardware() -> None:
    """A short clip takes less time than all imports together."""
    need_module("av")
    result = subprocess.run([sys.executable, "-c", SOFTWARE], capture_output=True, text=True, timeout=60, check=True)
    modules = set(json.loads(result.stdout))
    assert {"pdum.nvenc._media.source", "pdum.nvenc._encoders.software"} <= modules
    of_hardware = {f"pdum.nvenc.{name}" for name in ("_machine.nvml", "_machine.devices", "_machine.capabilities")}
    assert not modules & {*of_hardware, "numpy", "ctypes", "multiprocessing", "asyncio", "tempfile", "uuid"}


def test_no_driver_is_opened(seen: dict[str, list[str]]) -> None:
    opened = [path for path in seen["mapped"] if path.rsplit("/", 1)[-1].startswith(DRIVER_LIBRARIES)]
    assert opened == []


def test_import_works_without_any_library(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It needs only the C and C++ runtimes, and no driver."""
    environment = {"LD_LIBRARY_PATH": str(tmp_path_factory.mktemp("empty")), "PATH": ""}
    command = [sys.executable, "-c", "import pdum.nvenc as n; print(n.__name__)"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, "pdum.nvenc\n"), result.stderr


def test_a_subinterpreter_gets_an_error(nvsim_dir: Path) -> None:
    """pybind11's own start hangs there with CPython 3.11."""
    program = (
        "import sys\n"
        "import _xxsubinterpreters as interpreters\n"
        "code = f'import sys; sys.path[:0] = {sys.path!r}; import pdum.nvenc._nvenc'\n"
        "interpreters.run_string(interpreters.create(), code)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "ImportError" in result.stderr
    assert "main interpreter" in result.stderr
