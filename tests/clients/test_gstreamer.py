"""GStreamer's two families of NVENC elements."""

from __future__ import annotations

from pathlib import Path

import pytest

from client_run import Bench, Outcome, sessions_are_closed
from loud import need_program

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]

CODECS = {"nvh264enc": "h264", "nvh265enc": "hevc", "nvcudah264enc": "h264", "nvcudah265enc": "hevc"}
UPLOAD = ["!", "cudaupload"]


def encode(
    bench: Bench, registry: dict[str, str], element: str, *properties: str, before: list[str] | None = None
) -> tuple[Path, Outcome]:
    launch = need_program("gst-launch-1.0", "gstreamer1.0-tools")
    codec = CODECS[element]
    output = bench.folder / f"out.{codec}"
    form = bench.form
    source = ["filesrc", f"location={bench.raw_nv12()}", "!", "rawvideoparse", "format=nv12"]
    shape = [f"width={form.width}", f"height={form.height}", "framerate=30/1"]
    parse = ["!", f"{'h264' if codec == 'h264' else 'h265'}parse", "!"]
    caps = [f"video/x-{'h264' if codec == 'h264' else 'h265'},stream-format=byte-stream,alignment=au"]
    sink = [*parse, *caps, "!", "filesink", f"location={output}"]
    command = [launch, "-q", *source, *shape, *(before or []), "!", element, *properties, *sink]
    outcome = bench.run(command, env=registry)
    sessions_are_closed(outcome)
    return output, outcome


def constant_quantiser(element: str) -> list[str]:
    if element.startswith("nvcuda"):
        return ["rate-control=cqp", "qp-i=20", "qp-p=20", "qp-b=20"]
    return ["rc-mode=constqp", "qp-const=20"]


@pytest.mark.parametrize("element", CODECS)
@pytest.mark.parametrize("upload", [[], UPLOAD], ids=["host", "device"])
def test_every_picture_arrives(bench: Bench, registry: dict[str, str], element: str, upload: list[str]) -> None:
    output, _ = encode(bench, registry, element, *constant_quantiser(element), before=upload)
    assert bench.judge(output, CODECS[element])[0].key


@pytest.mark.parametrize("element", CODECS)
def test_rates(bench: Bench, registry: dict[str, str], element: str) -> None:
    mode = "rc-mode=cbr" if element.startswith("nvh") else "rate-control=cbr"
    output, _ = encode(bench, registry, element, mode, "bitrate=3000", "gop-size=10")
    decoded = bench.judge(output, CODECS[element])
    assert [index for index, picture in enumerate(decoded) if picture.key] == [0, 10, 20]


@pytest.mark.parametrize(("element", "name"), [("nvh264enc", "bframes"), ("nvcudah264enc", "b-frames")])
def test_b_frames(bench: Bench, registry: dict[str, str], element: str, name: str) -> None:
    output, _ = encode(bench, registry, element, "bitrate=3000", f"{name}=2")
    assert "B" in {picture.kind for picture in bench.judge(output, "h264")}
