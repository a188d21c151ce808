"""Packets that are changed at random: the decoder gives frames or errors of the tree, and leaves nothing behind."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vc1_pictures
from decoder.conftest import L4
from decoder.test_codecs import BY_LIBVPX, MPEG
from decoder.videos import Kind, make
from pdum.nvenc import Decoder, NvencError
from pdum.nvenc._media.stream_headers import filter_for, filtered, gpu_codec

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

KINDS = (
    Kind("h264", count=8, options={"g": "4"}),
    Kind("hevc", "libx265", size=(192, 160), count=8, options={"g": "4"}),
    Kind("vp8", "libvpx", container="webm", count=8, options=BY_LIBVPX),
    Kind("vp9", "libvpx-vp9", size=(160, 144), container="webm", count=8, options=BY_LIBVPX),
    Kind("mpeg2", "mpeg2video", container="ts", count=8, options=MPEG),
    Kind("mpeg4", "mpeg4", count=8, options=MPEG),
    Kind("mjpeg", "mjpeg", "yuvj420p", container="avi", count=4, options={"preset": "", "bf": "0"}),
)


@lru_cache
def packets_of(codec: str, folder: Path) -> list[bytes]:
    """As in the codec's own stream, with the headers."""
    if codec == "vc1":
        return list(vc1_pictures.access_units(160, 96, 8))
    kind = next(one for one in KINDS if one.name == codec)
    with av.open(str(make(folder, kind))) as container:
        video = container.streams.video[0]
        assert gpu_codec(video) == codec
        bitstream_filter = filter_for(video)
        parts = [part for packet in container.demux(video) for part in filtered(packet, bitstream_filter)]
        header = bytes(video.codec_context.extradata or b"") if codec == "mpeg4" else b""
        return [header * (number == 0) + bytes(part) for number, part in enumerate(parts) if part.size]


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["byte", "bit", "cut", "drop", "twice", "zeros"]),
        st.integers(0, 7),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 255),
    ),
    max_size=6,
)


def changed(packets: list[bytes], changes: list[tuple[str, int, float, int]]) -> list[bytes]:
    found = [bytearray(packet) for packet in packets]
    for what, number, place, value in changes:
        packet = found[number % len(found)]
        at = int(place * min(len(packet), 40 if value % 2 else len(packet)))  # headers are at the beginning
        if what == "byte" and packet:
            packet[at] = value
        elif what == "bit" and packet:
            packet[at] ^= 1 << value % 8
        elif what == "cut":
            del packet[at:]
        elif what == "drop":
            packet.clear()
        elif what == "twice":
            found.insert(number % len(found), bytearray(packet))
        elif what == "zeros":
            packet[at : at + value] = bytes(min(value, len(packet) - at))
    return [bytes(packet) for packet in found]


@pytest.mark.parametrize("codec", [*(kind.name for kind in KINDS), "vc1"])
@given(changes=CHANGES, surfaces=st.sampled_from([1, 6]))
@settings(max_examples=40)
def test_changed_packets(nvsim_dir: Path, folder: Path, codec: str, changes: Any, surfaces: int) -> None:
    frames = []
    with Simulator().machine(**L4):
        with Decoder(codec, surfaces=surfaces) as decoder:
            for data in changed(packets_of(codec, folder), changes):
                with suppress(NvencError):
                    frames += decoder.decode(data)
            for _ in range(2):
                with suppress(NvencError):
                    frames += decoder.flush()
        assert all(np.asarray(frame).size for frame in frames)
        frames.clear()
