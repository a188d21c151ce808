"""How much of a large file is read beside decoding it: from a slow disk or a network drive, this takes the time."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import av
import pytest

from media_samples import ffmpeg
from pdum.nvenc._media import passthrough
from pdum.nvenc._media.av import open_container
from pdum.nvenc._media.source import index_source

pytestmark = pytest.mark.one_abi

NOISE = ("-f", "lavfi", "-i", "nullsrc=size=288x160:rate=25,noise=alls=80:allf=t")
TONE = ("-f", "lavfi", "-i", "sine=frequency=440")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nearly all of it is video, with frames so large that it is worth to skip one."""
    path = tmp_path_factory.mktemp("large") / "large.mp4"
    coded = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "2", "-g", "25", "-c:a", "aac")
    ffmpeg(*NOISE, *TONE, "-frames:v", "300", "-t", "12", *coded, path)
    assert path.stat().st_size > 20_000_000
    return path


def bytes_read() -> int:
    """By this process, from files and from what the system has of them in memory."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(lines[0].removeprefix("rchar: "))


def test_an_index_takes_a_small_part_of_an_mp4(source: Path) -> None:
    before = bytes_read()
    index = index_source(source)
    assert index.frames == 300
    assert bytes_read() - before < source.stat().st_size // 2


@pytest.mark.skipif(not hasattr(av.stream, "Discard"), reason="PyAV before 18 cannot discard streams")
def test_sound_is_copied_without_reading_the_video(source: Path) -> None:
    with open_container(f"file:{source}", "r") as container:
        wanted = [(packet.pts, bytes(packet)) for packet in container.demux(audio=0) if packet.size]
    with open_container(f"file:{source}", "r") as container, av.open(BytesIO(), "w", format="mp4") as output:
        before = bytes_read()
        found = passthrough.plan(container, 0, "mp4", "copy")
        found.carried[0].made = output.add_stream_from_template(container.streams.audio[0])
        copied = [(packet.pts, bytes(packet)) for packet in passthrough.packets(found, container, lambda: None)]
    assert copied == wanted
    assert bytes_read() - before < source.stat().st_size // 2
