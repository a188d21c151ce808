"""The rules of what pictures give besides their access units, each shown by a client that breaks it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from driver_tests.encode_client import FAST, HEIGHT, WIDTH, Rig, picture, rig

from simulator import Simulator
from simulator.abi import VERSIONS
from simulator.raw import Refused

UNIT = 64
"""Bytes of NV_ENC_OUTPUT_STATS_BLOCK and NV_ENC_OUTPUT_STATS_ROW."""
ROWS = HEIGHT // 16
ABLE: dict[str, Any] = {**FAST, "caps": {"OUTPUT_BLOCK_STATS": 1, "OUTPUT_ROW_STATS": 1, "OUTPUT_RECON_SURFACE": 1}}
WITH_OUTPUTS = VERSIONS[1:]
"""The interfaces that have them."""


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


def begin(client: Rig, **fields: int) -> Rig:
    """Starts the session with these fields of NV_ENC_INITIALIZE_PARAMS."""
    params = client.session.params(WIDTH, HEIGHT)
    for name, value in fields.items():
        setattr(params, name, value)
    client.session.initialize_with(params)
    client.params, client.started = params, True
    client.add_surface(picture(3))
    return client


@contextmanager
def able(simulator: Simulator, version: str = "13.0", *, check: bool = False) -> Iterator[Rig]:
    with rig(simulator, version, check=check, gpus=[ABLE]) as client:
        yield client


def units(client: Rig, count: int = ROWS) -> Any:
    """Memory for statistics, with the version words of its structs."""
    made = (client.abi.class_of("NV_ENC_OUTPUT_STATS_ROW") * count)()
    for one in made:
        one.version = client.abi.struct_version("NV_ENC_OUTPUT_STATS_ROW")
    return made


def lock(client: Rig, **fields: Any) -> Any:
    params = client.abi.struct("NV_ENC_LOCK_BITSTREAM", outputBitstream=client.outputs[0], **fields)
    client.session.call("nvEncLockBitstream", ctypes.byref(params))
    return params


def lock_with(client: Rig, memory: Any, size: int) -> Any:
    return lock(
        client, outputStatsPtr=ctypes.addressof(memory) if memory is not None else None, outputStatsPtrSize=size
    )


ROW_LEVEL = {"enableOutputStats": 1, "outputStatsLevel": 2}


@pytest.mark.parametrize("version", WITH_OUTPUTS)
def test_statistics_of_rows(simulator: Simulator, version: str) -> None:
    with able(simulator, version, check=True) as client:
        begin(client, **ROW_LEVEL).encode(0)
        memory = units(client)
        locked = lock_with(client, memory, ROWS * UNIT)
        assert sum(one.bitcount for one in memory) == 8 * locked.bitstreamSizeInBytes
        assert all(locked.frameAvgQP == one.QP for one in memory)
        if version.startswith("13"):
            assert sum(one.satdCost for one in memory) == locked.frameSatd > 0
        client.session.unlock(client.outputs[0])


def too_little_memory(client: Rig) -> None:
    begin(client, **ROW_LEVEL).encode(0)
    lock_with(client, units(client), ROWS * UNIT - 1)


def no_memory(client: Rig) -> None:
    begin(client, **ROW_LEVEL).encode(0)
    lock_with(client, None, ROWS * UNIT)


def memory_without_statistics(client: Rig) -> None:
    begin(client).encode(0)
    lock_with(client, units(client), ROWS * UNIT)


def wrong_version_words(client: Rig) -> None:
    begin(client, **ROW_LEVEL).encode(0)
    lock_with(client, (ctypes.c_uint8 * (ROWS * UNIT))(), ROWS * UNIT)


BROKEN: list[tuple[Callable[[Rig], None], str, str]] = [
    (too_little_memory, "nvEncLockBitstream", "structs take"),
    (no_memory, "nvEncLockBitstream", "outputStatsPtr is null"),
    (memory_without_statistics, "nvEncLockBitstream", "without enableOutputStats"),
    (wrong_version_words, "nvEncLockBitstream", "has version word"),
    (lambda client: void(begin(client, enableOutputStats=1)), "nvEncInitializeEncoder", "go together"),
    (lambda client: void(begin(client, outputStatsLevel=1)), "nvEncInitializeEncoder", "go together"),
    (
        lambda client: void(begin(client, enableOutputStats=1, outputStatsLevel=3)),
        "nvEncInitializeEncoder",
        "unknown outputStatsLevel",
    ),
]


def void(_: object) -> None:
    """Drops a result."""


@pytest.mark.parametrize(("broken", "call", "message"), BROKEN, ids=[f"{i}-{b[2][:20]}" for i, b in enumerate(BROKEN)])
def test_a_broken_rule_is_reported_and_refused(
    simulator: Simulator, broken: Callable[[Rig], None], call: str, message: str
) -> None:
    with able(simulator) as client:
        with pytest.raises(Refused, match=message) as refused:
            broken(client)
        assert refused.value.call == call
        (violation,) = client.machine.violations()
        assert violation["call"] == call
        assert message in violation["message"]
        client.abandon()


@pytest.mark.parametrize(
    ("capability", "fields"),
    [("OUTPUT_ROW_STATS", ROW_LEVEL), ("OUTPUT_BLOCK_STATS", {**ROW_LEVEL, "outputStatsLevel": 1})],
)
def test_outputs_that_the_gpu_lacks(simulator: Simulator, capability: str, fields: dict[str, int]) -> None:
    lacking = {**ABLE, "caps": {**ABLE["caps"], capability: 0}}
    with rig(simulator, check=False, gpus=[lacking]) as client:
        with pytest.raises(Refused, match=capability):
            begin(client, **fields)
        client.abandon()
