"""Sessions a second: an encoder is opened, encodes one frame and is closed, again and again.

The simulated engine and its driver take no time, so this is the client's part of opening a session; a real driver adds
its own, which is tens of milliseconds by all accounts. Each client runs in a process of its own, and they take turns.
Each opens its next session when the last one is closed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from client_cost import configuration
from measuring import Figure, library_folder, machine, quartiles, save

WIDTH, HEIGHT = 1920, 1080
ROWS = HEIGHT * 3 // 2
Session = Callable[[Any], int]
"""Encodes this frame in a session of its own, and returns how many bytes came."""


def ours() -> Session:
    from pdum.nvenc import NvencEncoder

    def session(frame: Any) -> int:
        with NvencEncoder(WIDTH, HEIGHT) as encoder:
            return len(encoder.encode(frame))

    return session


def by_pyav() -> Session:
    import av

    def session(frame: Any) -> int:
        codec: Any = av.CodecContext.create("h264_nvenc", "w")
        codec.width, codec.height, codec.pix_fmt, codec.time_base = WIDTH, HEIGHT, "nv12", Fraction(1, 30)
        picture = av.VideoFrame.from_ndarray(frame, format="nv12")
        return sum(packet.size for packet in [*codec.encode(picture), *codec.encode(None)])

    return session


def by_pynvvideocodec() -> Session:
    import PyNvVideoCodec

    def session(frame: Any) -> int:
        encoder = PyNvVideoCodec.CreateEncoder(WIDTH, HEIGHT, "NV12", True, codec="h264")
        return len(encoder.Encode(frame)) + len(encoder.EndEncode())

    return session


CLIENTS: dict[str, Callable[[], Session]] = {
    "pdum.nvenc": ours,
    "PyAV h264_nvenc": by_pyav,
    "PyNvVideoCodec": by_pynvvideocodec,
}


def work(client: str, count: int) -> float:
    """Sessions a second."""
    import numpy as np

    session, frame = CLIENTS[client](), np.full((ROWS, WIDTH), 0x80, np.uint8)
    session(frame)
    begin = time.perf_counter()
    for _ in range(count):
        if not session(frame):
            raise RuntimeError(f"{client} gave no bytes")
    return count / (time.perf_counter() - begin)


def measure(client: str, count: int) -> float:
    environment = dict(os.environ, LD_LIBRARY_PATH=str(library_folder("full")), NVSIM_CONFIG=configuration(copy=False))
    command = [sys.executable, __file__, "--worker", client, "--sessions", str(count)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no word"])[-1])
    return float(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=500, help="a client and round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each client has its turn (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--worker", choices=CLIENTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options.worker, options.sessions)))
        return
    print(machine("av", "PyNvVideoCodec"))
    print(f"{options.sessions} sessions x {options.rounds} rounds, 1080p, medians (quartiles); the driver is simulated")
    rates: dict[str, list[float]] = {client: [] for client in CLIENTS}
    for _ in range(options.rounds):
        for client in [*rates]:
            try:
                rates[client].append(measure(client, options.sessions))
            except RuntimeError as error:
                print(f"{client}: not measured: {error}")
                del rates[client]
    for client, found in rates.items():
        low, middle, high = quartiles(found)
        print(f"{client:<16} {middle:7.0f} ({low:.0f} to {high:.0f}) sessions a second")
    figures = [Figure(client, "sessions a second", "", found, "more") for client, found in rates.items()]
    save(options.json, "sessions", figures, "numpy", "av", "PyNvVideoCodec")


if __name__ == "__main__":
    main()
