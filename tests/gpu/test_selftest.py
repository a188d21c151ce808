"""The self-test with the machine's own driver, as far as it goes: on a GPU without an encoder to its honest refusal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc._selftest.questions import BY_NAME

from loud import missing


@pytest.mark.parametrize("abi", ["", "12.1"])
def test_it_asks_the_real_driver_what_it_can(abi: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "NVSIM_CONFIG")}
    command = [sys.executable, "-m", "pdum.nvenc", "selftest", "-o", str(tmp_path)]
    done = subprocess.run(
        command, env={**environment, "PDUM_NVENC_ABI": abi}, capture_output=True, text=True, timeout=290
    )
    report: dict[str, Any] = json.loads((tmp_path / "selftest.json").read_text())
    with capsys.disabled():
        print(f"\n{(tmp_path / 'selftest.md').read_text()}")
    if report["unusable"]:
        missing(report["unusable"])
    lines = {f"{line['theme']}: {line['name']}": line for line in report["lines"]}
    assert set(lines) == set(BY_NAME)
    assert report["card"]["name"]
    assert report["card"]["api"] == (abi or report["card"]["api"])
    if report["card"]["no_encoder"] is None:
        assert report["recordings"]["capabilities"]["cards"][0]["codecs"]
        assert done.returncode in (0, 1)
        return
    assert done.returncode == 4, done.stderr
    assert "nvEncOpenEncodeSessionEx" in report["card"]["no_encoder"]
    assert {line["verdict"] for line in lines.values()} == {"not on this card"}
    # CUDA is real all the same: the kinds of memory that a GPU has, and which of them are fit for legacy IPC.
    fit = {kind: lines[f"memory: {kind}"]["numbers"].get("legacy IPC capable") for kind in ("plain", "pool", "virtual")}
    assert fit == {"plain": 1, "pool": 0, "virtual": 0}
