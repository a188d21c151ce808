"""The pytest plugin: a fixture `nvenc_sim`, a mark `nvenc_machine` and an option `--nvenc-sim`.

    def test_my_encoder(nvenc_sim):
        encode_something()
        assert len(nvenc_sim.calls("nvEncOpenEncodeSessionEx")) == 1

A test that asks for `nvenc_sim` runs on the simulated driver, and fails if it breaks a rule of the interface or leaves
anything alive.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from .driver import LIBRARIES, Simulator, SimulatorError
from .location import driver_folder
from .nvenc_sim import NvencSim

MARK = "nvenc_machine(*gpus, **settings): the machine of `nvenc_sim`, such as nvenc_machine('L4', 'L4', backend='auto')"
STASH = pytest.StashKey[Simulator]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nvenc-sim",
        action="store_true",
        help="load the simulated NVIDIA driver before any test is collected (else with the first test that wants it)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)
    if config.getoption("--nvenc-sim"):
        loaded(config)


def loaded(config: pytest.Config) -> Simulator:
    """The simulated driver in this process, loaded at the first use."""
    if STASH not in config.stash:
        refuse_another_driver()
        config.stash[STASH] = Simulator()
    return config.stash[STASH]


def refuse_another_driver() -> None:
    """A real driver that is open already would serve everybody who opens one by its name."""
    ours = driver_folder().resolve()
    lines = Path("/proc/self/maps").read_text().splitlines()
    for path in {Path(line.split(maxsplit=5)[5]) for line in lines if len(line.split()) > 5}:
        names = [name for name in LIBRARIES.values() if path.name.startswith(name.removesuffix(".1"))]
        if names and ours not in path.resolve().parents:
            raise SimulatorError(
                f"Expected to load the simulated driver first, but {path} is loaded in this process already:"
                " run pytest with --nvenc-sim, or as `nvsim run -- pytest`"
            )


@pytest.fixture
def nvenc_sim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NvencSim]:
    """A simulated machine with one RTX 4090, or the machine of the mark `nvenc_machine`."""
    mark = request.node.get_closest_marker("nvenc_machine")
    gpus: tuple[Any, ...] = mark.args if mark else ()
    settings: dict[str, Any] = mark.kwargs if mark else {}
    try:
        sim = NvencSim(loaded(request.config), tmp_path_factory.mktemp("nvenc_sim"), *gpus, **settings)
    except SimulatorError as error:
        pytest.fail(f"nvenc_sim: {error}", pytrace=False)
    yield sim
    faults = [text for text in (sim.broken_rules(), sim.leaks()) if text]
    sim.close()
    if faults and not getattr(request.node, "nvenc_rules_told", False):
        pytest.fail("nvenc_sim: " + "\n".join(faults), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Broken rules fail the test itself. What is left alive is known only when all fixtures are done."""
    sim = getattr(item, "funcargs", {}).get("nvenc_sim")
    try:
        result = yield
    except BaseException:
        if sim is not None:
            tell(item, sim)
        raise
    if sim is not None and (broken := tell(item, sim)):
        pytest.fail(f"nvenc_sim: {broken}", pytrace=False)
    return result


def tell(item: pytest.Item, sim: NvencSim) -> str:
    """The rules that the test broke, which are added to its report."""
    broken = sim.broken_rules()
    if broken:
        item.nvenc_rules_told = True  # type: ignore[attr-defined]
        item.add_report_section("call", "broken rules", broken)
    return broken
