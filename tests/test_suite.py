"""What all tests rely on, however they are started."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_abi


def test_ctrl_c_works_in_what_tests_start() -> None:
    """A shell starts its background jobs with SIGINT ignored, and children would inherit that."""
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    program = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "True\n"


def test_the_modules_that_begin_first_are_there(root: Path, request: pytest.FixtureRequest) -> None:
    conftest = request.config.pluginmanager.get_plugin(str(root / "tests" / "conftest.py"))
    assert conftest is not None
    assert [name for name in conftest.LONGEST if not (root / "tests" / name).exists()] == []


def test_runs_of_few_tests_load_all_modules_that_have_some(root: Path, request: pytest.FixtureRequest) -> None:
    """Among the tests of this run: what is marked lies in a module that such a run does not leave out."""
    conftest = request.config.pluginmanager.get_plugin(str(root / "tests" / "conftest.py"))
    assert conftest is not None
    for item in request.session.items:
        if item.get_closest_marker("sanitize"):
            assert conftest.may_be_sanitized(item.path), item.nodeid
        if not item.get_closest_marker("one_abi"):
            assert not conftest.is_of_one_abi(item.path), item.nodeid


@pytest.mark.parametrize(
    ("asked", "is_alone"),
    [
        ("sanitize", True),
        ("sanitize and not slow", True),
        ("not slow", False),
        ("sanitize or slow", False),
        ("", False),
    ],
)
def test_modules_are_left_out_only_if_one_mark_alone_is_asked_for(
    root: Path, request: pytest.FixtureRequest, asked: str, is_alone: bool
) -> None:
    conftest = request.config.pluginmanager.get_plugin(str(root / "tests" / "conftest.py"))
    assert conftest is not None
    assert bool(conftest.SANITIZED_ALONE.match(asked)) == is_alone


CHILDREN = """
import json, os, sys, time
import forked_children

def run(case):
    if case["does"] == "abort":
        os.abort()
    if case["does"] == "hang":
        time.sleep(600)
    if case["does"] == "raise":
        raise ValueError("of the child")
    return {"problems": [], "told": "x" * 1_000_000}

def cases():
    forked_children.SECONDS_A_CASE = 0.5
    yield {"does": "hang"}
    forked_children.SECONDS_A_CASE = 100.0
    for what in ("end", "abort", "raise", "end", "end"):
        yield {"does": what}

for case, outcome in forked_children.outcomes_of(cases(), run):
    print(case["does"], outcome["problems"], len(outcome.get("told", "")))
"""


def test_a_child_that_crashes_or_hangs_is_told(root: Path) -> None:
    """Of those that the sweeps of failing calls fork. The others run meanwhile, and come to their end."""
    done = subprocess.run([sys.executable, "-c", CHILDREN], cwd=root / "tests", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ValueError: of the child" in done.stderr
    assert sorted(done.stdout.splitlines()) == [
        "abort ['ended with status -6'] 0",
        *["end [] 1000000"] * 3,
        "hang ['did not end within 0.5 s'] 0",
        "raise ['ended with status 1'] 0",
    ]
