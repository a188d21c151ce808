"""Maps of QP offsets and emphasis in the simulated encoder: what it reads, and every rule, shown by a client that
breaks it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driver_tests.encode_client import Rig, rig

from simulator import Simulator
from simulator.abi import VERSIONS
from simulator.raw import Refused

pytestmark = pytest.mark.one_abi

BLOCKS = 20 * 15  # of 16x16 in 320x240
DISABLED, EMPHASIS, DELTA, ABSOLUTE = range(4)


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


class Mapped:
    """A client whose pictures may have maps."""

    def __init__(self, client: Rig, mode: int = DELTA, codec: str = "H264", **rates: int) -> None:
        self.client = client
        params = client.session.params(320, 240, codec=codec)
        params.config.rcParams.qpMapMode = mode
        for name, value in rates.items():
            setattr(params.config.rcParams, name, value)
        client.session.initialize_with(params)
        client.started = True
        client.add_surface(np.zeros(320 * 360, np.uint8))
        self.kept: list[Any] = []

    def encode(self, values: Any = None, size: int | None = None, number: int = 0) -> None:
        array = np.asarray(values if values is not None else [], np.int8)
        self.kept.append(array)
        given: dict[str, Any] = {"qpDeltaMap": array.ctypes.data_as(ctypes.c_void_p)} if values is not None else {}
        self.client.encode(number, qpDeltaMapSize=array.size if size is None else size, **given)

    def coded(self, values: Any = None) -> bytes | None:
        self.encode(values)
        return self.client.take(0).map


@pytest.mark.parametrize("version", VERSIONS)
def test_a_map_holds_until_the_next_one(simulator: Simulator, version: str) -> None:
    """As it is reported of real cards."""
    first, second = np.arange(BLOCKS) % 50, -(np.arange(BLOCKS) % 51)
    with rig(simulator, version) as client:
        pictures = Mapped(client)
        assert pictures.coded() is None
        told = [pictures.coded(values) for values in (first, None, None, second, None)]
    one, two = first.astype(np.int8).tobytes(), second.astype(np.int8).tobytes()
    assert told == [one, one, one, two, two]


@pytest.mark.parametrize(("codec", "block"), [("H264", 16), ("HEVC", 32), ("AV1", 64)])
def test_a_map_has_one_byte_for_each_block(simulator: Simulator, codec: str, block: int) -> None:
    wanted = -(-320 // block) * -(-240 // block)
    for size in (wanted - 1, wanted + 1, 0):
        with rig(simulator, check=False) as client:
            pictures = Mapped(client, codec=codec)
            with pytest.raises(Refused, match=f"qpDeltaMapSize is {size}; .*{block}x{block} pixels take {wanted}"):
                pictures.encode(np.zeros(wanted + 1, np.int8), size)
            assert len(client.machine.violations()) == 1
            client.abandon()
    with rig(simulator) as client:
        assert Mapped(client, codec=codec).coded(np.ones(wanted)) == b"\1" * wanted


def test_blocks_of_hevc_are_its_coding_tree_blocks(simulator: Simulator) -> None:
    with rig(simulator) as client:
        params = client.session.params(320, 240, codec="HEVC")
        params.config.rcParams.qpMapMode = DELTA
        params.config.encodeCodecConfig.hevcConfig.maxCUSize = client.abi.NV_ENC_HEVC_CUSIZE_64x64
        client.session.initialize_with(params)
        client.started = True
        client.add_surface(np.zeros(320 * 360, np.uint8))
        values = np.ones(5 * 4, np.int8)
        client.encode(0, qpDeltaMap=values.ctypes.data_as(ctypes.c_void_p), qpDeltaMapSize=20)
        assert client.take(0).map == b"\1" * 20


def a_map_in_mode(mode: int, *values: int) -> Callable[[Rig], None]:
    def use(client: Rig) -> None:
        array = np.zeros(BLOCKS, np.int8)
        array[: len(values)] = values
        Mapped(client, mode).encode(array)

    return use


BROKEN: list[tuple[Callable[[Rig], object], str, str]] = [
    (a_map_in_mode(DISABLED), "nvEncEncodePicture", "qpMapMode is disabled"),
    (lambda client: Mapped(client, DISABLED).encode(None, 7), "nvEncEncodePicture", "qpMapMode is disabled"),
    (a_map_in_mode(DELTA, 51, -51, 52), "nvEncEncodePicture", "holds 52; values go from -51 to 51"),
    (a_map_in_mode(EMPHASIS, 0, 5, 6), "nvEncEncodePicture", "holds 6; values go from 0 to 5"),
    (a_map_in_mode(EMPHASIS, -1), "nvEncEncodePicture", "holds -1"),
    (lambda client: Mapped(client, ABSOLUTE), "nvEncInitializeEncoder", "qpMapMode 3 is not supported"),
    (lambda client: Mapped(client, EMPHASIS, "HEVC"), "nvEncInitializeEncoder", "is for H.264 alone"),
    (lambda client: Mapped(client, EMPHASIS, enableAQ=1), "nvEncInitializeEncoder", "not supported with enableAQ"),
    (lambda client: Mapped(client, EMPHASIS, enableTemporalAQ=1), "nvEncInitializeEncoder", "not supported with"),
]


@pytest.mark.parametrize(("broken", "call", "message"), BROKEN, ids=[f"{i}-{b[1]}" for i, b in enumerate(BROKEN)])
def test_a_broken_rule_is_reported_and_refused(
    simulator: Simulator, broken: Callable[[Rig], object], call: str, message: str
) -> None:
    with rig(simulator, check=False) as client:
        with pytest.raises(Refused, match=message):
            broken(client)
        (violation,) = client.machine.violations()
        assert violation["call"] == call
        client.abandon()


def test_a_map_that_changes_in_flight_is_found(simulator: Simulator) -> None:
    """When a real engine reads a map is documented nowhere, so the simulated one does so at the end. The engine is busy
    with another picture meanwhile."""
    slow = {"name": "RTX 4090", "engines": 1, "fps_1080p": 0.1}
    with rig(simulator, check=False, gpus=[slow]) as client:
        pictures = Mapped(client)
        client.add_surface(np.zeros(320 * 360, np.uint8))
        for number in (0, 1):
            pictures.encode(np.zeros(BLOCKS, np.int8), number=number)
        pictures.kept[1][7] = 1
        for number in (0, 1):
            client.take(number)
        (violation,) = client.machine.violations()
        assert "the qpDeltaMap of picture 1 was changed" in violation["message"]
        client.close()


def test_nothing_is_reported_where_strictness_is_off(simulator: Simulator) -> None:
    with rig(simulator, strict=False) as client:
        assert Mapped(client).coded(np.full(BLOCKS, 100, np.int8)) == b"d" * BLOCKS
    with rig(simulator, strict=False) as client:
        assert Mapped(client, DISABLED).coded(np.ones(BLOCKS, np.int8)) is None


def test_emphasis_takes_its_capability(simulator: Simulator) -> None:
    lacking = {"name": "RTX 4090", "caps": {"SUPPORT_EMPHASIS_LEVEL_MAP": 0}}
    with rig(simulator, gpus=[lacking]) as client:
        with pytest.raises(Refused, match="SUPPORT_EMPHASIS_LEVEL_MAP is 0"):
            Mapped(client, EMPHASIS)
        client.abandon()
