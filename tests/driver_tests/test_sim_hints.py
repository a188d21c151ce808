"""Hints for the search for motion in the simulated encoder: every rule, shown by a client that breaks it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driver_tests.encode_client import Rig, rig

from simulator import Simulator
from simulator.abi import VERSIONS
from simulator.raw import Refused

pytestmark = pytest.mark.one_abi

BLOCKS = {"H264": 20 * 15, "HEVC": 10 * 8, "AV1": 5 * 4}  # in 320x240


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


class Hinting:
    """A client whose pictures have hints."""

    def __init__(self, client: Rig, codec: str = "H264", enable: int = 1, **most: int) -> None:
        self.client, self.codec = client, codec
        params = client.session.params(320, 240, codec=codec)
        params.enableExternalMEHints = enable
        for name, value in (most or self.one()).items():
            setattr(params.maxMEHintCountsPerBlock[0], name, value)
        client.session.initialize_with(params)
        client.started = True
        client.add_surface(np.zeros(320 * 360, np.uint8))

    def one(self) -> dict[str, int]:
        return {"numCandsPerSb" if self.codec == "AV1" else "numCandsPerBlk16x16": 1}

    def array(self, count: int) -> Any:
        """Valid hints, one of each block."""
        abi = self.client.abi
        kind = abi.class_of("NVENC_EXTERNAL_ME_SB_HINT" if self.codec == "AV1" else "NVENC_EXTERNAL_ME_HINT")
        hints = (kind * count)()
        for hint in hints:
            for flag in ("last_of_cu", "last_of_sb") if self.codec == "AV1" else ("lastofPart", "lastOfMB"):
                setattr(hint, flag, -1)
        return hints

    def encode(self, hints: Any = None, *, number: int = 0, count: int | None = None, **counts: int) -> Any:
        hints = self.array(BLOCKS[self.codec]) if hints is None else hints
        wanted = (self.client.abi.class_of("NVENC_EXTERNAL_ME_HINT_COUNTS_PER_BLOCKTYPE") * 2)()
        for name, value in (counts or self.one()).items():
            setattr(wanted[0], name, value)
        given: dict[str, Any] = {"meHintCountsPerBlock": wanted}
        if self.codec == "AV1":
            given |= {
                "meExternalSbHints": ctypes.addressof(hints),
                "meSbHintsCount": len(hints) if count is None else count,
            }
        else:
            given |= {"meExternalHints": ctypes.addressof(hints)}
        self.client.encode(number, **given)
        return hints


@contextmanager
def broken(simulator: Simulator, message: str) -> Iterator[Rig]:
    with rig(simulator, check=False) as client:
        with pytest.raises(Refused, match=message):
            yield client
        (violation,) = client.machine.violations()
        assert violation["call"] == "nvEncEncodePicture"
        client.abandon()


@pytest.mark.parametrize("codec", list(BLOCKS))
def test_hints_are_taken(simulator: Simulator, codec: str) -> None:
    with rig(simulator) as client:
        pictures = Hinting(client, codec)
        hints = pictures.array(BLOCKS[codec])
        hints[3].refidx, hints[4].mvx, hints[4].mvy = -1, -8, 7
        kept = pictures.encode(hints)
        client.take(0)
        assert len(kept) == BLOCKS[codec]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_interface_takes_hints(simulator: Simulator, version: str) -> None:
    with rig(simulator, version) as client:
        kept = Hinting(client).encode()
        client.take(0)
        assert len(kept) == BLOCKS["H264"]


def wrong(**fields: int) -> Callable[[Hinting], object]:
    """The last hint but one has these fields."""

    def use(pictures: Hinting) -> object:
        hints = pictures.array(BLOCKS[pictures.codec])
        for name, value in fields.items():
            setattr(hints[len(hints) - 2], name, value)
        return pictures.encode(hints)

    return use


def all_parts(number: int = 1) -> dict[str, int]:
    return {f"numCandsPerBlk{size}": number for size in ("16x16", "16x8", "8x16", "8x8")}


BROKEN: list[tuple[dict[str, Any], Callable[[Hinting], object], str]] = [
    ({"enable": 0}, lambda pictures: pictures.encode(), "enableExternalMEHints is 0"),
    ({}, lambda pictures: pictures.client.encode(0), "the picture has no hints"),
    ({}, lambda pictures: pictures.encode(pictures.array(600), numCandsPerBlk16x16=2), "exceeds"),
    ({}, lambda pictures: pictures.encode(pictures.array(1200), numCandsPerBlk8x8=1), "exceeds"),
    (
        {"codec": "HEVC", **all_parts()},
        lambda pictures: pictures.encode(pictures.array(160), numCandsPerBlk16x8=1),
        "for H.264 alone",
    ),
    (
        {"codec": "HEVC", "numCandsPerBlk16x16": 2},
        lambda pictures: pictures.encode(pictures.array(160), numCandsPerBlk16x16=2),
        "one hint for each valid candidate",
    ),
    ({"codec": "AV1"}, lambda pictures: pictures.encode(pictures.array(21)), "meSbHintsCount is 21 of 20"),
    ({"codec": "AV1"}, lambda pictures: pictures.encode(count=19), "19 hints say .* there are 20"),
    ({}, wrong(refidx=1), "refidx 1"),
    ({}, wrong(lastOfMB=0), "lastOfMB of hint 298 does not fit"),
    ({"numCandsPerBlk16x16": 2}, lambda p: p.encode(p.array(600), numCandsPerBlk16x16=2), "lastOfMB of hint 0"),
    ({}, wrong(lastofPart=0), "not the last of its part"),
    ({"codec": "AV1"}, wrong(mvx=1024 * 4), "mvx 4096"),
    ({"codec": "AV1"}, wrong(mvy=-512 * 4), "mvy -2048"),
    ({"codec": "AV1"}, wrong(last_of_sb=0), "19 hints say"),
]


@pytest.mark.parametrize(("setup", "use", "message"), BROKEN, ids=[f"{i}" for i in range(len(BROKEN))])
def test_a_broken_rule_is_reported_and_refused(
    simulator: Simulator, setup: dict[str, Any], use: Callable[[Hinting], object], message: str
) -> None:
    with broken(simulator, message) as client:
        use(Hinting(client, **setup))


def test_hints_that_change_in_flight_are_found(simulator: Simulator) -> None:
    """When a real engine reads them is documented nowhere, so the simulated one does so at the end. The engine is busy
    with another picture meanwhile."""
    slow = {"name": "RTX 4090", "engines": 1, "fps_1080p": 0.1}
    with rig(simulator, check=False, gpus=[slow]) as client:
        pictures = Hinting(client)
        client.add_surface(np.zeros(320 * 360, np.uint8))
        kept = pictures.encode()
        hints = pictures.encode(number=1)
        hints[7].mvx = 1
        for number in (0, 1):
            client.take(number)
        (violation,) = client.machine.violations()
        assert "the motion hints of picture 1 were changed" in violation["message"]
        assert kept[7].mvx == 0
        client.close()
