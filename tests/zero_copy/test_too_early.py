"""The proof that the other tests of order can fail: a hidden stream or a write before the callback gives wrong pixels.

Under ThreadSanitizer these would be what they are, races.
"""

from __future__ import annotations

import ctypes
import threading

import pytest

from frames import gpu
from pdum.nvenc import NvencEncoder
from zero_copy.memory import FAST, HEIGHT, WIDTH, LatePool, expected, held_up, picture, pixels, render

from simulator import Simulator

pytestmark = pytest.mark.one_abi


def test_a_frame_written_before_its_packet_is_out(simulator: Simulator) -> None:
    """The previous frame delays the engine, which does not know of the writer."""
    with (
        simulator.machine(**FAST, async_streams=True, strict=False),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, copy="never", extra_output_delay=2) as encoder,
    ):
        slow, pool = device.stream(), LatePool(device, 1)
        frame = pool.free.pop()
        with held_up(device, slow):
            encoder.submit(device.frame(picture(0), stream=slow), 0)
            pool.write(frame, 1)
            encoder.submit(frame, 1)
            pool.write(frame, 2)
            device.call("cuStreamSynchronize", ctypes.c_void_p(pool.stream))
        packets = encoder.flush_pipeline()
        assert pixels(packets) == expected([0, 2])


def test_a_surface_whose_stream_is_not_named(simulator: Simulator) -> None:
    with (
        simulator.machine(**FAST, async_streams=True, strict=False),
        gpu() as device,
        NvencEncoder(WIDTH, HEIGHT, extra_output_delay=1) as encoder,
    ):
        stream, surface = device.stream(), encoder.surface()
        render(device, surface, picture(0))
        with held_up(device, stream) as opened:
            written = render(device, surface, picture(1), stream)
            assert encoder.submit(surface, 1) == []
            threading.Timer(0.2, opened.set).start()
            assert pixels(encoder.flush_pipeline()) == expected([0])
            assert written is not None
