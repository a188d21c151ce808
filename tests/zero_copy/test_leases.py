"""Surfaces, their memory and the input stream live while anything refers to them, even after a close."""

from __future__ import annotations

import ctypes
import gc
import threading
import weakref
from typing import Any

import pytest

from frames import CudaError, DlpackFrame, OnlyDlpack, cuda, gpu, nv12
from pdum.nvenc import EncoderClosed, InvalidFrame, NvencEncoder
from zero_copy.memory import FAST, HEIGHT, ROWS, WIDTH, address, expected, held_up, picture, pixels, render

from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

ASYNCHRONOUS: dict[str, Any] = {**FAST, "async_streams": True}
SMALL = (WIDTH - 32, HEIGHT - 16)


def size_of_allocation(pointer: int) -> int:
    base, size = ctypes.c_uint64(), ctypes.c_size_t()
    cuda("cuMemGetAddressRange_v2", ctypes.byref(base), ctypes.byref(size), ctypes.c_uint64(pointer))
    assert base.value == pointer
    return size.value


def test_a_surface_is_as_large_as_it_says_while_the_size_changes(abi: str, simulator: Simulator) -> None:
    """A kernel that writes the whole array must not write past the memory."""
    with (
        simulator.machine(**FAST),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, max_width=WIDTH, max_height=HEIGHT) as encoder,
    ):
        over = threading.Event()

        def change() -> None:
            while not over.is_set():
                encoder.reconfigure(width=SMALL[0], height=SMALL[1])
                encoder.reconfigure(width=WIDTH, height=HEIGHT)

        thread = threading.Thread(target=change)
        thread.start()
        try:
            seen = set()
            with device.current():
                for _ in range(400):
                    with encoder.surface() as surface:
                        interface = surface.__cuda_array_interface__
                        rows, width = interface["shape"]
                        seen.add((rows, width))
                        assert size_of_allocation(address(surface)) == rows * interface["strides"][0]
            assert seen <= {(ROWS, WIDTH), (SMALL[1] * 3 // 2, SMALL[0])}
        finally:
            over.set()
            thread.join()


class ClosesMeanwhile(DlpackFrame):
    """Another thread closes the encoder while a producer works."""

    encoder: NvencEncoder

    def __dlpack__(self, *, stream: Any = None, max_version: tuple[int, int] | None = None) -> object:
        thread = threading.Thread(target=self.encoder.close)
        thread.start()
        thread.join()
        event = ctypes.c_void_p()
        cuda("cuEventCreate", ctypes.byref(event), 2)
        cuda("cuEventRecord", event, None)
        cuda("cuStreamWaitEvent", ctypes.c_void_p(stream), event, 0)
        cuda("cuEventDestroy_v2", event)
        return super().__dlpack__(stream=stream, max_version=max_version)


def test_a_producer_keeps_the_stream_that_it_was_handed(abi: str, simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, gpu() as device, device.current():
        before = machine.live("cuda").get("streams", 0)
        encoder = NvencEncoder(WIDTH, HEIGHT)
        frame = ClosesMeanwhile(device.frame(picture(1)).pointer, (ROWS, WIDTH))
        frame.encoder = encoder
        with pytest.raises(EncoderClosed):
            encoder.encode(frame)
        assert len(frame.streams) == 1
        assert machine.live("cuda").get("streams", 0) == before


@pytest.mark.parametrize("how", ["with", "dropped", "refused"])
def test_an_abandoned_surface_is_not_used_while_its_stream_writes(simulator: Simulator, how: str) -> None:
    """The abandoned picture is written only after the next one is complete: it must land elsewhere."""
    with simulator.machine(**ASYNCHRONOUS), gpu() as device:
        slow, fast = device.stream(), device.stream()
        encoder = NvencEncoder(WIDTH, HEIGHT, extra_output_delay=1, max_width=WIDTH, max_height=HEIGHT)
        with encoder, held_up(device, slow) as slow_opened:
            abandoned = encoder.surface(slow)
            kept = [render(device, abandoned, picture(66), slow)]
            if how == "with":
                with abandoned:
                    pass
            elif how == "refused":
                with pytest.raises(TypeError):
                    encoder.submit(abandoned, "no number")  # type: ignore[arg-type]
            del abandoned
            gc.collect()
            with held_up(device, fast) as fast_opened, encoder.surface(fast) as surface:
                render(device, surface, picture(1))
                packets = encoder.submit(surface, 1)
                slow_opened.set()
                device.call("cuStreamSynchronize", ctypes.c_void_p(slow))
                fast_opened.set()
            packets += encoder.flush_pipeline()
            assert pixels(packets) == expected([1])
            assert kept


def test_an_abandoned_surface_is_used_again_when_its_stream_is_done(simulator: Simulator) -> None:
    with simulator.machine(**ASYNCHRONOUS) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        stream = device.stream()
        registered = machine.live()["registered"]
        for number in range(20):
            with encoder.surface(stream) as surface:
                written = render(device, surface, picture(number), stream)
            device.call("cuStreamSynchronize", ctypes.c_void_p(stream))
            assert written is not None
        assert machine.live()["registered"] <= registered + 1


def shown_by_dlpack(surface: Any) -> Any:
    return surface.__dlpack__(stream=1, max_version=(1, 0))


@pytest.mark.parametrize("dropped", ["given back", "deleted", "submitted"])
def test_a_living_tensor_keeps_its_surface_from_being_lent(abi: str, simulator: Simulator, dropped: str) -> None:
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        surface = encoder.surface()
        place = address(surface)
        render(device, surface, picture(1))
        tensor = shown_by_dlpack(surface)
        if dropped == "given back":
            with surface:
                pass
        elif dropped == "submitted":
            assert pixels(encoder.submit(surface, 1)) == expected([1])
        del surface
        others = [encoder.surface() for _ in range(5)]
        assert place not in {address(one) for one in others}
        others.clear()
        for number in range(5):
            encoder.encode(picture(number))
        del tensor
        others = [encoder.surface() for _ in range(8)]
        assert place in {address(one) for one in others}
        del others


@pytest.mark.parametrize("surface_too", [False, True])
def test_memory_lives_as_long_as_its_tensor(abi: str, simulator: Simulator, surface_too: bool) -> None:
    """Whether the encoder is closed or collected: only the memory outlives it."""
    with simulator.machine(**FAST) as machine, gpu() as device:
        before = machine.live("cuda").get("device_allocations", 0)
        encoder = NvencEncoder(WIDTH, HEIGHT)
        surface = encoder.surface()
        place = address(surface)
        tensor = shown_by_dlpack(surface)
        encoder.close()
        if not surface_too:
            del surface
        del encoder
        gc.collect()
        assert machine.live("cuda").get("device_allocations", 0) == before + 1
        assert "registered" not in machine.live()
        device.upload(place, picture(3))
        del tensor
        if surface_too:
            assert surface.shape == (ROWS, WIDTH)
            del surface
        assert machine.live("cuda").get("device_allocations", 0) == before


@pytest.mark.parametrize("modern", [True, False])
def test_a_consumer_releases_the_tensor(abi: str, simulator: Simulator, modern: bool) -> None:
    """Another encoder takes it as a frame, with a capsule of each version."""
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as one:
        with NvencEncoder(WIDTH, HEIGHT) as other, one.surface() as surface:
            place = address(surface)
            render(device, surface, picture(9))
            assert pixels(other.submit(OnlyDlpack(surface, modern), 0)) == expected([9])
        surfaces = [one.surface() for _ in range(3)]
        assert place in {address(each) for each in surfaces}
        del surfaces


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"copy": True}, "copy"),
        ({"dl_device": (1, 0)}, "device"),
        ({"dl_device": (2, 1)}, "device"),
        ({"dl_device": "gpu"}, "device"),
        ({"stream": 0}, "stream"),
        ({"stream": -2}, "stream"),
        ({"stream": 1 << 70}, "stream"),
        ({"stream": "mine"}, "stream"),
    ],
    ids=str,
)
def test_impossible_requests_of_dlpack(simulator: Simulator, arguments: dict[str, Any], words: str) -> None:
    with simulator.machine(**FAST), NvencEncoder(WIDTH, HEIGHT) as encoder, encoder.surface() as surface:
        with pytest.raises(BufferError, match=words):
            surface.__dlpack__(**arguments)
        assert encoder.encode(surface), "the refusal has not used it up"


