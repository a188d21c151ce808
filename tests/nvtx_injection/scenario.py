"""The child process of test_nvtx.py: uses an encoder in the way that its argument names, on the simulated driver."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from frames import gpu, nv12
from pdum.nvenc import (
    Decoder,
    EncoderPool,
    Filters,
    InvalidFrame,
    NvencEncoder,
    NvencError,
    SoftwareEncoder,
    VideoWriter,
)

from clips import make_clip
from simulator import Simulator

WIDTH, HEIGHT = 320, 192
FRAME = nv12(WIDTH, HEIGHT, 1)

simulator = Simulator()


def encoder(**options: Any) -> NvencEncoder:
    return NvencEncoder(WIDTH, HEIGHT, **options)


def encode() -> None:
    with encoder() as one:
        one.encode(FRAME)


def submit() -> None:
    with encoder(extra_output_delay=1) as one, gpu() as device:
        one.submit(device.frame(FRAME), 1)
        one.submit(FRAME, 2)
        one.flush_pipeline()


def wrong_frame() -> None:
    with encoder() as one:
        with suppress(InvalidFrame):
            one.encode(np.zeros((3, 3)))
        one.encode(FRAME)


def failing(call: str) -> Callable[[], None]:
    def run() -> None:
        with encoder() as one:
            simulator.configure(gpus=["RTX 4090"], faults=[{"call": call, "nth": 1, "status": 20}])
            with suppress(NvencError):
                one.encode(FRAME)
            simulator.configure(gpus=["RTX 4090"])

    return run


def threads() -> None:
    def work() -> None:
        with encoder() as one:
            for _ in range(20):
                one.encode(FRAME)

    running = [threading.Thread(target=work) for _ in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def write_video(**options: Any) -> None:
    with VideoWriter(Path(os.environ["VIDEO_FOLDER"]) / "a.mp4", fps=30, format="nv12", engines=1, **options) as video:
        for _ in range(5):
            video.write(FRAME)


def encode_a_file() -> None:
    folder = Path(os.environ["VIDEO_FOLDER"])
    simulator.configure(gpus=["RTX 4090"], backend="codec")
    make_clip(folder / "in.mkv", 20)
    with EncoderPool(engines=1) as pool:
        pool.encode_file(folder / "in.mkv", folder / "out.mkv", codec="h264", filters=Filters(denoise="light"))


def decode_on_the_gpu() -> None:
    with SoftwareEncoder(WIDTH, HEIGHT, preset="p1", gop=4) as one:
        packets = [one.encode(FRAME) for _ in range(4)] + [one.flush()]
    with Decoder("h264") as decoder:
        for number, packet in enumerate(filter(None, packets)):
            decoder.decode(packet, number)
        decoder.flush()


SCENARIOS = {
    "encode": encode,
    "submit": submit,
    "wrong_frame": wrong_frame,
    "failing_copy": failing("cuMemcpy2DAsync_v2"),
    "failing_submit": failing("nvEncEncodePicture"),
    "failing_collect": failing("nvEncLockBitstream"),
    "threads": threads,
    "write_video": write_video,
    "write_through_a_queue": lambda: write_video(drop="oldest", queue_frames=5),
    "encode_a_file": encode_a_file,
    "decode_on_the_gpu": decode_on_the_gpu,
}

if __name__ == "__main__":
    simulator.configure(gpus=["RTX 4090"])
    SCENARIOS[sys.argv[1]]()
