"""``--metrics``: figures of the command while it runs."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.request import urlopen

import pytest

from pdum.nvenc._web.address import Address

from clips import Tool, make_clip, start


def test_watch_serves_its_figures(tmp_path: Path) -> None:
    """As a service is asked: while it waits for the next file."""
    make_clip(tmp_path / "a.mkv", 10)
    arguments = (
        "watch",
        tmp_path,
        "--engine",
        "software",
        "--metrics",
        "0",
        "--settle",
        "0",
        "--every",
        "0.1",
        "--json",
    )
    process = start(*arguments)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        told = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/metrics", told)
        assert found, told
        for line in process.stdout:
            if '"run_finished"' in line:
                break
        text = urlopen(found[0], timeout=10).read().decode()
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert 'pdum_nvenc_jobs_total{state="finished"} 1' in text
    assert sum(map(int, re.findall(r"pdum_nvenc_frames_total\{.*\} (\d+)", text))) == 10


@pytest.mark.parametrize("given", ["nonsense", "1:2:3", "127.0.0.1:99999"])
def test_wrong_addresses(tool: Tool, given: str, tmp_path: Path) -> None:
    code, _ = tool("encode", tmp_path, "--metrics", given)
    assert code == 2
    assert f"--metrics: Expected [HOST:]PORT, such as 8080 or 0.0.0.0:8080, got '{given}'." in tool.err


def test_others_are_warned_about(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an address that others can reach. The test listens to nobody else."""
    make_clip(tmp_path / "a.mkv", 3)
    monkeypatch.setattr(Address, "is_of_this_machine_only", False)
    code, _ = tool("encode", "--engine", "software", "--metrics", "127.0.0.1:0", tmp_path)
    assert code == 0
    assert "can read the figures" in tool.err
