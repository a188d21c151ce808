"""Many encoders in many threads, one encoder in several threads at once, and no wait that holds the GIL."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from frames import Nv12, gpu, nv12
from gil_runner import CALLS
from pdum.nvenc import EncoderClosed, NvencEncoder, Packet

from simulator import Simulator, checksum, parse

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

GIL_RUNNER = Path(__file__).with_name("gil_runner.py")
KEEPS_THE_GIL = "a call that keeps the GIL"
WIDTH, HEIGHT = 192, 128
FAST = [{"name": "RTX 4090", "fps_1080p": 0, "session_limit": 0}]
SLOW = [{"name": "RTX 4090", "fps_1080p": 20, "session_limit": 0}]  # about 2 ms for a picture of that size
PICTURES = [nv12(WIDTH, HEIGHT, number) for number in range(16)]
CHECKSUMS = [checksum(picture) for picture in PICTURES]


def picture(seq: int) -> Nv12:
    return PICTURES[seq % len(PICTURES)]


def seqs(packets: list[Packet]) -> list[int]:
    """The packets' seqs, each compared with the pixels in the packet."""
    for packet in packets:
        (unit,) = parse(packet.data)
        assert unit.checksum == CHECKSUMS[packet.seq % len(PICTURES)], packet.seq
    return [packet.seq for packet in packets]


def together(*works: Callable[[], Any], awaited: threading.Event | None = None) -> list[Any]:
    """The results of functions in threads that begin at the same moment. Raises what one of them raised.

    `awaited` is what some of them wait for: one that fails sets it, so that all of them end.
    """
    start = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)
    failures: list[BaseException] = []

    def run(index: int) -> None:
        start.wait()
        try:
            results[index] = works[index]()
        except BaseException as error:
            failures.append(error)
            if awaited is not None:
                awaited.set()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    finally:  # a test that takes too long leaves no thread behind that takes the next one's time
        if awaited is not None:
            awaited.set()
    if failures:
        raise failures[0].with_traceback(None)
    return results


@pytest.fixture(autouse=True)
def eager_switches() -> Any:
    """Threads change as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("gpus", [FAST, SLOW], ids=["fast", "slow"])
def test_eight_encoders_in_eight_threads(abi: str, simulator: Simulator, gpus: Any) -> None:
    frames = 60

    def work(number: int) -> list[Packet]:
        options: Any = {"tuning": "hq", "bframes": number % 3, "extra_output_delay": number}
        with NvencEncoder(WIDTH, HEIGHT, codec=["h264", "hevc", "av1"][number % 3], **options) as encoder:
            packets = [
                packet for seq in range(frames) for packet in encoder.submit(picture(seq + number), seq + number)
            ]
            return packets + encoder.flush_pipeline()

    with simulator.machine(gpus=gpus):
        results = together(*(lambda number=number: work(number) for number in range(8)))
    for number, packets in enumerate(results):
        assert sorted(seqs(packets)) == list(range(number, number + frames))


@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("gpus", [FAST, SLOW], ids=["fast", "slow"])
def test_one_encoder_in_several_threads(abi: str, simulator: Simulator, gpus: Any, bframes: int) -> None:
    """Submits, flushes, changes and questions at once: nothing is lost and each packet comes out once."""
    submitters, frames = 4, 40
    over = threading.Event()
    collected: list[Packet] = []

    with simulator.machine(gpus=gpus):
        encoder = NvencEncoder(WIDTH, HEIGHT, tuning="hq", bframes=bframes, extra_output_delay=3, bitrate=10**6)
        finished: list[int] = []

        def submit(first: int) -> None:
            for seq in range(first, first + frames):
                collected.extend(encoder.submit(picture(seq), seq, force_idr=seq % 17 == 0))
            finished.append(first)
            if len(finished) == submitters:
                over.set()

        def until_over(use: Callable[[int], object]) -> Callable[[], None]:
            def run() -> None:
                turn = 0
                while not over.is_set():
                    use(turn)
                    turn += 1
                    time.sleep(0.0005)  # on a busy machine, threads that never wait can keep the GIL for minutes

            return run

        together(
            *(lambda first=first: submit(first) for first in range(0, submitters * frames, frames)),
            until_over(lambda _: collected.extend(encoder.flush_pipeline())),
            until_over(lambda turn: encoder.reconfigure(bitrate=10**6 + turn % 1000)),
            until_over(lambda _: encoder.sequence_header()),
            until_over(lambda _: encoder.in_flight),
            until_over(lambda _: gc.collect(0)),
            awaited=over,
        )
        collected.extend(encoder.flush_pipeline())
        encoder.close()
    assert sorted(seqs(collected)) == list(range(submitters * frames))
    pts = [packet.pts for packet in collected]
    assert sorted(pts) == list(range(submitters * frames))


@pytest.mark.parametrize("seed", range(6))
def test_closed_by_one_while_others_use_it(abi: str, simulator: Simulator, seed: int) -> None:
    """The others get an error that it is closed, or their result. All packets are right."""
    chance = random.Random(seed)
    collected: list[Packet] = []
    with simulator.machine(gpus=SLOW if seed % 2 else FAST):
        encoder = NvencEncoder(WIDTH, HEIGHT, tuning="hq", bframes=seed % 3, extra_output_delay=2)
        begun = threading.Event()

        def submit(first: int) -> None:
            for seq in count(first):
                try:
                    collected.extend(encoder.submit(picture(seq), seq))
                except EncoderClosed:
                    return
                if seq - first == wait_for:
                    begun.set()

        def close() -> None:
            begun.wait()
            encoder.close()

        wait_for = chance.randrange(12)
        together(lambda: submit(0), lambda: submit(10**9), lambda: submit(2 * 10**9), close, close, awaited=begun)
        for use in (encoder.flush, encoder.flush_pipeline, encoder.sequence_header):
            with pytest.raises(EncoderClosed):
                use()
    came = seqs(collected)
    assert len(came) == len(set(came))


def test_collected_in_one_thread_while_another_encodes(abi: str, simulator: Simulator) -> None:
    """Encoders in cycles that were dropped with frames in flight go when Python's collector runs."""
    over = threading.Event()
    with simulator.machine(gpus=FAST):

        def litter() -> None:
            for _ in range(15):
                cycle: list[Any] = [NvencEncoder(WIDTH, HEIGHT, tuning="hq", bframes=2)]
                cycle.append(cycle)
                cycle[0].submit(picture(1), 1)
            over.set()

        def collect() -> None:
            while not over.is_set():
                gc.collect()
                time.sleep(0)

        def encode() -> list[Packet]:
            with NvencEncoder(WIDTH, HEIGHT) as encoder:
                packets, seq = [], 0
                while not over.is_set():
                    packets += encoder.submit(picture(seq), seq)
                    seq += 1
                return packets

        _, _, packets = together(litter, collect, encode, awaited=over)
        gc.collect()
    assert seqs(packets) == list(range(len(packets)))


