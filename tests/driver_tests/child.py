"""Runs parts of a test in a process of its own that finds the simulated driver as any client does.

``LD_LIBRARY_PATH`` and ``NVSIM_CONFIG`` are all that the child is given. The function that runs there is named by its
module's file and its name, and gets its arguments as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Under a sanitizer the child is several times slower.
TIMEOUT_S = 120

Config = dict[str, Any]


def environment(directory: Path, config: Config | None, folder: str = "full") -> dict[str, str]:
    """The environment that a process needs to see the simulated driver."""
    chosen = dict(os.environ)
    chosen["LD_LIBRARY_PATH"] = str(directory / folder)
    chosen.pop("NVSIM_CONFIG", None)
    if config is not None:
        chosen["NVSIM_CONFIG"] = json.dumps(config)
    return chosen


def start(
    directory: Path, function: Callable[..., Any], config: Config | None = None, **arguments: Any
) -> subprocess.Popen[str]:
    """Starts `function(**arguments)` in a new process with pipes to it."""
    command = [sys.executable, __file__, function.__code__.co_filename, function.__name__, json.dumps(arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, env=environment(directory, config), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def run(
    directory: Path, function: Callable[..., Any], config: Config | None = None, **arguments: Any
) -> subprocess.CompletedProcess[str]:
    """Runs `function(**arguments)` in a new process to its end, good or bad."""
    with start(directory, function, config, **arguments) as process:
        try:
            out, errors = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def check(directory: Path, function: Callable[..., Any], config: Config | None = None, **arguments: Any) -> str:
    """Runs `function(**arguments)` in a new process, in which its assertions must hold; returns its output."""
    done = run(directory, function, config, **arguments)
    assert done.returncode == 0, f"{function.__name__} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def main() -> None:
    path, name, arguments = sys.argv[1:]
    tests = str(Path(__file__).resolve().parents[1])
    sys.path[:0] = [str(Path(path).parent), tests]
    specification = importlib.util.spec_from_file_location("client_code", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["client_code"] = module
    specification.loader.exec_module(module)
    getattr(module, name)(**json.loads(arguments))


if __name__ == "__main__":
    main()
