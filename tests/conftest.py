"""Shared by all tests: the place of the simulated driver, and a conspicuous summary of skips."""

from __future__ import annotations

import gc
import os
import random
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from simulator import Simulator

ROOT = Path(__file__).resolve().parents[1]
SIMULATED_LIBRARIES = (
    "full/libcuda.so.1",
    "full/libnvidia-encode.so.1",
    "full/libnvidia-ml.so.1",
    "encode/libnvidia-encode.so.1",
)
# Folders whose tests are about the simulator, its other clients or a real GPU, and pick interface versions themselves;
# and those whose code stands so far above the interface that its version makes no difference.
ABOUT_OTHERS = {"driver", "driver_tests", "simulator", "clients", "gpu", "batch", "cli", "tui", "selftest", "browser"}
ABOUT_OTHERS |= {"nvenc_sim", "release_tests"}
# The encoder's own tests, which tests/sanitize.sh runs besides those that are marked for it.
SANITIZED = {"test_encoder.py", "test_faults.py", "test_packets.py", "test_pipeline.py"}
# They take longest, and begin first, so that no process is left alone with one of them at the end.
LONGEST = (
    *("test_faults.py", "cli/test_interrupted.py", "files/test_exact.py", "selftest/test_answers.py"),
    *("test_lifetime.py", "test_stubs.py", "cli/test_full_disk.py", "selftest/test_report.py"),
)
SANITIZED_ALONE = re.compile(r"sanitize\b(?! or)")
OF_ONE_ABI = re.compile(r"^pytestmark = .*\bone_abi\b", re.MULTILINE)
HOW_TO_BUILD = "cmake -S tests/driver -B build/driver && cmake --build build/driver (./test.sh does it)"

# The simulator's wrapper and the tests' subprocesses find it only by the variable.
NVSIM_DIR_GIVEN = "NVSIM_DIR" in os.environ
os.environ.setdefault("NVSIM_DIR", str(ROOT / "build" / "driver"))

# The same examples in each run, so that only the change under test turns a run red. A separate command searches for new
# examples: pytest --hypothesis-profile=wander
# None of them uses a clock: a busy machine is not a failure.
UNTIMED: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("fixed", derandomize=True, **UNTIMED)
settings.register_profile("wander", derandomize=False, **UNTIMED)
settings.load_profile("fixed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run the tests in the random order of this seed")


def unbuilt_libraries() -> list[str]:
    directory = Path(os.environ["NVSIM_DIR"])
    return [name for name in SIMULATED_LIBRARIES if not (directory / name).exists()]


class Shuffle:
    """Puts the tests into the random order of a seed, after pytest has sorted them by their fixtures."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        random.Random(self.seed).shuffle(items)


def pytest_configure(config: pytest.Config) -> None:
    """Signals work in the tests and in what they start, even if a shell or nohup began all of it in the background."""
    if (seed := config.getoption("--shuffle")) is not None:
        config.pluginmanager.register(Shuffle(seed))
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Runs of few tests do not load the many modules of which they would use nothing."""
    asked = str(config.getoption("markexpr"))
    if is_asked_for(collection_path, config):
        return None
    if "not one_abi" in asked and is_of_one_abi(collection_path):
        return True
    return True if SANITIZED_ALONE.match(asked) and not may_be_sanitized(collection_path) else None


def is_of_one_abi(path: Path) -> bool:
    if folder_of(path) in ABOUT_OTHERS:
        return True
    return is_module(path) and OF_ONE_ABI.search(path.read_text()) is not None


def may_be_sanitized(path: Path) -> bool:
    return not is_module(path) or folder_of(path) in SANITIZED or "mark.sanitize" in path.read_text()


def is_module(path: Path) -> bool:
    return path.name.startswith("test_") and path.suffix == ".py"


def is_asked_for(path: Path, config: pytest.Config) -> bool:
    """Whether the command line names it, or something in it."""
    named = (config.invocation_params.dir / argument.partition("::")[0] for argument in config.args)
    return any(one.resolve().is_relative_to(path) for one in named)


def folder_of(path: Path) -> str:
    """The first folder below tests, or the name of a module that lies in tests itself; empty for anything else."""
    tests = ROOT / "tests"
    return "" if path == tests or not path.is_relative_to(tests) else path.relative_to(tests).parts[0]


@pytest.fixture(autouse=True, scope="module")
def _what_is_old_is_left_alone() -> None:
    """The collector, which each machine of the simulator runs, looks only at the objects of the module's own tests."""
    gc.collect()
    gc.freeze()


def pytest_runtest_teardown() -> None:
    """SVT-AV1 gives the thread that opens it real-time priority, as root. What it starts later would have it, too."""
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def pytest_sessionstart(session: pytest.Session) -> None:
    is_worker = hasattr(session.config, "workerinput")
    if NVSIM_DIR_GIVEN and unbuilt_libraries() and not is_worker:
        pytest.exit(f"NVSIM_DIR={os.environ['NVSIM_DIR']} has no {unbuilt_libraries()[0]}: {HOW_TO_BUILD}", 4)


def pytest_report_header() -> list[str]:
    state = f"NOT BUILT, tests that need it fail: {HOW_TO_BUILD}" if unbuilt_libraries() else os.environ["NVSIM_DIR"]
    return [f"simulated driver: {state}", f"PDUM_NVENC_ABI: {os.environ.get('PDUM_NVENC_ABI', 'not set')}"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        folder = folder_of(item.path)
        if folder == "gpu":
            item.add_marker(pytest.mark.gpu)
        if folder in ABOUT_OTHERS:
            item.add_marker(pytest.mark.one_abi)
        if folder in SANITIZED:
            item.add_marker(pytest.mark.sanitize)
    places = {ROOT / "tests" / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.write_sep("!", f"{len(skipped)} tests did NOT run: see the reasons above", yellow=True)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def nvsim_dir() -> Path:
    """The build folder of the simulated driver: `full/` and `encode/`."""
    if unbuilt_libraries():
        pytest.fail(f"the simulated driver is not built: {HOW_TO_BUILD}", pytrace=False)
    return Path(os.environ["NVSIM_DIR"])


@pytest.fixture(scope="session")
def simulator(nvsim_dir: Path) -> Simulator:
    """The simulated driver, loaded into this process: `with simulator.machine(…)` configures and checks it."""
    assert nvsim_dir.is_dir()
    return Simulator()


@pytest.fixture(autouse=True)
def _no_context_is_left() -> Iterator[None]:
    """The context that FFmpeg's decoders get is kept for good, and would keep its GPU in the simulated machine.

    What the decoders of one machine take says nothing about the next machine.
    """
    yield
    if (module := sys.modules.get("pdum.nvenc._media.hardware_decode")) is not None:
        module._context_for_good.cache_clear()
        module._taken.clear()


@pytest.fixture(params=["12.1", "13.1"])
def abi(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The oldest and the newest interface version, forced for all encoders of the test.

    tests/control tries every version: what differs between them is what settings become.
    """
    monkeypatch.setenv("PDUM_NVENC_ABI", request.param)
    return str(request.param)
