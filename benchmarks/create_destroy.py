"""A day of making and destroying encoders: memory, handles and threads of the process over 100,000 sessions.

At a session a second that is more than a day. The sessions take turns at what makes them different: frames or none,
B-frames, frames registered and still in flight at the end, surfaces lent, asyncio's thread, dropped without close;
settings and frames that are refused; and calls of the driver that fail, another one each time. Everything runs in one
process on the simulated driver (backend `null`, copies as no-ops), and is looked at after each tenth; the first tenth
is warm-up. Ends with status 1 where anything grew, or was left in the driver.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from client_cost import configuration
from device import Device
from measuring import Figure, library_folder, machine, save
from memory import KIB, live_objects, resident

from clients import ArrayInterface
from pdum.nvenc import NvencEncoder, NvencError

CHECKPOINTS = 10
WIDTH, HEIGHT = 640, 360
ROWS = HEIGHT * 3 // 2
FRAMES = 4
LIMITS = {"resident KiB": 512, "files": 0, "threads": 0, "mappings": 8, "device MiB": 0}

# Each fails in turn, with a status that a driver may answer.
FAULTS = (
    ("nvEncOpenEncodeSessionEx", 10),
    ("nvEncInitializeEncoder", 8),
    ("nvEncCreateBitstreamBuffer", 10),
    ("nvEncRegisterResource", 10),
    ("nvEncMapInputResource", 23),
    ("nvEncEncodePicture", 20),
    ("nvEncLockBitstream", 20),
    ("nvEncUnlockBitstream", 20),
    ("nvEncUnmapInputResource", 20),
    ("nvEncDestroyEncoder", 20),
)


class Sessions:
    """The ways to use an encoder from creation to end; each method is one."""

    def __init__(self) -> None:
        self.device = Device()
        self._frames = [self._frame() for _ in range(FRAMES)]
        self.ended: Counter[str] = Counter()
        self.released = 0

    def _frame(self) -> ArrayInterface:
        pointer, pitch = self.device.allocate(WIDTH, ROWS)
        return ArrayInterface(pointer, pitch, self.device.stream, ROWS, WIDTH)

    def kinds(self) -> list[Callable[[], object]]:
        return [
            self.closed_unused,
            self.one_frame,
            self.b_frames_flushed,
            self.dropped_with_frames_in_flight,
            self.registered_and_in_flight_at_the_end,
            self.surfaces,
            self.awaited,
            self.refused_settings,
            self.refused_frames,
            self.a_call_fails,
        ]

    def closed_unused(self) -> None:
        NvencEncoder(WIDTH, HEIGHT).close()

    def one_frame(self) -> None:
        with NvencEncoder(WIDTH, HEIGHT, codec="hevc") as encoder:
            assert encoder.encode(self._frames[0])

    def b_frames_flushed(self) -> None:
        with NvencEncoder(WIDTH, HEIGHT, tuning="hq", bframes=2, copy="always") as encoder:
            packets = [packet for seq, frame in enumerate(self._frames) for packet in encoder.submit(frame, seq)]
            assert len(packets + encoder.flush_pipeline()) == FRAMES

    def dropped_with_frames_in_flight(self) -> None:
        encoder = NvencEncoder(WIDTH, HEIGHT, codec="av1", extra_output_delay=3)
        encoder.submit(self._frames[0], 0)

    def registered_and_in_flight_at_the_end(self) -> None:
        with NvencEncoder(WIDTH, HEIGHT, copy="never", extra_output_delay=2) as encoder:
            for seq, frame in enumerate(self._frames):
                encoder.submit(frame, seq, on_released=self._count)

    def _count(self, _: object) -> None:
        self.released += 1

    def surfaces(self) -> None:
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            lent = encoder.surface()
            with encoder.surface() as surface:
                assert encoder.encode(surface)
            del lent

    def awaited(self) -> None:
        async def encode() -> None:
            with NvencEncoder(WIDTH, HEIGHT) as encoder:
                assert await encoder.encode_async(self._frames[0])

        self._loop().run_until_complete(encode())

    def _loop(self) -> asyncio.AbstractEventLoop:
        if not hasattr(self, "_made_loop"):
            self._made_loop = asyncio.new_event_loop()
        return self._made_loop

    def refused_settings(self) -> None:
        self._fails(lambda: NvencEncoder(32768, HEIGHT))

    def refused_frames(self) -> None:
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            self._fails(lambda: encoder.encode(bytes(7)))
            assert encoder.encode(self._frames[0])

    def a_call_fails(self) -> None:
        call, status = FAULTS[self.ended["a call fails"] % len(FAULTS)]
        control(
            configure={**json.loads(configuration(copy=False)), "faults": [{"call": call, "nth": 1, "status": status}]}
        )
        control(reset=True)
        self._fails(self._two_frames)
        self.ended["a call fails"] += 1
        gc.collect()
        control(configure=json.loads(configuration(copy=False)))

    def _two_frames(self) -> None:
        with NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
            for frame in self._frames[:2]:
                encoder.encode(frame)

    def _fails(self, use: Callable[[], object]) -> None:
        try:
            use()
        except NvencError as error:
            self.ended[type(error).__name__] += 1
            return
        raise AssertionError("this was to fail")


def control(**request: Any) -> None:
    library = ctypes.CDLL("libnvidia-encode.so.1")
    library.nvsim_control.restype = ctypes.c_char_p
    answer = json.loads(library.nvsim_control(json.dumps(request).encode()))
    if "error" in answer:
        raise RuntimeError(answer["error"])


def sample(device_bytes: int) -> dict[str, int]:
    gc.collect()
    return {
        "resident KiB": resident() // KIB,
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "mappings": Path("/proc/self/maps").read_text().count("\n"),
        "device MiB": device_bytes >> 20,
    }


def work(count: int) -> dict[str, Any]:
    sessions = Sessions()
    kinds = sessions.kinds()
    own = live_objects()
    free = sessions.device.free_bytes()
    samples, begin = [], time.perf_counter()
    for checkpoint in range(CHECKPOINTS):
        for number in range(checkpoint * count // CHECKPOINTS, (checkpoint + 1) * count // CHECKPOINTS):
            kinds[number % len(kinds)]()
        samples.append(sample(free - sessions.device.free_bytes()))
    seconds = time.perf_counter() - begin
    return {
        "seconds": seconds,
        "samples": samples,
        "ended": dict(sessions.ended),
        "released": sessions.released,
        "left": {
            kind: number - own.get(kind, 0) for kind, number in live_objects().items() if number != own.get(kind, 0)
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=100_000, help="%(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options.sessions)))
        return
    environment = dict(os.environ, LD_LIBRARY_PATH=str(library_folder("full")), NVSIM_CONFIG=configuration(copy=False))
    command = [sys.executable, __file__, "--worker", "--sessions", str(options.sessions)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the process ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout)
    save(options.json, "create_destroy", figures(options.sessions, found))
    report(options.sessions, found)


def figures(count: int, found: dict[str, Any]) -> list[Figure]:
    first, last = found["samples"][0], found["samples"][-1]
    row = f"{count:,} sessions of ten kinds"
    growth = [Figure(row, f"growth: {name}", "", [float(last[name] - first[name])]) for name in LIMITS]
    return [Figure(row, "sessions a second", "", [count / found["seconds"]], "more"), *growth]


def report(count: int, found: dict[str, Any]) -> None:
    samples = found["samples"]
    print(machine())
    print(f"{count:,} sessions in {found['seconds']:.0f} s; the driver is simulated")
    print(f"failures met: {found['ended']}; frames given back: {found['released']:,}\n")
    grown = []
    for name, limit in LIMITS.items():
        values = [one[name] for one in samples]
        growth = values[-1] - values[0]
        if growth > limit:
            grown.append(name)
        print(f"{name:<13}{' '.join(map(str, values))}   growth {growth:+d}")
    print(f"left in the driver: {found['left'] or 'nothing'}")
    if grown or found["left"]:
        raise SystemExit(f"grew, or was left: {', '.join([*grown, *found['left']])}")


if __name__ == "__main__":
    main()
