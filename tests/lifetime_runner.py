"""Ends of processes and of encoders that a test must not have in its own process; the child of test_lifetime.py."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from frames import Gpu, nv12
from pdum.nvenc import EncoderClosed, EncoderFailed, MotionEstimator, NvencEncoder, _nvenc
from pdum.nvenc._nvenc import _RgbConverter

from simulator import Simulator, parse

WIDTH, HEIGHT = 192, 128
FRAME = nv12(WIDTH, HEIGHT, 1)
FAST = [{"name": "RTX 4090", "fps_1080p": 0}]
SLOW = [{"name": "RTX 4090", "fps_1080p": 20}]
PAGE = os.sysconf("SC_PAGE_SIZE")

simulator = Simulator()
kept: list[Any] = []  # alive until the interpreter clears the module


def encoder(**options: Any) -> NvencEncoder:
    return NvencEncoder(WIDTH, HEIGHT, **options)


def holding() -> NvencEncoder:
    """An encoder with frames in flight."""
    one = encoder(tuning="hq", bframes=2, extra_output_delay=4)
    for number in range(4):
        one.submit(FRAME, number)
    return one


# --- the end of the interpreter ---


def module_global() -> None:
    kept.append(holding())


def in_a_cycle() -> None:
    cycle: list[Any] = [holding()]
    cycle.append(cycle)


def closed_at_exit() -> None:
    one = holding()
    atexit.register(one.close)
    kept.append(one)


def used_at_exit() -> None:
    """Registered before libraries are opened and after them: both orders have to be right."""
    one = encoder()
    atexit.register(lambda: one.encode(FRAME))
    atexit.register(one.flush)
    kept.append(one)


class ClosesLate:
    """Closes when the interpreter clears its module, with threads that sleep forever."""

    def __init__(self, one: NvencEncoder) -> None:
        self.one = one

    def __del__(self) -> None:
        self.one.close()


def closed_by_a_finalizer() -> None:
    kept.append(ClosesLate(holding()))


def daemon_encodes(late_close: bool = False) -> None:
    """The interpreter ends while daemon threads are in every part of the encoder."""
    shared = encoder()
    begun = threading.Semaphore(0)

    def work(mine: NvencEncoder) -> NoReturn:
        while True:
            mine.encode(FRAME)
            mine.submit(FRAME, 1)
            mine.flush()
            begun.release()

    own = [encoder() for _ in range(2)]
    for one in (*own, shared, shared):
        threading.Thread(target=work, args=(one,), daemon=True).start()
    for _ in range(40):
        begun.acquire()
    kept.extend([shared, own])
    if late_close:
        kept.append(ClosesLate(shared))


def daemon_makes_encoders() -> None:
    begun = threading.Semaphore(0)

    def work() -> NoReturn:
        while True:
            with encoder() as one:
                one.encode(FRAME)
            encoder(codec="hevc").encode(FRAME)
            begun.release()

    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    for _ in range(6):
        begun.acquire()


def daemon_recycles() -> None:
    """The interpreter ends while daemon threads are in callbacks, some of them called by the end of an encoder."""
    frame = Gpu().frame(FRAME)
    begun = threading.Semaphore(0)

    def recycle(frame: Any) -> None:
        for _ in range(100):
            pass

    def work() -> NoReturn:
        while True:
            one = encoder(copy="never", extra_output_delay=1)
            for number in range(20):
                one.submit(frame, number, on_released=recycle)
            begun.release()

    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    for _ in range(6):
        begun.acquire()


def daemon_asks_for_gpus() -> None:
    """Calls without an encoder release the GIL, too."""
    begun = threading.Semaphore(0)

    def work() -> NoReturn:
        while True:
            _nvenc.gpus()
            _nvenc.cuda_version()
            _nvenc.encode_version()
            _RgbConverter(0)
            begun.release()

    for _ in range(4):
        threading.Thread(target=work, daemon=True).start()
    for _ in range(40):
        begun.acquire()


def daemon_runs_python() -> None:
    """The interpreter ends while daemon threads run Python that the module has called: through pybind11 or not."""
    begun = threading.Semaphore(0)

    class Busy:
        def __index__(self) -> int:
            begun.release()
            while True:
                pass

        @property
        def __cuda_array_interface__(self) -> int:
            return self.__index__()

    one = encoder()
    for work in (lambda: _RgbConverter(Busy()), lambda: one.encode(Busy())):  # type: ignore[arg-type]
        threading.Thread(target=work, daemon=True).start()
        begun.acquire()


def daemon_waits() -> None:
    """A daemon thread waits for an engine that never answers."""
    simulator.configure(gpus=FAST, stall=[{"gpu": 0, "engine": 0, "after_frames": 2}])
    begun = threading.Event()

    def work() -> None:
        one = encoder()
        one.encode(FRAME)
        one.encode(FRAME)
        begun.set()
        one.encode(FRAME)

    threading.Thread(target=work, daemon=True).start()
    begun.wait()
    time.sleep(0.1)  # by now it most likely waits; it is right either way


def exit_in_a_thread() -> None:
    kept.append(holding())
    thread = threading.Thread(target=sys.exit, args=(3,))
    thread.start()
    thread.join()


def exception_ends_it() -> None:
    kept.append(holding())
    sys.exit(0)


# --- fork ---


def in_child(use: Callable[[], None]) -> int:
    """The exit status of a forked child that calls this and then ends as Python ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 on, about threads: they are the point here
        child = os.fork()
    if child == 0:
        use()
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def refuses_everything(one: NvencEncoder) -> None:
    for use in (
        lambda: one.encode(FRAME),
        lambda: one.submit(FRAME, 1),
        one.flush,
        one.flush_pipeline,
        one.sequence_header,
        lambda: one.reconfigure(bitrate=1),
        lambda: one.in_flight,
    ):
        with pytest.raises(EncoderClosed, match="fork"):
            use()
    one.close()
    one.close()


