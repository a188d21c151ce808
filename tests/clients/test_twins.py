"""Clients that run on millions of cards, and ours with the same wish: every field that reaches the driver.

What misleads the product and the simulated driver together would show here as a field that others set otherwise.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from clients import twins
from control.driver_calls import GPU, Driver, Flat, flat

from client_run import Bench
from loud import missing, need_module, need_program
from simulator import Simulator
from simulator.abi import abi

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]
API = "13.0"  # which FFmpeg and PyNvVideoCodec speak
OLDEST = "12.1"  # of ours; GStreamer speaks 11.1


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
    compare(
        [(job, flat(call.args), driver.initialized(**wish)) for (job, wish), call in zip(pairs, calls, strict=True)],
        reasons,
    )


def test_every_field_is_as_gstreamer_has_it(
    bench: Bench, simulator: Simulator, tmp_path: Path, registry: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process with a pipeline for each twin; the pictures' width tells whose session it is."""
    monkeypatch.setenv("PDUM_NVENC_ABI", OLDEST)
    widths = [twins.WIDTH + 16 * number for number in range(len(twins.GSTREAMER))]
    pipelines = [word for (job, _), width in zip(twins.GSTREAMER, widths, strict=True) for word in pipeline(job, width)]
    launch = need_program("gst-launch-1.0", "gstreamer1.0-tools")
    outcome = bench.run([launch, "-q", *pipelines], env=registry, backend="null", gpus=[twins.GSTREAMER_GPU])
    calls = {call.args["encodeWidth"]: call for call in outcome.named("nvEncInitializeEncoder")}
    if outcome.apis != {"11.1"}:
        missing("GStreamer 1.22, which the table is about", f"this one speaks {outcome.apis}")
    driver = Driver(simulator, tmp_path / "ours.jsonl")
    rows = []
    for (job, wish), width in zip(twins.GSTREAMER, widths, strict=True):
        ours = driver.initialized(gpu=twins.GSTREAMER_GPU, **{**wish, "width": width})
        rows.append((job, numbered(flat(calls[width].args), "11.1"), numbered(ours, OLDEST)))
    compare(rows, twins.GSTREAMER_DIFFERS)


def pipeline(job: twins.Settings, width: int) -> list[str]:
    codec = "h264" if "264" in job["element"] else "h265"
    raw = f"video/x-raw,format={job['pixels']},width={width},height={twins.HEIGHT},framerate={twins.FPS}/1"
    coded = f"video/x-{codec},stream-format=byte-stream"
    source = ["videotestsrc", "num-buffers=1", "!", f"{raw},colorimetry=bt709"]
    return [*source, "!", job["element"], *job["properties"], "!", coded, "!", "fakesink", "async=false"]


def numbered(fields: Flat, version: str) -> Flat:
    """Members of enumerations as numbers: older versions have plain numbers in some places."""
    constants = abi(version).constants
    return {path: constants.get(value, value) if isinstance(value, str) else value for path, value in fields.items()}


def compare(rows: list[tuple[twins.Settings, Flat, Flat]], reasons: dict[str, str]) -> None:
    """Each job with what the client gave the driver for it, and what ours did."""
    found: dict[str, list[str]] = {}
    for job, theirs, ours in rows:
        for path, both in differences(theirs, ours).items():
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
    text = (root / "docs" / "driver-settings.md").read_text()
    tables = (twins.FFMPEG_DIFFERS, twins.PYNVVIDEOCODEC_DIFFERS, twins.GSTREAMER_DIFFERS)
    wanted = [row for table in tables for row in rows_of(table)]
    missing = [row for row in wanted if row not in text]
    assert not missing, "\n".join(missing)
