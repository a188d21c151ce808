"""What all tests rely on, however they are started."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.one_abi


def test_ctrl_c_works_in_what_tests_start() -> None:
    """A shell starts its background jobs with SIGINT ignored, and children would inherit that."""
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
    program = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "True\n"
