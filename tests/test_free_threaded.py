"""Python without the GIL: the module does not turn it on, and the thread tests pass there, too.

Runs where PDUM_FREE_THREADED_PYTHON names such an interpreter (3.13 or newer) that has numpy. pytest comes from the
environment that runs this test, and hypothesis, which is partly native, from PyPI.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from loud import missing, need_module, need_program

pytestmark = [pytest.mark.one_abi, pytest.mark.slow, pytest.mark.timeout(1500), pytest.mark.usefixtures("nvsim_dir")]

VARIABLE = "PDUM_FREE_THREADED_PYTHON"
TESTS = ("test_threads.py", "test_lifetime.py")
WITHOUT_GIL = "import sys, numpy, pdum.nvenc; sys.exit(sys._is_gil_enabled())"


@pytest.fixture(scope="module")
def python() -> str:
    """The interpreter."""
    found = os.environ.get(VARIABLE) or missing("a free-threaded Python", f"{VARIABLE}=/path/to/python3.14t")
    code = "import sysconfig, numpy; print(sysconfig.get_config_var('Py_GIL_DISABLED'))"
    told = subprocess.run([found, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "1", f"{found} has a GIL"
    return found


@pytest.fixture(scope="module")
def environment(python: str, root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which this interpreter finds a module that was built for it."""
    folder = tmp_path_factory.mktemp("free_threaded")
    package = folder / "site" / "pdum" / "nvenc"
    shutil.copytree(root / "src" / "pdum" / "nvenc", package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    pybind11 = need_module("pybind11").get_cmake_dir()
    options = [f"-DPython_EXECUTABLE={python}", f"-Dpybind11_DIR={pybind11}", "-DUSE_NVTX=OFF", "-DPDUM_WERROR=ON"]
    cmake = need_program("cmake", "cmake")
    subprocess.run([cmake, "-S", str(root), "-B", str(folder / "build"), *options], check=True)
    subprocess.run([cmake, "--build", str(folder / "build"), "-j2"], check=True)
    for module in (folder / "build").glob("_nvenc*.so"):
        shutil.copy(module, package)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--root-user-action=ignore"]
    subprocess.run([*pip, "--target", str(folder / "site"), "hypothesis"], check=True)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    own = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    path = [str(folder / "site"), own, str(Path(pytest.__file__).parents[1])]
    # Some of the installed plugins are native and for another interpreter.
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def test_the_gil_stays_off(python: str, environment: dict[str, str]) -> None:
    environment = {key: value for key, value in environment.items() if key != "PYTHON_GIL"}
    subprocess.run([python, "-W", "error", "-c", WITHOUT_GIL], env=environment, check=True)


@pytest.mark.parametrize("file", TESTS)
def test_without_the_gil(python: str, environment: dict[str, str], file: str) -> None:
    plugins = ["-p", "no:cacheprovider", "-p", "pytest_timeout"]
    command = [python, "-m", "pytest", "-q", *plugins, str(Path(__file__).with_name(file))]
    done = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)
    assert done.returncode == 0
