"""GStreamer's demuxer reads the files too, as another implementation of the format."""

from __future__ import annotations

import re
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from mp4_files import Encoded, encoded, written

from loud import need_program

pytestmark = pytest.mark.one_abi

STREAMS: dict[str, dict[str, Any]] = {
    "h264": {"codec": "h264", "tuning": "hq", "bframes": 2, "gop": 12},
    "hevc": {"codec": "hevc", "tuning": "hq", "bframes": 2, "gop": 12},
    "av1": {"codec": "av1", "gop": 10},
}
CAPS = {"h264": "video/x-h264", "hevc": "video/x-h265", "av1": "video/x-av1"}
BUFFER = re.compile(r"chain .*\((\d+) bytes, dts: ([\d:.]+|none), pts: ([\d:.]+|none), duration: ([\d:.]+|none)")


@pytest.fixture(params=STREAMS)
def stream(request: pytest.FixtureRequest) -> Encoded:
    return encoded(count=64, **STREAMS[request.param])


def seconds(clock: str) -> Fraction:
    hours, minutes, rest = clock.split(":")
    return Fraction(rest) + 60 * int(minutes) + 3600 * int(hours)


@pytest.mark.parametrize("fragmented", [False, True], ids=["complete", "fragmented"])
def test_gstreamer_reads_every_packet(tmp_path: Path, stream: Encoded, fragmented: bool) -> None:
    path = written(tmp_path / "film.mp4", stream, fragmented=fragmented)
    launch = need_program("gst-launch-1.0", "gstreamer1.0-tools")
    pipeline = ["filesrc", f"location={path}", "!", "qtdemux", "!", CAPS[stream.codec], "!", "identity", "silent=false"]
    run = subprocess.run(
        [launch, "-v", *pipeline, "!", "fakesink"], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert f"width=(int){stream.width}, height=(int){stream.height}" in run.stdout
    found = BUFFER.findall(run.stdout)
    assert len(found) == 64
    shift = seconds(found[0][2])  # it begins where the media begins, before the edit list takes that away
    times = [seconds(shown) - shift for _, _, shown, _ in found]
    assert [round(float(time * 25), 3) for time in times] == [packet.pts for packet in stream.packets]
