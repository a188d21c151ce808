"""Damaged files give the same frames by the GPU's decoder as by one thread of the processor: every frame that can be
decoded is there, and whatever is repeated is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from damaged import damaged
from decoder.test_files import forget
from decoder.videos import Kind, assert_same, laid_out, make, on_host
from files import runner
from pdum.nvenc import DecodedFrame
from pdum.nvenc._media import hardware_decode
from pdum.nvenc._media.decode import frames_from
from pdum.nvenc._media.decoder import Decoding
from pdum.nvenc._media.source import index_source

from simulator import Machine

pytestmark = pytest.mark.one_abi

PYRAMID = {"bf": "7", "x264-params": "b-pyramid=normal:b-adapt=0", "g": "10"}
KINDS = [
    Kind("h264-pyramid", container="mkv", options=PYRAMID),
    Kind("hevc-damage", "libx265", size=(192, 160), options={"bf": "2"}, container="mkv"),
]


@pytest.fixture(autouse=True)
def _nothing_is_known_of_other_files() -> None:
    forget()


def without(source: Path, packets: set[int], folder: Path) -> Path:
    """A copy in which some packets are missing, and with them what others refer to."""
    path = folder / f"without{source.suffix}"
    with av.open(str(source)) as whole, av.open(str(path), "w") as container:
        made = container.add_stream_from_template(whole.streams.video[0])
        for number, packet in enumerate(whole.demux(video=0)):
            if packet.size and number not in packets:
                packet.stream = made
                container.mux(packet)
    return path


def cut_off(source: Path, packets: set[int], folder: Path) -> Path:
    """A copy that ends in the middle, as if its disk had been full."""
    path = folder / f"cut{source.suffix}"
    path.write_bytes(source.read_bytes()[: source.stat().st_size * min(packets) // 30])
    return path


def decoded(path: Path, first: int, by_chip: bool) -> tuple[list[Any], list[int], int]:
    """All frames, what was repeated, and how many the chip has decoded."""
    on_gpu = hardware_decode.decoder_on(runner.HARDWARE, path) if by_chip else None
    repeated: list[int] = []
    pictures: list[Any] = []
    chips = 0
    for frame in frames_from(path, index_source(path), first, Decoding(1, on_gpu=on_gpu), repeated.append):
        is_chips = isinstance(frame, DecodedFrame)
        chips += is_chips
        pictures += on_host([frame]) if is_chips else [(frame.pts, laid_out(frame))]
        del frame
    return pictures, repeated, chips


@pytest.mark.parametrize("packets", [{13}, {15}, {16, 17}, {24}, {29}], ids=str)
@pytest.mark.parametrize("damage", [damaged, without, cut_off])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_same_frames_as_by_the_processor(
    machine: Machine, folder: Path, tmp_path: Path, kind: Kind, damage: Callable[..., Path], packets: set[int]
) -> None:
    path = damage(make(folder, kind), packets, tmp_path)
    for first in (0, 12) if index_source(path).frames > 12 else (0,):
        wanted, told, _ = decoded(path, first, by_chip=False)
        found, repeated, chips = decoded(path, first, by_chip=True)
        assert chips
        assert repeated == told
        assert_same(found, wanted)
