"""The rules of what pictures give besides their access units, each shown by a client that breaks it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
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


RECON = {"enableReconFrameOutput": 1}
FLAG = 32
"""NV_ENC_PIC_FLAG_OUTPUT_RECON_FRAME."""


def add_target(client: Rig, **fields: Any) -> int:
    """A mapped buffer for reconstructions."""
    usage = {"bufferUsage": client.abi.NV_ENC_OUTPUT_RECON, **fields}
    pointer = client.cuda.upload(np.zeros(WIDTH * HEIGHT * 3 // 2, np.uint8))
    client.registered.append(client.session.register(pointer, **usage))
    target = client.session.map(client.registered[-1])
    client.targets = [(pointer, target)]  # type: ignore[attr-defined]
    return target


def unmap(client: Rig, target: int) -> None:
    client.session.call("nvEncUnmapInputResource", ctypes.c_void_p(target))


def pixels_at(client: Rig, pointer: int) -> Any:
    found = np.empty(WIDTH * HEIGHT * 3 // 2, np.uint8)
    address = ctypes.c_void_p(found.ctypes.data)
    client.cuda.check(client.cuda.lib.cuMemcpyDtoH_v2(address, ctypes.c_uint64(pointer), ctypes.c_size_t(found.nbytes)))
    return found


@pytest.mark.parametrize("version", WITH_OUTPUTS)
def test_a_reconstruction_is_there_once_its_buffer_is_unmapped(simulator: Simulator, version: str) -> None:
    with able(simulator, version, check=True) as client:
        target = add_target(begin(client, **RECON))
        ((pointer, _),) = client.targets  # type: ignore[attr-defined]
        client.encode(0, encodePicFlags=FLAG, outputReconBuffer=target)
        client.take(0)
        assert not pixels_at(client, pointer).any()
        unmap(client, target)
        assert np.array_equal(pixels_at(client, pointer), picture(3))


def flag_alone(client: Rig) -> None:
    begin(client, **RECON).encode(0, encodePicFlags=FLAG)


def buffer_alone(client: Rig) -> None:
    target = add_target(begin(client, **RECON))
    client.encode(0, outputReconBuffer=target)


def never_enabled(client: Rig) -> None:
    begin(client).encode(0, encodePicFlags=FLAG, outputReconBuffer=client.inputs[0])


def an_input_as_its_target(client: Rig) -> None:
    begin(client, **RECON).encode(0, encodePicFlags=FLAG, outputReconBuffer=client.inputs[0])


def a_target_as_input(client: Rig) -> None:
    client.inputs[0] = add_target(begin(client, **RECON))
    client.encode(0)


def not_mapped(client: Rig) -> None:
    target = add_target(begin(client, **RECON))
    unmap(client, target)
    client.encode(0, encodePicFlags=FLAG, outputReconBuffer=target)


def given_twice(client: Rig) -> None:
    target = add_target(begin(client, **RECON))
    client.add_surface(picture(4))
    client.encode(0, encodePicFlags=FLAG, outputReconBuffer=target)
    client.encode(1, encodePicFlags=FLAG, outputReconBuffer=target)


def too_small(client: Rig) -> None:
    target = add_target(begin(client, **RECON), height=HEIGHT - 2)
    client.encode(0, encodePicFlags=FLAG, outputReconBuffer=target)


MOTION = {"enableMEOnlyMode": 1}


def vectors(client: Rig) -> int:
    params = client.abi.struct("NV_ENC_CREATE_MV_BUFFER")
    client.session.call("nvEncCreateMVBuffer", ctypes.byref(params))
    client.vectors = int(params.mvBuffer)  # type: ignore[attr-defined]
    return int(params.mvBuffer)


def look(client: Rig, output: int, **fields: Any) -> None:
    given = {"inputWidth": WIDTH, "inputHeight": HEIGHT, "inputBuffer": client.inputs[0], "mvBuffer": output, **fields}
    params = client.abi.struct("NV_ENC_MEONLY_PARAMS", referenceFrame=client.inputs[0], **given)
    client.session.call("nvEncRunMotionEstimationOnly", ctypes.byref(params))


@pytest.mark.parametrize("version", VERSIONS)
def test_motion_of_a_picture_that_stands_still(simulator: Simulator, version: str) -> None:
    with able(simulator, version, check=True) as client:
        begin(client, **MOTION)
        output = vectors(client)
        look(client, output)
        locked = client.session.lock(output)
        count = WIDTH * HEIGHT // 256
        assert locked.bitstreamSizeInBytes == count * 24
        data = (client.abi.class_of("NV_ENC_H264_MV_DATA") * count).from_address(locked.bitstreamBufferPtr)
        assert {(one.mv[0].mvx, one.mv[0].mvy, one.mbType, one.mbCost) for one in data} == {(0, 0, 1, 0)}
        client.session.unlock(output)
        client.session.call("nvEncDestroyMVBuffer", ctypes.c_void_p(output))


def encode_instead(client: Rig) -> None:
    begin(client, **MOTION).encode(0)


def twice_without_a_lock(client: Rig) -> None:
    output = vectors(begin(client, **MOTION))
    look(client, output)
    look(client, output)


def into_a_bitstream(client: Rig) -> None:
    begin(client, **MOTION)
    look(client, client.outputs[0])


def of_another_size(client: Rig) -> None:
    output = vectors(begin(client, **MOTION))
    look(client, output, inputWidth=WIDTH - 16)


def with_an_event(client: Rig) -> None:
    output = vectors(begin(client, **MOTION))
    look(client, output, completionEvent=1)


def destroy_a_bitstream_as_vectors(client: Rig) -> None:
    begin(client, **MOTION)
    client.session.call("nvEncDestroyMVBuffer", ctypes.c_void_p(client.outputs[0]))


def never_enabled_motion(client: Rig) -> None:
    begin(client)
    look(client, client.outputs[0])


DONE = 2
"""hwEncodeStatus of a picture that is done."""
SUB_FRAMES = {"enableSubFrameWrite": 1, "reportSliceOffsets": 1}


def sliced(client: Rig, slices: int = 3) -> Rig:
    params = client.session.params(WIDTH, HEIGHT)
    params.config.encodeCodecConfig.h264Config.sliceMode = 3
    params.config.encodeCodecConfig.h264Config.sliceModeData = slices
    for name, value in SUB_FRAMES.items():
        setattr(params, name, value)
    client.session.initialize_with(params)
    client.started = True
    client.add_surface(picture(3))
    return client


@pytest.mark.parametrize("version", VERSIONS)
def test_slices_are_seen_one_after_the_other(simulator: Simulator, version: str) -> None:
    settings: dict[str, Any] = {"gpus": [ABLE], "backend": "codec", "slices_per_lock": 1}
    with rig(simulator, version, **settings) as client:
        sliced(client).encode(0)
        client.session.lock(client.outputs[0])  # a client that waits gets all of it
        client.session.unlock(client.outputs[0])
        client.encode(0)
        seen: list[tuple[int, int, int]] = []
        while not seen or seen[-1][0] != DONE:
            locked = client.session.lock(client.outputs[0], wait=False)
            seen.append((locked.hwEncodeStatus, locked.numSlices, locked.bitstreamSizeInBytes))
            client.session.unlock(client.outputs[0])
    shown = [one for one in seen if one[1] > 0]
    assert [one[1] for one in shown] == [1, 2, 3]
    assert [one[2] for one in shown] == sorted({one[2] for one in shown})


def lock_a_part_twice(client: Rig) -> None:
    sliced(client).encode(0)
    client.session.lock(client.outputs[0], wait=False)
    client.session.lock(client.outputs[0], wait=False)


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
    (flag_alone, "nvEncEncodePicture", "go together"),
    (buffer_alone, "nvEncEncodePicture", "go together"),
    (never_enabled, "nvEncEncodePicture", "no enableReconFrameOutput"),
    (an_input_as_its_target, "nvEncEncodePicture", "not registered as NV_ENC_OUTPUT_RECON"),
    (a_target_as_input, "nvEncEncodePicture", "is an output"),
    (not_mapped, "nvEncEncodePicture", "is not mapped"),
    (given_twice, "nvEncEncodePicture", "second picture"),
    (too_small, "nvEncEncodePicture", "smaller than the picture"),
    (lock_a_part_twice, "nvEncLockBitstream", "locked"),
    (encode_instead, "nvEncEncodePicture", "with enableMEOnlyMode"),
    (twice_without_a_lock, "nvEncRunMotionEstimationOnly", "used again"),
    (into_a_bitstream, "nvEncRunMotionEstimationOnly", "not made by nvEncCreateMVBuffer"),
    (of_another_size, "nvEncRunMotionEstimationOnly", "in a session of"),
    (with_an_event, "nvEncRunMotionEstimationOnly", "completion event"),
    (destroy_a_bitstream_as_vectors, "nvEncDestroyMVBuffer", "no buffer for vectors"),
    (never_enabled_motion, "nvEncRunMotionEstimationOnly", "without enableMEOnlyMode"),
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
    [
        ("OUTPUT_RECON_SURFACE", RECON),
        ("OUTPUT_ROW_STATS", ROW_LEVEL),
        ("OUTPUT_BLOCK_STATS", {**ROW_LEVEL, "outputStatsLevel": 1}),
    ],
)
def test_outputs_that_the_gpu_lacks(simulator: Simulator, capability: str, fields: dict[str, int]) -> None:
    lacking = {**ABLE, "caps": {**ABLE["caps"], capability: 0}}
    with rig(simulator, check=False, gpus=[lacking]) as client:
        with pytest.raises(Refused, match=capability):
            begin(client, **fields)
        client.abandon()


def test_a_target_stays_mapped_while_its_picture_is_in_flight(simulator: Simulator) -> None:
    with rig(simulator, check=False, gpus=[{**ABLE, "engines": 1}], stall={"after_frames": 0}) as client:
        target = add_target(begin(client, **RECON))
        client.encode(0, encodePicFlags=FLAG, outputReconBuffer=target)
        with pytest.raises(Refused, match="in flight"):
            unmap(client, target)
        client.abandon()


@pytest.mark.parametrize("pixels", ["IYUV", "ARGB", "YUV444", "YUV420_10BIT"])
def test_formats_that_cannot_be_written(simulator: Simulator, pixels: str) -> None:
    with able(simulator) as client:
        begin(client, **RECON)
        with pytest.raises(Refused, match="cannot be written"):
            add_target(client, pixels=pixels, pitch=4 * WIDTH)
        client.abandon()
