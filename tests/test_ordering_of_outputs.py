"""The order of CUDA streams beyond a frame on its way in: the readers of reconstructions, and both frames of a search
for motion.

The gates are those of `test_ordering.py`: what comes behind one cannot have happened while it is shut.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from frames import LEGACY_STREAM, CudaFrame, nv12
from pdum.nvenc import MotionEstimator, NvencEncoder
from test_ordering import GARBAGE, HEIGHT, MACHINE, ROWS, WIDTH, Producer, production

from simulator import Simulator

pytestmark = pytest.mark.one_abi

MOMENT = 0.1
"""Seconds in which code that waits for nothing would be done. Code that waits as it should passes with any number."""


def opened_late(producer: Producer, work: Callable[[], object]) -> None:
    """Opens the gate after a moment in which `work` may run, and waits for its end."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(MOMENT)
    producer.opened.set()
    thread.join()


def copy_on_stream(reader: Producer, source: int, size: int) -> int:
    """Memory of the GPU into which the reader's stream copies."""
    target = reader.device.allocate(size)
    addresses = ctypes.c_uint64(target), ctypes.c_uint64(source)
    reader.device.call("cuMemcpyDtoDAsync_v2", *addresses, ctypes.c_size_t(size), ctypes.c_void_p(reader.stream))
    return target


@pytest.mark.parametrize("protocol", ["dlpack", "array interface"])
def test_the_engine_writes_a_reconstruction_again_after_its_reader(simulator: Simulator, protocol: str) -> None:
    with (
        simulator.machine(**MACHINE),
        production(None if protocol == "dlpack" else LEGACY_STREAM) as reader,
        NvencEncoder(WIDTH, HEIGHT, reconstruction=True) as encoder,
    ):
        frame: Any = encoder.submit(nv12(WIDTH, HEIGHT, 1), 1)[0].reconstruction
        shown = frame.__cuda_array_interface__
        tensor = frame.__dlpack__(stream=reader.stream) if protocol == "dlpack" else None
        pitch = (shown["strides"] or (WIDTH, 1))[0]
        reader.gate()
        kept = copy_on_stream(reader, shown["data"][0], ROWS * pitch)
        del tensor
        frame.release()
        opened_late(reader, lambda: encoder.submit(nv12(WIDTH, HEIGHT, 2), 2))
        with NvencEncoder(WIDTH, HEIGHT, reconstruction=True) as other:
            read = CudaFrame(kept, (ROWS, WIDTH), strides=(pitch, 1), stream=reader.stream)
            seen = np.asarray(other.submit(read, 0)[0].reconstruction)
        assert np.array_equal(seen, nv12(WIDTH, HEIGHT, 1))


def shifted(x: int) -> Any:
    """A picture of noise, moved by `x` pixels."""
    noise = np.random.default_rng(7).integers(0, 256, (HEIGHT, WIDTH + 32), np.uint8)
    grey = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    return np.ascontiguousarray(np.concatenate([noise[:, 16 + x : 16 + x + WIDTH], grey]))


def is_moved(blocks: Any, x: int) -> bool:
    inner = blocks[(blocks["x"] >= 16) & (blocks["x"] < WIDTH - 32)]
    return len(inner) > 0 and bool((inner["vectors"][:, 0] == (4 * x, 0)).all())


@pytest.mark.parametrize("which", ["frame", "reference"])
def test_a_search_reads_what_its_producers_write(simulator: Simulator, which: str) -> None:
    """Both frames are written late on streams of their own, and written over as soon as the call returns."""
    with simulator.machine(**MACHINE), production() as producer, MotionEstimator(WIDTH, HEIGHT) as estimator:
        for x in (3, -5, 7):
            producer.write(shifted(x if which == "frame" else -x))
            late = producer.frame(stream=producer.stream)
            given = (late, shifted(0)) if which == "frame" else (shifted(0), late)
            blocks = estimator.estimate(*given)
            producer.write(GARBAGE, late=False)
            assert is_moved(blocks, x)


def test_the_next_writer_waits_until_a_search_has_read(simulator: Simulator) -> None:
    """The search is held up by its reference, so that it can have read only one of both frames."""
    with (
        simulator.machine(**MACHINE),
        production() as slow,
        production() as producer,
        MotionEstimator(WIDTH, HEIGHT) as estimator,
    ):
        found: list[Any] = []
        slow.gate()
        slow.write(shifted(4), late=False)
        producer.write(shifted(0), late=False)

        def search() -> None:
            found.append(estimator.estimate(slow.frame(stream=slow.stream), producer.frame(stream=producer.stream)))
            producer.write(GARBAGE, late=False)

        opened_late(slow, search)
        assert is_moved(found[0], 4)


def test_frames_of_the_host_may_be_changed_after_a_search(simulator: Simulator) -> None:
    with simulator.machine(**MACHINE), MotionEstimator(WIDTH, HEIGHT) as estimator:
        frame, reference = shifted(6), shifted(0)
        blocks = estimator.estimate(frame, reference)
        frame[:] = reference[:] = 0
        assert is_moved(blocks, 6)
