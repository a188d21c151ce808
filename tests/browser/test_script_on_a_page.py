"""The script of docs/stream-to-a-browser.md shows the packets of a LiveEncoder in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from browser.chromium import Chromium
from pdum.nvenc import LiveEncoder

pytestmark = [pytest.mark.one_abi, pytest.mark.filterwarnings("ignore::RuntimeWarning")]

GREYS = (60, 100, 140, 180, 220)
BRIGHTNESS = """
(async () => {
  for (const [header, data] of PACKETS) take(header, Uint8Array.from(data));
  await decoder.flush();
  return [decoder.state, ...document.querySelector("canvas").getContext("2d").getImageData(80, 60, 1, 1).data];
})()
"""


def packets() -> list[tuple[dict[str, Any], list[int]]]:
    """As the page's Python sends them."""
    made = []
    with LiveEncoder(fps=30, bitrate=2_000_000, backend="software") as live:
        for number, grey in enumerate(GREYS):
            frame = np.full((120, 160, 3), grey, np.uint8)
            for packet in live.submit(frame, timestamp=number * 33_333):
                header = {"seq": packet.seq, "timestamp": packet.timestamp, "keyframe": packet.keyframe}
                made.append(({**header, "codec": packet.codec}, list(packet.data)))
    return made


def test_the_script_shows_each_packet(root: Path, tmp_path: Path, chromium: Chromium) -> None:
    page = (root / "docs" / "stream-to-a-browser.md").read_text()
    (script,) = re.findall(r"^```js\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    sent = packets()
    assert len(sent) == len(GREYS)
    (tmp_path / "index.html").write_text(
        '<!doctype html><link rel="icon" href="data:,"><canvas width="160" height="120"></canvas>'
        f"<script>{script}\nconst PACKETS = {json.dumps(sent)};</script>"
    )
    with serving(tmp_path) as address, chromium.page(address, 300, 300) as shown:
        state, *pixel = shown.evaluate(BRIGHTNESS)
        assert shown.complaints() == []
    assert state == "configured"
    assert pixel == pytest.approx([GREYS[-1]] * 3 + [255], abs=6)


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