def test_frames_read_in_place_are_all_released(abi: str, simulator: Simulator) -> None:
    """Any thread's call may get a frame's access unit; the frame's callback runs exactly once."""
    frames = 150
    over = threading.Event()
    released: list[object] = []
    collected: list[Packet] = []
    with simulator.machine(gpus=FAST), gpu() as device:
        rows = [device.frame(picture(number)) for number in range(len(PICTURES))]
        with NvencEncoder(WIDTH, HEIGHT, copy="never", extra_output_delay=3) as encoder:

            def submit() -> None:
                for seq in range(frames):
                    collected.extend(encoder.submit(rows[seq % len(rows)], seq, on_released=released.append))
                over.set()

            def flush() -> None:
                while not over.is_set():
                    collected.extend(encoder.flush_pipeline())

            together(submit, flush, flush, awaited=over)
            collected.extend(encoder.flush_pipeline())
        assert sorted(seqs(collected)) == list(range(frames))
        assert Counter(map(id, released)) == Counter(id(rows[seq % len(rows)]) for seq in range(frames))
        collected.clear()
        released.clear()


def test_handed_from_thread_to_thread(abi: str, simulator: Simulator) -> None:
    """An encoder belongs to no thread: made in one, used in others, dropped in the last one."""
    with simulator.machine(gpus=FAST):
        holder: list[NvencEncoder] = []
        collected: list[Packet] = []
        steps: list[Callable[[], Any]] = [
            lambda: holder.append(NvencEncoder(WIDTH, HEIGHT, tuning="hq", bframes=1)),
            *(lambda seq=seq: collected.extend(holder[0].submit(picture(seq), seq)) for seq in range(6)),
            lambda: collected.extend(holder[0].flush_pipeline()),
            holder.clear,
        ]
        for step in steps:
            together(step)
    assert sorted(seqs(collected)) == list(range(6))


def run_with_full_pipe(call: str, seconds: float) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(GIL_RUNNER), call]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)


@pytest.mark.usefixtures("nvsim_dir")
@pytest.mark.parametrize("call", sorted(CALLS.keys() - {KEEPS_THE_GIL}))
def test_the_gil_is_released(call: str) -> None:
    done = run_with_full_pipe(call, 60)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("nvsim_dir")
def test_that_would_be_noticed() -> None:
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    with pytest.raises(subprocess.TimeoutExpired) if has_gil else nullcontext():
        run_with_full_pipe(KEEPS_THE_GIL, 3)