def goes_on(one: NvencEncoder) -> None:
    assert sorted(packet.seq for packet in one.flush_pipeline()) == list(range(4))
    assert [packet.seq for packet in one.submit(FRAME, 9) + one.flush_pipeline()] == [9]
    one.close()
    assert not simulator.live("encode")
    assert not simulator.violations()


def forked() -> None:
    one = holding()
    assert in_child(lambda: refuses_everything(one)) == 0
    assert in_child(lambda: None) == 0
    holders = [holding()]
    assert in_child(holders.clear) == 0
    holders.clear()
    goes_on(one)


def forked_after_close() -> None:
    one = holding()
    one.close()
    assert in_child(one.close) == 0
    holders = [one]
    del one
    assert in_child(holders.clear) == 0


def forked_with_a_surface() -> None:
    """The child drops its inherited objects, while a thread of the parent holds the encoder."""
    simulator.configure(gpus=SLOW)
    one = encoder()
    holders: list[Any] = [one.surface()]
    over = threading.Event()
    begun = threading.Semaphore(0)

    def work() -> None:
        while not over.is_set():
            one.encode(FRAME)
            begun.release()

    thread = threading.Thread(target=work)
    thread.start()
    begun.acquire()
    statuses = [in_child(holders.clear) for _ in range(5)]
    over.set()
    thread.join()
    holders.clear()
    one.close()
    assert statuses == [0] * 5, statuses


def forked_calls_nothing() -> None:
    """A child that drops any owner of a driver object makes no call."""
    simulator.configure(gpus=FAST, count=True)
    rgb = NvencEncoder(WIDTH, HEIGHT, format="rgb")
    rgb.encode(np.zeros((HEIGHT, WIDTH, 3), np.uint8))  # kernels are loaded, and memory for the frame is there by now
    one = encoder()
    surface = one.surface()
    holders: list[Any] = [rgb, one, holding(), surface, surface.__dlpack__(max_version=(1, 0)), _RgbConverter()]
    closed = encoder()
    holders.append(closed.surface())
    closed.close()
    del rgb, one, surface, closed

    def drop() -> None:
        def calls() -> dict[str, int]:
            return {**simulator.calls("cuda"), **simulator.calls("encode")}

        before = calls()
        holders.clear()
        assert calls() == before, {name: count for name, count in calls().items() if count != before.get(name)}

    assert in_child(drop) == 0


def forked_in_use() -> None:
    """Another thread is inside the encoder at the fork, so the child sees its lock taken forever."""
    simulator.configure(gpus=SLOW)
    shared = encoder(extra_output_delay=2, bitrate=10**6)
    over = threading.Event()
    begun = threading.Semaphore(0)

    def work() -> None:
        while not over.is_set():
            shared.encode(FRAME)
            begun.release()

    def change() -> None:
        while not over.is_set():
            shared.reconfigure(bitrate=10**6)

    threads = [threading.Thread(target=work), threading.Thread(target=change)]
    for thread in threads:
        thread.start()
    begun.acquire()
    statuses = [in_child(lambda: refuses_everything(shared)) for _ in range(10)]
    over.set()
    for thread in threads:
        thread.join()
    shared.close()
    assert statuses == [0] * 10, statuses


def encode_one(number: int) -> int:
    with encoder() as one:
        (unit,) = parse(one.encode(nv12(WIDTH, HEIGHT, number)))
        return unit.checksum


def spawned_workers() -> None:
    """The advice in a forked child's message."""
    kept.append(holding())
    os.environ["NVSIM_CONFIG"] = '{"gpus": ["RTX 4090"]}'
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert len(set(pool.map(encode_one, range(4)))) == 4


