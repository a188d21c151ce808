"""examples/rerun_video.py with the real SDK of Rerun: what it logs is read back from the recording and decoded."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from peer_packages import ROOT, installed, run

from loud import need_module

pytestmark = [pytest.mark.slow, pytest.mark.one_abi, pytest.mark.timeout(600)]

EXAMPLE = ROOT / "examples" / "rerun_video.py"
READ = """
import pickle, sys
from rerun.chunk import RrdReader

columns = {}
for chunk in RrdReader(sys.argv[1]).stream():
    batch = chunk.to_record_batch()
    for name in batch.schema.names:
        if chunk.entity_path == "/camera" and name.startswith("VideoStream:"):
            columns.setdefault(name, []).extend(batch.column(name).to_pylist())
        elif chunk.entity_path == "/camera" and name == "video_time":
            columns.setdefault(name, []).extend(time.value for time in batch.column(name))  # nanoseconds
pickle.dump(columns, open(sys.argv[2], "wb"))
"""
RAW = {"h264": "h264", "hevc": "hevc", "av1": "obu"}


@pytest.fixture(scope="module")
def packages() -> Path:
    return installed("rerun-sdk>=0.26")


def read(packages: Path, recording: Path) -> dict[str, Any]:
    """The columns of the entity "camera", by the names that Rerun gives them."""
    columns = recording.with_suffix(".pickle")
    run(packages, "-c", READ, recording, columns)
    found: dict[str, Any] = pickle.loads(columns.read_bytes())
    return found


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_a_recording_holds_every_frame(packages: Path, codec: str, tmp_path: Path) -> None:
    run(packages, EXAMPLE, "--out", tmp_path / "a.rrd", "--codec", codec, "--frames", "40")
    columns = read(packages, tmp_path / "a.rrd")

    samples = [bytes(row[0]) for row in columns["VideoStream:sample"]]
    times = [nanoseconds / 1e9 for nanoseconds in columns["video_time"]]
    assert times == pytest.approx([number / 30 for number in range(40)], abs=1e-6)
    assert [number for number, row in enumerate(columns["VideoStream:is_keyframe"]) if row[0]] == [0, 30]
    fourcc = {"h264": 0x61766331, "hevc": 0x68657631, "av1": 0x61763031}[codec]
    assert columns["VideoStream:codec"] == [[fourcc]]

    for first in (0, 30):  # a viewer may start at either
        stream = io.BytesIO(b"".join(samples[first:]))
        with need_module("av").open(stream, format=RAW[codec]) as container:
            pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(pictures) == 40 - first
        for number, picture in enumerate(pictures, first):
            assert np.abs(picture.astype(int) - waves(number)).mean() < 4


def waves(number: int) -> Any:
    y, x = np.mgrid[:360, :640] / 360
    turns = [np.sin(9 * x + number / 9), np.cos(7 * y - number / 7), np.sin(5 * (x + y) + number / 5)]
    return (127 + 127 * np.stack(turns, axis=-1)).astype(int)


def use(packages: Path, *lines: str) -> str:
    """Runs lines of Python that use ``VideoLog``."""
    imports = [f"import sys; sys.path.insert(0, {str(EXAMPLE.parent)!r})", "import numpy, rerun, rerun_video"]
    return run(packages, "-c", "\n".join([*imports, "from pdum.nvenc import EncoderConfig", *lines]))


def test_packets_that_come_late_have_the_times_of_their_frames(packages: Path, tmp_path: Path) -> None:
    """With lookahead, most packets come when the log is closed."""
    use(
        packages,
        "recording = rerun.RecordingStream('x')",
        f"recording.save({str(tmp_path / 'a.rrd')!r})",
        "config = EncoderConfig(width=64, height=64, format='rgb', tuning='hq', lookahead=16)",
        "with rerun_video.VideoLog(recording, 'camera', config) as video:",
        "    for number in range(12): video.log(numpy.zeros((64, 64, 3), 'uint8'), number ** 2)",
        "recording.disconnect()",
    )
    times = [nanoseconds / 1e9 for nanoseconds in read(packages, tmp_path / "a.rrd")["video_time"]]
    assert times == [number**2 for number in range(12)]


def test_b_frames_are_refused(packages: Path) -> None:
    said = use(
        packages,
        "config = EncoderConfig(width=64, height=64, format='rgb', tuning='hq', bframes=2)",
        "try: rerun_video.VideoLog(rerun.RecordingStream('x'), 'camera', config)",
        "except ValueError as error: print(error)",
    )
    assert said == "Expected bframes=0, since Rerun shows packets in their order, got 2.\n"
