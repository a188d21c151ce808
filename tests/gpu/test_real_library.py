"""The machine's own libnvidia-encode, as far as possible: on a GPU without an encoder, up to its refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from loud import missing

PROGRAM = """
import json, sys
import pdum.nvenc as nvenc
answer = {"abi": nvenc.abi, "available": nvenc.available(), "reason": nvenc.unavailable_reason()}
if answer["available"]:
    import numpy as np
    with nvenc.NvencEncoder(640, 480) as encoder:
        answer["abi used"] = encoder.abi
        answer["bytes"] = len(encoder.encode(np.full((720, 640), 128, np.uint8)))
else:
    try:
        nvenc.NvencEncoder(640, 480)
    except nvenc.NvencError as error:
        answer |= {"error": type(error).__name__, "status": error.status, "call": error.call, "message": str(error)}
json.dump(answer, sys.stdout)
"""


def ask_real_driver(abi: str) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "NVSIM_CONFIG")}
    environment |= {"PDUM_NVENC_ABI": abi} if abi else {}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("abi", ["", "12.1", "13.0"])
def test_the_real_library_encodes_or_says_why_not(abi: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = ask_real_driver(abi)
    with capsys.disabled():
        print(f"\nreal driver, PDUM_NVENC_ABI={abi or 'unset'}: {json.dumps(answer)}")
    if answer.get("error") == "DriverNotFound":
        missing(answer["message"])
    if answer["available"]:
        assert answer["bytes"] > 0
        return
    # The refusal comes from the session's opening: the library was loaded and took our version of its interface.
    assert answer["error"] == "NoEncoder"
    assert answer["call"] == "nvEncOpenEncodeSessionEx"
    assert answer["status"] in (1, 2)
    assert answer["abi"] == (abi or answer["abi"])