# --- memory ---


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def live() -> dict[str, int]:
    return {**simulator.live("encode"), **simulator.live("cuda")}


def grows_by(turns: int, step: Callable[[], object]) -> int:
    """How many bytes the process grows from a tenth of the turns to their end."""
    for _ in range(turns // 10):
        step()
    before = resident()
    for _ in range(turns):
        step()
    return resident() - before


def many_encoders() -> None:
    def step() -> None:
        for codec in ("h264", "hevc", "av1"):
            encoder(codec=codec, tuning="hq", bframes=1).submit(FRAME, 1)

    step()
    before = live()
    grown = grows_by(150, step)
    assert live() == before, live()
    assert grown < 3 << 20, f"{grown} bytes"


def many_refused_encoders() -> None:
    simulator.configure(gpus=FAST, faults=[{"call": "nvEncCreateBitstreamBuffer", "nth": 0, "status": 10}])

    def step() -> None:
        try:
            encoder()
        except MemoryError:
            return
        raise AssertionError("made")

    step()
    before = live()
    grown = grows_by(300, step)
    assert live() == before, live()
    assert grown < 3 << 20, f"{grown} bytes"


def many_refused_surfaces() -> None:
    """A surface whose submission fails is used again."""
    one = encoder()
    simulator.configure(gpus=FAST, faults=[{"call": "nvEncEncodePicture", "nth": 0, "status": 20}])
    before = live()
    for _ in range(50):
        with pytest.raises(EncoderFailed), one.surface() as surface:
            one.encode(surface)
    assert live() == before, live()
    one.close()


def many_frames() -> None:
    simulator.configure(gpus=FAST, backend="null")
    gpu = Gpu()
    host, device = FRAME, gpu.frame(FRAME)
    one = encoder(extra_output_delay=2)
    turn = 0

    def step() -> None:
        nonlocal turn
        turn += 1
        one.submit(host, turn)
        one.submit(device, -turn)
        one.encode(host.data)
        try:
            one.encode(bytearray(3))
        except ValueError:
            return
        raise AssertionError("taken")

    before = live()
    grown = grows_by(17_000, step)
    one.flush()
    assert live() == before, live()
    assert grown < 1 << 20, f"{grown} bytes"
    one.close()
    gpu.close()


# --- what encoders give besides packets, and sessions without a stream ---


def reconstructions_at_the_end() -> None:
    """The interpreter clears the module while it holds reconstructions, of a closed encoder and of an open one."""
    for one in (encoder(reconstruction=True), encoder(reconstruction=True, extra_output_delay=1)):
        kept.extend((one, one.submit(FRAME, 1), one.submit(FRAME, 2)))
    kept[0].close()


def estimator_at_the_end() -> None:
    kept.append(MotionEstimator(WIDTH, HEIGHT))
    kept[0].estimate(FRAME, FRAME)


def forked_with_outputs() -> None:
    """A child drops and uses what its parent has. The parent goes on."""
    one, estimator = encoder(reconstruction=True), MotionEstimator(WIDTH, HEIGHT)
    packets = one.submit(FRAME, 1)
    process = os.fork()
    if process == 0:
        with pytest.raises(EncoderClosed, match="fork"):
            estimator.estimate(FRAME, FRAME)
        estimator.close()
        packets.clear()
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0
    assert np.array_equal(np.asarray(packets[0].reconstruction), FRAME)
    assert len(estimator.estimate(FRAME, FRAME)) == WIDTH * HEIGHT // 256
    estimator.close()
    one.close()


SCENARIOS: dict[str, Callable[[], None]] = {
    scenario.__name__: scenario
    for scenario in (
        module_global,
        in_a_cycle,
        closed_at_exit,
        used_at_exit,
        closed_by_a_finalizer,
        daemon_encodes,
        daemon_makes_encoders,
        daemon_asks_for_gpus,
        daemon_recycles,
        daemon_runs_python,
        daemon_waits,
        exit_in_a_thread,
        exception_ends_it,
        forked,
        forked_after_close,
        forked_in_use,
        spawned_workers,
        many_encoders,
        many_refused_encoders,
        many_frames,
        many_refused_surfaces,
        forked_with_a_surface,
        forked_calls_nothing,
        reconstructions_at_the_end,
        estimator_at_the_end,
        forked_with_outputs,
    )
}
SCENARIOS["daemon_encodes_and_a_late_close"] = lambda: daemon_encodes(late_close=True)

if __name__ == "__main__":
    if simulator.libraries and multiprocessing.parent_process() is None:
        simulator.configure(gpus=FAST)
    SCENARIOS[sys.argv[1]]()
