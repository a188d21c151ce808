"""Calls around `encode_slices` in any order, with right and absurd frames: each picture comes out once and whole.

It is meant to run under AddressSanitizer too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdum.nvenc import NvencEncoder, NvencError, PictureOptions
from test_fuzz import ALLOWED, BOUNDED, JUNK, Own

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

WIDTH, HEIGHT, SLICES = 192, 128, 4
MACHINE: dict[str, Any] = {"gpus": [{"name": "RTX 4090", "fps_1080p": 0}], "backend": "codec", "slices_per_lock": 1}
WALKS = settings(BOUNDED, max_examples=60)


def picture(number: int, width: int = WIDTH) -> Any:
    noise = np.random.default_rng(number).integers(0, 256, (HEIGHT * 3 // 2, width // 8), np.uint8)
    return np.ascontiguousarray(np.repeat(noise, 8, axis=1))


def slices_in(data: bytes) -> int:
    return sum(unit[0] & 31 in (1, 5) for unit in data.split(b"\0\0\1")[1:] if unit)


class Walk:
    """An encoder, the picture whose slices are being read, and what has been given so far."""

    def __init__(self, encoder: NvencEncoder) -> None:
        self.encoder = encoder
        self.width = WIDTH
        self.accepted = 0
        self.whole = 0
        self.parts: Iterator[bytes] | None = None
        self.read = b""

    def begin(self, force_idr: bool) -> None:
        is_open = self.encoder.in_flight > 0
        options = PictureOptions(force_idr=True) if force_idr else None
        try:
            parts = self.encoder.encode_slices(picture(self.accepted, self.width), picture=options)
        except NvencError:
            assert is_open, "it may be refused only while another picture is being read"
            return
        assert not is_open
        self.accepted += 1
        self.parts, self.read = parts, b""

    def next(self) -> None:
        if self.parts is None:
            return
        is_open = self.encoder.in_flight > 0
        try:
            self.read += next(self.parts)
        except StopIteration:
            assert slices_in(self.read) == SLICES
            self.whole += 1
            self.parts = None
        except NvencError:
            assert not is_open, "only a picture that another call took fails"
            self.parts = None

    def rest(self) -> None:
        for _ in range(SLICES + 1):
            self.next()

    def take(self, packets: Any) -> None:
        for packet in packets:
            assert slices_in(packet.data) == SLICES
            self.whole += 1

    def flush(self) -> None:
        is_read = self.parts is not None and self.encoder.in_flight > 0
        packets = self.encoder.flush_pipeline()
        self.take(packets)
        if is_read:
            assert [packet.data.startswith(self.read) for packet in packets] == [True]

    def submit(self) -> None:
        if self.encoder.in_flight > 0:
            return
        self.rest()
        self.take(self.encoder.submit(picture(self.accepted, self.width), self.accepted))
        self.accepted += 1

    def resize(self) -> None:
        if self.encoder.in_flight > 0:
            return
        self.width = 2 * WIDTH if self.width == WIDTH else WIDTH
        self.encoder.reconfigure(width=self.width)

    def change(self) -> None:
        self.encoder.reconfigure(bitrate=10**6)

    def drop(self) -> None:
        """The iterator goes, and the picture stays with the encoder."""
        if self.encoder.in_flight == 0:
            self.rest()
        self.parts = None


STEPS = st.sampled_from(
    ["begin", "begin an IDR", "next", "next", "next", "rest", "flush", "submit", "resize", "change", "drop"]
)


@WALKS
@given(steps=st.lists(STEPS, max_size=24))
def test_each_picture_comes_out_once_and_whole(simulator: Simulator, steps: list[str]) -> None:
    with (
        simulator.machine(**MACHINE) as machine,
        NvencEncoder(WIDTH, HEIGHT, slices=SLICES, sub_frames=True, max_width=2 * WIDTH) as encoder,
    ):
        walk = Walk(encoder)
        for step in steps:
            if step.startswith("begin"):
                walk.begin(step != "begin")
            else:
                getattr(walk, step)()
            assert not machine.live().get("locked")
        walk.flush()
        walk.rest()
        assert walk.whole == walk.accepted
        assert encoder.in_flight == 0


@BOUNDED
@given(frame=JUNK, stream=JUNK, options=JUNK)
def test_what_is_no_frame(simulator: Simulator, frame: Any, stream: Any, options: Any) -> None:
    with simulator.machine(**MACHINE), NvencEncoder(WIDTH, HEIGHT, slices=SLICES, sub_frames=True) as encoder:
        for given_frame, more in ((frame, {}), (frame, {"stream": stream}), (picture(1), {"picture": options})):
            with suppress(*ALLOWED, Own, AttributeError):
                assert b"".join(encoder.encode_slices(given_frame, **more))
        encoder.flush_pipeline()
        assert slices_in(b"".join(encoder.encode_slices(picture(2)))) == SLICES
