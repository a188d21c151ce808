"""Clients that run on millions of cards, and ours with the same wish: every field that reaches the driver.

What misleads the product and the simulated driver together would show here as a field that others set otherwise.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from clients import twins
from control.told import GPU, Driver, Flat, flat

from client_run import Bench
from loud import need_module
from simulator import Simulator

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]
API = "13.0"  # which both clients speak


@pytest.mark.parametrize(
    ("module", "program", "pairs", "reasons"),
    [
        ("av", "pyav_sessions.py", twins.FFMPEG, twins.FFMPEG_DIFFERS),
        ("PyNvVideoCodec", "pynv_sessions.py", twins.PYNVVIDEOCODEC, twins.PYNVVIDEOCODEC_DIFFERS),
    ],
    ids=["ffmpeg", "pynvvideocodec"],
)
def test_every_field_is_as_others_have_it(
    bench: Bench,
    simulator: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    program: str,
    pairs: list[twins.Twin],
    reasons: dict[str, str],
) -> None:
    need_module(module)
    monkeypatch.setenv("PDUM_NVENC_ABI", API)
    jobs = [job for job, _ in pairs]
    calls = bench.python(program, jobs, backend="null", gpus=[GPU], max_api=API).named("nvEncInitializeEncoder")
    assert len(calls) == len(pairs)
    driver = Driver(simulator, tmp_path / "ours.jsonl")
    found: dict[str, list[str]] = {}
    for (job, wish), call in zip(pairs, calls, strict=True):
        for path, both in differences(flat(call.args), driver.initialized(**wish)).items():
            found.setdefault(path, []).append(f"{both} for {job}")
    unknown = {path: rows[:3] for path, rows in found.items() if path not in reasons}
    assert not unknown, "neither the same nor in the table with a reason"
    assert not reasons.keys() - found.keys(), "no longer different: take them out of the table"


def differences(theirs: Flat, ours: Flat) -> dict[str, str]:
    both = theirs.keys() | ours.keys()
    return {
        path: f"{theirs.get(path)} is theirs, {ours.get(path)} ours"
        for path in both
        if theirs.get(path) != ours.get(path)
    }


def rows_of(reasons: dict[str, str]) -> list[str]:
    return [f"| `{path}` | {reason} |" for path, reason in reasons.items()]


def test_the_docs_show_the_tables(root: Path) -> None:
    text = (root / "docs" / "real-hardware.md").read_text()
    wanted = rows_of(twins.FFMPEG_DIFFERS) + rows_of(twins.PYNVVIDEOCODEC_DIFFERS)
    missing = [row for row in wanted if row not in text]
    assert not missing, "\n".join(missing)
