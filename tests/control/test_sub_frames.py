"""Slices that are read before their picture is done."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from control.coded import HEIGHT, WIDTH, frame_of, planes_of
from control.driver_calls import GPU
from frames import gpu, nv12
from pdum.nvenc import EncoderFailed, InvalidConfig, InvalidFrame, NvencEncoder, PictureOptions

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

SLICES = 4
SLICE_TYPES = {"h264": (1, 5), "hevc": (*range(10), 16, 17, 18, 19, 20, 21)}
BY_LOCK: dict[str, Any] = {"backend": "codec", "slices_per_lock": 1}
"""Each time that a client asks, the driver shows one slice more."""


def slices_in(part: bytes, codec: str) -> int:
    units = [unit for unit in part.split(b"\0\0\1")[1:] if unit]
    kinds = [unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63 for unit in units]
    return sum(kind in SLICE_TYPES[codec] for kind in kinds)


def pictures(count: int) -> list[Any]:
    return [frame_of(planes, "nv12") for planes in planes_of("nv12", count)]


def encoder(codec: str = "h264", **more: Any) -> NvencEncoder:
    return NvencEncoder(WIDTH, HEIGHT, codec=codec, slices=SLICES, sub_frames=True, **more)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_each_slice_comes_by_itself_and_in_order(abi: str, simulator: Simulator, codec: str) -> None:
    with simulator.machine(gpus=GPU, backend="codec"), NvencEncoder(WIDTH, HEIGHT, codec=codec, slices=SLICES) as plain:
        wanted = [plain.encode(picture) for picture in pictures(3)]
    with simulator.machine(gpus=GPU, **BY_LOCK), encoder(codec) as one:
        for picture, whole in zip(pictures(3), wanted, strict=True):
            parts = list(one.encode_slices(picture))
            assert [slices_in(part, codec) for part in parts] == [1] * SLICES
            assert b"".join(parts) == whole
        assert one.in_flight == 0


@pytest.mark.slow
def test_a_part_is_there_before_the_picture_is(simulator: Simulator) -> None:
    """By the engine's rate, which takes seconds for each picture."""
    slow = {**GPU, "engines": 1, "fps_1080p": 0.006}
    with simulator.machine(gpus=slow, backend="codec"), encoder() as one:
        parts = list(one.encode_slices(pictures(1)[0]))
    assert sum(slices_in(part, "h264") for part in parts) == SLICES
    assert len(parts) > 1


def test_nothing_stays_locked_while_the_caller_uses_a_part(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU, **BY_LOCK) as machine, encoder() as one:
        for _ in one.encode_slices(pictures(1)[0]):
            assert not machine.live().get("locked")


def test_they_follow_a_change_of_size(abi: str, simulator: Simulator) -> None:
    """The driver tells where each slice begins, in memory that has to grow with the picture."""
    with simulator.machine(gpus=GPU, **BY_LOCK), encoder(max_width=2 * WIDTH, max_height=2 * HEIGHT) as one:
        assert len(list(one.encode_slices(pictures(1)[0]))) == SLICES
        one.reconfigure(width=2 * WIDTH, height=2 * HEIGHT)
        for number in range(3):
            parts = list(one.encode_slices(nv12(2 * WIDTH, 2 * HEIGHT, number)))
            assert [slices_in(part, "h264") for part in parts] == [1] * SLICES


def test_other_calls_are_as_before(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU, **BY_LOCK), encoder() as one:
        first, second, third = pictures(3)
        assert slices_in(one.encode(first), "h264") == SLICES
        assert slices_in(b"".join(one.encode_slices(second, picture=PictureOptions(force_idr=True))), "h264") == SLICES
        (packet,) = one.submit(third, 3)
        assert (packet.pts, packet.keyframe) == (2, False)


def test_who_stops_early_gets_the_picture_by_flush(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU, **BY_LOCK), encoder() as one:
        first, second, third = pictures(3)
        parts = one.encode_slices(first)
        begun = next(parts)
        with pytest.raises(EncoderFailed, match="call flush"):
            one.encode_slices(second)
        (packet,) = one.flush_pipeline()
        assert packet.data.startswith(begun)
        with pytest.raises(EncoderFailed, match="Another call has taken the rest"):
            list(parts)
        assert b"".join(one.encode_slices(third))


def test_closing_in_between_leaves_nothing(abi: str, simulator: Simulator) -> None:
    with simulator.machine(gpus=GPU, **BY_LOCK) as machine:
        one = encoder()
        parts = one.encode_slices(pictures(1)[0])
        next(parts)
        one.close()
        assert not any(machine.live().values())
        with pytest.raises(Exception, match="closed"):
            next(parts)


def test_the_frame_may_be_changed_at_once(simulator: Simulator) -> None:
    """It is copied, on the GPU too: the driver would tell of a frame that changes while it is read."""
    with simulator.machine(gpus=GPU, **BY_LOCK), gpu() as device, encoder() as one:
        frame = device.frame(pictures(1)[0])
        parts = one.encode_slices(frame)
        device.upload(frame.pointer, np.zeros((HEIGHT * 3 // 2, WIDTH), np.uint8))
        found = b"".join(parts)
    with simulator.machine(gpus=GPU, **BY_LOCK), encoder() as another:
        assert found == another.encode(pictures(1)[0])


def test_it_needs_the_setting_and_a_frame(simulator: Simulator) -> None:
    with (
        simulator.machine(gpus=GPU),
        NvencEncoder(WIDTH, HEIGHT) as plain,
        pytest.raises(InvalidConfig, match="sub_frames=True"),
    ):
        plain.encode_slices(nv12(WIDTH, HEIGHT))
    with simulator.machine(gpus=GPU), encoder() as one:
        with one.surface() as surface, pytest.raises(InvalidFrame, match="surface"):
            one.encode_slices(surface)
        with pytest.raises(InvalidFrame):
            one.encode_slices(nv12(64, 64))
        assert b"".join(one.encode_slices(nv12(WIDTH, HEIGHT)))


def test_other_threads_wait_for_nothing(simulator: Simulator) -> None:
    """The lock of the encoder is free between two parts, and is not held while the caller uses one."""
    found: list[int] = []
    with simulator.machine(gpus=GPU, **BY_LOCK), encoder() as one:
        parts = one.encode_slices(pictures(1)[0])
        next(parts)
        thread = threading.Thread(target=lambda: found.append(one.in_flight))
        thread.start()
        thread.join()
        assert found == [1]
        list(parts)
