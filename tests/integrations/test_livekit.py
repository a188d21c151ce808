"""examples/livekit_publish.py with the real SDK of LiveKit.

No server of LiveKit can be had from a package index, so the other side is ``livekit_room``: the SDK's own WebRTC sends
the packets to it, and aiortc receives and decodes them. Both are in a network of their own, without the world.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from peer_packages import ROOT, installed, own_network, run

pytestmark = [pytest.mark.slow, pytest.mark.one_abi, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def packages() -> Path:
    return installed("livekit>=1.2", "livekit-api", "aiortc", "aiohttp")


def published(packages: Path, codec: str) -> dict[str, Any]:
    printed = run(packages, ROOT / "tests" / "livekit_runner.py", codec, before=own_network())
    told: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return told


def test_a_room_gets_the_frames_a_key_frame_and_the_bitrate_it_wishes(packages: Path) -> None:
    told = published(packages, "h264")
    assert told["refused"] == 0
    assert told["size"] == [320, 192]
    steps = [(after - before) % 12 for before, after in zip(told["numbers"], told["numbers"][1:], strict=False)]
    assert len(steps) > 70
    assert steps.count(1) > 0.9 * len(steps), steps
    before, after = told["key_frames"]
    assert after > before
    assert told["bitrate"] <= max(told["wishes"]) < 1_000_000


def test_packets_reach_livekit_without_a_server(packages: Path) -> None:
    """The SDK's source takes key frames and others of each codec, and has no wishes yet."""
    code = (
        f"import asyncio, sys; sys.path.insert(0, {str(ROOT / 'examples')!r})\n"
        "from livekit_publish import PublishedVideo, waves\n"
        "async def main():\n"
        "    for codec in ('h264', 'hevc', 'av1'):\n"
        "        video = PublishedVideo((96, 64), codec=codec, fps=30)\n"
        "        for number in range(3): video.send(waves(96, 64, number))\n"
        "        video.send(waves(128, 64, 3))\n"
        "        print(video.refused, video.live.statistics.encoded, video.live.statistics.key_frames)\n"
        "        await video.aclose()\n"
        "asyncio.run(main())"
    )
    assert run(packages, "-c", code).splitlines() == ["0 4 2"] * 3
