"""The encoder's own input surfaces, lent for writing: lent once, returned once, and never copied."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from frames import OnlyDlpack, gpu, nv12
from pdum.nvenc import EncoderClosed, EncoderFailed, InvalidFrame, NvencEncoder
from zero_copy.memory import FAST, HEIGHT, ROWS, WIDTH, Calls, address, expected, held_up, picture, pixels, render

from simulator import Simulator, checksum

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]


@pytest.mark.parametrize("delay", [0, 3])
def test_nothing_is_copied(abi: str, simulator: Simulator, delay: int) -> None:
    with (
        simulator.machine(**FAST) as machine,
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay) as encoder,
    ):
        packets, own = [], machine.live()["registered"]
        calls = Calls(machine)
        for number in range(20):
            with encoder.surface() as surface:
                render(device, surface, picture(number))
                packets += encoder.submit(surface, number)
        packets += encoder.flush_pipeline()
        assert [packet.seq for packet in packets] == list(range(20))
        assert pixels(packets) == expected(range(20))
        assert calls("cuMemcpy") == calls("cuMemcpyHtoD") == 20, "the test's own, which render"
        assert machine.live()["registered"] == own, "made and registered beforehand"
        assert [packet.released for packet in packets] == [None] * 20


@pytest.mark.parametrize("options", [{"tuning": "hq", "bframes": 3}, {"tuning": "hq", "lookahead": 4}], ids=str)
def test_surfaces_that_are_held_back(abi: str, simulator: Simulator, options: dict[str, Any]) -> None:
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT, **options) as encoder:
        packets = []
        for number in range(20):
            with encoder.surface() as surface:
                render(device, surface, picture(number))
                packets += encoder.submit(surface, number)
        packets += encoder.flush_pipeline()
        assert pixels(packets) == expected(range(20))


def test_all_the_calls_take_surfaces(simulator: Simulator) -> None:
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:

        def rendered(number: int) -> Any:
            surface = encoder.surface()
            render(device, surface, picture(number))
            return surface

        async def main() -> None:
            assert await encoder.encode_async(rendered(0))
            assert pixels(await encoder.submit_async(rendered(1), 1)) == expected([1])

        asyncio.run(main())
        assert encoder.encode(rendered(2), force_idr=True)


def test_each_is_lent_to_one_only(abi: str, simulator: Simulator) -> None:
    """With any number lent at once. A returned surface is the next to be lent."""
    with simulator.machine(**FAST), gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        surfaces = [encoder.surface() for _ in range(7)]
        assert len({address(one) for one in surfaces}) == 7
        for number, one in enumerate(surfaces):
            render(device, one, picture(number))
        assert encoder.encode(picture(50)), "copied into yet another surface"
        packets = [packet for number, one in enumerate(surfaces) for packet in encoder.submit(one, number)]
        assert pixels(packets) == expected(range(7))
        with encoder.surface() as first:
            place = address(first)
        with encoder.surface() as again:
            assert address(again) == place


def test_one_that_is_dropped_comes_back(simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, NvencEncoder(WIDTH, HEIGHT) as encoder:
        own = machine.live()["registered"]
        for _ in range(50):
            encoder.surface()
        gc.collect()
        assert machine.live()["registered"] == own


def test_an_unsubmitted_surface_is_not_encoded(simulator: Simulator) -> None:
    with simulator.machine(**FAST) as machine, NvencEncoder(WIDTH, HEIGHT) as encoder:
        calls = Calls(machine)
        with pytest.raises(ZeroDivisionError), encoder.surface():
            raise ZeroDivisionError
        assert (encoder.in_flight, encoder.flush(), calls("nvEncEncodePicture")) == (0, b"", 0)


def used_up(encoder: NvencEncoder, how: str) -> Any:
    with encoder.surface() as surface:
        if how == "submitted":
            encoder.encode(surface)
    return surface


@pytest.mark.parametrize("how", ["submitted", "given back"])
def test_used_twice(abi: str, simulator: Simulator, how: str) -> None:
    with simulator.machine(**FAST), NvencEncoder(WIDTH, HEIGHT) as encoder:
        surface = used_up(encoder, how)
        for use in (
            lambda: encoder.encode(surface),
            lambda: encoder.submit(surface, 1),
            lambda: surface.__cuda_array_interface__,
            lambda: surface.__dlpack__(),
        ):
            with pytest.raises(InvalidFrame, match="submitted or given back"):
                use()
        assert surface.shape == (ROWS, WIDTH)
        assert encoder.encode(picture(1))


def test_one_of_another_encoder(abi: str, simulator: Simulator) -> None:
    with (
        simulator.machine(**FAST),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT) as one,
        NvencEncoder(WIDTH, HEIGHT) as other,
        one.surface() as surface,
    ):
        render(device, surface, picture(1))
        with pytest.raises(InvalidFrame, match="another encoder"):
            other.encode(surface)
        assert other.encode(picture(2))
        assert pixels(one.submit(surface, 1)) == expected([1]), "the refusal has not used it up"


def test_after_close(abi: str, simulator: Simulator) -> None:
    """Its memory is gone with the encoder, so its address is not shown any more."""
    with simulator.machine(**FAST):
        encoder = NvencEncoder(WIDTH, HEIGHT)
        surface = encoder.surface()
        encoder.close()
        for use in (
            encoder.surface,
            lambda: encoder.encode(surface),
            lambda: surface.__cuda_array_interface__,
            lambda: surface.__dlpack__(),
        ):
            with pytest.raises(EncoderClosed):
                use()
        with surface:
            pass


def test_of_the_size_before(abi: str, simulator: Simulator) -> None:
    small = (WIDTH - 32, HEIGHT - 16)
    with (
        simulator.machine(**FAST) as machine,
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, max_width=WIDTH, max_height=HEIGHT) as encoder,
    ):
        old = encoder.surface()
        encoder.reconfigure(width=small[0], height=small[1])
        with pytest.raises(InvalidFrame, match="size that the encoder had before"):
            encoder.encode(old)
        with encoder.surface() as surface:
            assert surface.shape == (small[1] * 3 // 2, small[0])
            render(device, surface, nv12(*small, 3))
            assert pixels(encoder.submit(surface, 0)) == [checksum(nv12(*small, 3))]
        kept = machine.live()["registered"]
        for _ in range(5):
            encoder.encode(nv12(*small, 4))
        assert machine.live()["registered"] == kept


@pytest.mark.parametrize("protocol", ["array interface", "DLPack"])
def test_others_can_read_it(abi: str, simulator: Simulator, protocol: str) -> None:
    """Both descriptions are right: through each, another encoder sees the same picture in place."""
    with (
        simulator.machine(**FAST),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT) as encoder,
        NvencEncoder(WIDTH, HEIGHT, copy="never") as other,
        encoder.surface() as surface,
    ):

        class Shown:
            __cuda_array_interface__ = surface.__cuda_array_interface__

        render(device, surface, picture(9))
        frame = Shown() if protocol == "array interface" else OnlyDlpack(surface)
        assert pixels(other.submit(frame, 0)) == expected([9])


def test_a_failed_submission_gives_it_back(abi: str, simulator: Simulator) -> None:
    fault = {"call": "nvEncEncodePicture", "nth": 1, "status": 20}
    with simulator.machine(**FAST, faults=[fault]) as machine, gpu() as device, NvencEncoder(WIDTH, HEIGHT) as encoder:
        own = machine.live()["registered"]
        surface = encoder.surface()
        render(device, surface, picture(1))
        with pytest.raises(EncoderFailed):
            encoder.encode(surface)
        for number in range(5):
            with encoder.surface() as surface:
                render(device, surface, picture(number))
                assert pixels(encoder.submit(surface, number)) == expected([number])
        assert machine.live()["registered"] == own


@pytest.mark.parametrize("told", ["surface(stream)", "submit(stream=…)"])
def test_it_is_read_after_it_was_written(simulator: Simulator, told: str) -> None:
    """On the named stream, which runs late."""
    with (
        simulator.machine(**FAST, async_streams=True),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=1) as encoder,
    ):
        stream = device.stream()
        surface = encoder.surface(stream) if told == "surface(stream)" else encoder.surface()
        render(device, surface, picture(0))
        with held_up(device, stream) as opened:
            written = render(device, surface, picture(1), stream)
            assert encoder.submit(surface, 1, stream=stream if told == "submit(stream=…)" else None) == []
            threading.Timer(0.2, opened.set).start()
            assert pixels(encoder.flush_pipeline()) == expected([1])
            assert written is not None
