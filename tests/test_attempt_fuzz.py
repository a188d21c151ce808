"""Calls around `begin_attempts` in any order, with right and absurd arguments: each picture comes out once and whole.

It is meant to run under AddressSanitizer too.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdum.nvenc import Attempts, NvencEncoder, NvencError, Packet, PictureOptions
from test_fuzz import ALLOWED, BOUNDED, JUNK, Own

from simulator import Simulator, checksum, parse

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

WIDTH, HEIGHT = 192, 128
MACHINE: dict[str, Any] = {"gpus": [{"name": "RTX 4090", "fps_1080p": 0}], "backend": "echo"}
WALKS = settings(BOUNDED, max_examples=60)


def picture(number: int) -> Any:
    return np.random.default_rng(number).integers(0, 256, (HEIGHT * 3 // 2, WIDTH), np.uint8)


class Walk:
    """An encoder, the picture that is open, and what has come out."""

    def __init__(self, encoder: NvencEncoder) -> None:
        self.encoder = encoder
        self.open: Attempts | None = None
        self.given = 0
        self.came: list[int] = []
        self.left_out: set[int] = set()

    def take(self, packets: list[Packet]) -> None:
        for packet in packets:
            (unit,) = parse(packet.data)
            assert unit.checksum == checksum(picture(packet.seq))
            self.came.append(packet.seq)

    def begin(self) -> None:
        is_open = self.open is not None and self.open.kept is None
        refused = "not finished" if is_open else "until it gives None"
        try:
            found = self.encoder.begin_attempts(picture(self.given), self.given)
        except NvencError as raised:
            if refused not in str(raised):
                raise
            return
        assert not is_open
        self.given += 1
        self.open = found

    def rest(self) -> None:
        if self.is_free():
            self.open = self.encoder.begin_attempts()

    def encode(self) -> None:
        if self.open is None:
            return
        try:
            packet = self.open.encode(qp=20 + len(self.open.packets))
        except NvencError:
            assert self.open.left == 0
        else:
            assert packet.frame_avg_qp == 19 + len(self.open.packets)

    def keep(self, number: int) -> None:
        if self.open is None or not self.open.packets or self.open.kept is not None:
            return
        self.take([self.open.keep(self.open.packets[number % len(self.open.packets)])])
        self.open = None

    def first(self) -> None:
        self.keep(0)

    def last(self) -> None:
        self.keep(-1)

    def leave(self) -> None:
        if self.open is None:
            return
        with self.open as left:
            pass
        if left.kept is not None:
            self.take([left.kept])
        elif self.encoder.config is not None and self.encoder.config.lookahead == 0:
            self.left_out.add(self.given - 1)
        self.open = None

    def is_free(self) -> bool:
        return self.open is None

    def submit(self) -> None:
        if not self.is_free():
            return
        self.take(self.encoder.submit(picture(self.given), self.given))
        self.given += 1

    def flush(self) -> None:
        if self.is_free():
            self.take(self.encoder.flush_pipeline())


STEPS = st.sampled_from(
    ["begin", "begin", "begin", "rest", "encode", "encode", "first", "last", "leave", "submit", "flush"]
)


@WALKS
@given(steps=st.lists(STEPS, max_size=30), lookahead=st.integers(0, 2))
def test_each_picture_comes_out_once(simulator: Simulator, steps: list[str], lookahead: int) -> None:
    with (
        simulator.machine(**MACHINE) as machine,
        NvencEncoder(WIDTH, HEIGHT, tuning="hq", qp=20, attempts=3, lookahead=lookahead) as encoder,
    ):
        walk = Walk(encoder)
        for step in steps:
            getattr(walk, step)()
            assert not machine.live().get("locked")
        walk.leave()
        walk.flush()
        assert sorted(walk.came) == sorted(set(range(walk.given)) - walk.left_out)
        assert encoder.in_flight == 0


@BOUNDED
@given(frame=JUNK, stream=JUNK, options=JUNK, qp_map=JUNK, kept=JUNK)
def test_what_is_no_frame(simulator: Simulator, frame: Any, stream: Any, options: Any, qp_map: Any, kept: Any) -> None:
    with simulator.machine(**MACHINE), NvencEncoder(WIDTH, HEIGHT, qp=20, attempts=2) as encoder:
        for given_frame, more in ((frame, {}), (frame, {"stream": stream}), (picture(1), {"picture": options})):
            with suppress(*ALLOWED, Own, AttributeError):
                found = encoder.begin_attempts(given_frame, 0, **more)
                if found is not None:
                    with found:
                        found.encode(qp_map=qp_map)
                        found.keep(kept)
        with encoder.begin_attempts(picture(2), 2, picture=PictureOptions(force_idr=True)) as last:  # type: ignore[union-attr]
            assert parse(last.encode(qp=30).data)[0].checksum == checksum(picture(2))