@pytest.mark.parametrize("stream", [None, -1, 1, 2, 0x5555_0000])
@pytest.mark.parametrize("version", [None, (0, 8), (1, 0), (1, 1), (2, 0)])
def test_possible_requests_of_dlpack(simulator: Simulator, stream: int | None, version: tuple[int, int] | None) -> None:
    """A consumer that knows version 1 gets it; older consumers get the version before."""
    with simulator.machine(**FAST), NvencEncoder(WIDTH, HEIGHT) as encoder, encoder.surface() as surface:
        device = surface.__dlpack_device__()
        capsule = surface.__dlpack__(stream=stream, max_version=version, dl_device=device, copy=False)
        modern = version is not None and version >= (1, 0)
        assert ("dltensor_versioned" in repr(capsule)) == modern
        del capsule


class OwnStream:
    """A stream that destroys itself, as CuPy's do."""

    def __init__(self, device: Any) -> None:
        self.device = device
        self.ptr = device.stream()
        self.surface: Any = None

    def __del__(self) -> None:
        self.device.call("cuStreamDestroy_v2", self.device._streams.pop())


def test_a_surface_in_a_cycle_with_its_stream_is_collected(abi: str, simulator: Simulator) -> None:
    """The stream is destroyed first: no event is recorded there, and what it still writes lands in no later picture."""
    with simulator.machine(**ASYNCHRONOUS), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        stream = OwnStream(device)
        stream.surface = encoder.surface(stream)
        lost, gone = address(stream.surface), weakref.ref(stream)
        del stream
        gc.collect()
        assert gone() is None
        for number in range(3):
            with encoder.surface() as surface:
                assert address(surface) != lost
                _ = render(device, surface, picture(number))
                assert pixels(encoder.submit(surface, number)) == expected([number])


