"""Decoders and frames end cleanly: at the end of the interpreter, in forked children, and in other threads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_abi

RUNNER = Path(__file__).parents[1] / "decoder_lifetime_runner.py"
IN_THREADS = ("tensors_end_in_other_threads", "threads_share_frames", "threads_share_a_decoder")
AT_EXIT = ("module_global", "in_a_cycle", "closed_at_exit", "daemon_decodes")
FORKED = ("forked", "forked_calls_nothing", "forked_in_use")


def run(scenario: str, video: Path) -> None:
    command = [sys.executable, "-X", "faulthandler", str(RUNNER), scenario, str(video)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("scenario", [*AT_EXIT, *FORKED])
def test_a_clean_end(h264: Path, scenario: str) -> None:
    run(scenario, h264)


@pytest.mark.sanitize
@pytest.mark.parametrize("scenario", IN_THREADS)
def test_threads_share(h264: Path, scenario: str) -> None:
    run(scenario, h264)