def test_a_collected_cycle_of_a_submitted_surface_costs_nothing(simulator: Simulator) -> None:
    with simulator.machine(**ASYNCHRONOUS), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        stream = OwnStream(device)
        stream.surface = encoder.surface(stream)
        used = address(stream.surface)
        _ = render(device, stream.surface, picture(1), stream.ptr)
        assert pixels(encoder.submit(stream.surface, 1)) == expected([1])
        gone = weakref.ref(stream)
        del stream
        gc.collect()
        assert gone() is None
        with encoder.surface() as surface:
            assert address(surface) == used


def test_a_tensor_keeps_the_stream_object_on_which_it_is_written(simulator: Simulator) -> None:
    """An event is recorded there when the tensor goes, perhaps long after the surface."""
    with simulator.machine(**ASYNCHRONOUS) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        before = machine.live("cuda")["streams"]
        tensor = shown_by_dlpack(encoder.surface(OwnStream(device)))
        gc.collect()
        assert machine.live("cuda")["streams"] == before + 1
        del tensor
        assert machine.live("cuda")["streams"] == before


def test_one_surface_is_used_once_by_many_threads(abi: str, simulator: Simulator) -> None:
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        for number in range(30):
            surface = encoder.surface()
            render(device, surface, picture(number))
            start = threading.Barrier(4)
            outcomes: list[Any] = []

            def use(surface: Any = surface, start: Any = start, outcomes: list[Any] = outcomes) -> None:
                start.wait()
                try:
                    outcomes.extend(encoder.submit(surface, 1))
                except InvalidFrame as error:
                    outcomes.append(error)

            threads = [threading.Thread(target=use) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sum(isinstance(outcome, InvalidFrame) for outcome in outcomes) == 3
            assert pixels(one for one in outcomes if not isinstance(one, InvalidFrame)) == expected([number])


def test_memory_of_a_closed_encoder_is_freed_at_last(simulator: Simulator) -> None:
    """The proof that the tests above can fail: memory without a reference is gone, and a copy to it is refused."""
    with simulator.machine(**FAST, strict=False), gpu() as device:
        encoder = NvencEncoder(WIDTH, HEIGHT)
        surface = encoder.surface()
        place = address(surface)
        with surface:
            encoder.close()
        with pytest.raises(CudaError):
            device.upload(place, nv12(WIDTH, HEIGHT, 1))
