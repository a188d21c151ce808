"""Shows that a call releases the GIL while it waits for the driver; the child process of test_threads.py.

The driver writes its trace into a pipe that is full, so the first driver call inside the call under test cannot return
before another Python thread has read from the pipe. Python switches threads only where one gives way (the switch
interval is hours), so a call that keeps the GIL waits forever.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from frames import nv12
from pdum.nvenc import Decoder, MotionEstimator, NvencEncoder, _nvenc, available

from simulator import Simulator

FRAME = nv12(320, 192, 1)
HOURS = 1e5
SMALLEST_PIPE = 4096
END = b"\0"  # nothing that a trace holds


class FullPipe:
    """The driver's trace: a thread reads all of it, but only once `reading` begins."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "trace"
        os.mkfifo(self.path)
        self._read_end = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self._write_end = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        fcntl.fcntl(self._write_end, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
        self.wanted = threading.Event()
        self.was_read = 0
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def fill(self) -> None:
        try:
            while True:
                os.write(self._write_end, b" ")
        except BlockingIOError:
            pass

    def _read(self) -> None:
        os.set_blocking(self._read_end, True)
        self.wanted.wait()
        came = b""
        while not came.endswith(END):
            came = os.read(self._read_end, SMALLEST_PIPE)
            self.was_read += len(came.removesuffix(END))

    def finish(self) -> None:
        os.write(self._write_end, END)
        self.thread.join()


def ready(**options: Any) -> NvencEncoder:
    return NvencEncoder(320, 192, **options)


def holding() -> NvencEncoder:
    """An encoder with frames in flight."""
    encoder = ready(tuning="hq", bframes=2, extra_output_delay=4)
    for number in range(4):
        encoder.submit(FRAME, number)
    return encoder


def begun() -> Any:
    """Slices of a picture that is with the encoder; whoever has them keeps that."""
    return ready(slices=2, sub_frames=True).encode_slices(FRAME)


def reconstructed() -> Any:
    """A picture as a decoder will show it, which outlives its encoder."""
    with ready(reconstruction=True) as encoder:
        return encoder.submit(FRAME, 1)[0].reconstruction


def motion() -> MotionEstimator:
    return MotionEstimator(320, 192)


def coded() -> list[bytes]:
    coder: Any = av.CodecContext.create("libx264", "w")
    coder.width, coder.height, coder.pix_fmt, coder.time_base = 320, 192, "yuv420p", Fraction(1, 25)
    coder.options = {"preset": "ultrafast", "tune": "zerolatency"}
    pictures = [av.VideoFrame.from_ndarray(np.full((288, 320), 9 * number, np.uint8), "yuv420p") for number in range(8)]
    return [bytes(packet) for picture in pictures for packet in coder.encode(picture)]


def decoding() -> Decoder:
    """A decoder in its work, with frames that nobody has taken."""
    decoder = Decoder("h264")
    for packet in coded():
        decoder.decode(packet)
    return decoder


def decoded() -> Any:
    return decoding().flush(1)[0]


def decode_all(given: tuple[Decoder, list[bytes]]) -> None:
    decoder, packets = given
    for packet in packets:
        decoder.decode(packet)


def drop(encoder: NvencEncoder) -> None:
    encoders.remove(encoder)


encoders: list[NvencEncoder] = []

# A preparation, and a call while the pipe is full.
CALLS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "encode": (ready, lambda encoder: encoder.encode(FRAME)),
    "submit": (ready, lambda encoder: encoder.submit(FRAME, 1)),
    "encode_slices": (
        lambda: ready(slices=2, sub_frames=True),
        lambda encoder: list(encoder.encode_slices(FRAME)),
    ),
    "the next slice": (begun, list),
    "flush": (holding, lambda encoder: encoder.flush()),
    "flush_pipeline": (holding, lambda encoder: encoder.flush_pipeline()),
    "reconfigure": (lambda: ready(bitrate=10**6), lambda encoder: encoder.reconfigure(bitrate=2 * 10**6)),
    "sequence_header": (ready, lambda encoder: encoder.sequence_header()),
    "close": (holding, lambda encoder: encoder.close()),
    "del": (holding, drop),
    "constructor": (lambda: None, lambda _: ready()),
    "statistics and reconstruction": (
        lambda: ready(statistics="picture", reconstruction=True),
        lambda encoder: encoder.submit(FRAME, 1),
    ),
    "a copy of a reconstruction": (reconstructed, lambda frame: np.asarray(frame)),
    "estimate": (motion, lambda estimator: estimator.estimate(FRAME, FRAME)),
    "close of an estimator": (motion, lambda estimator: estimator.close()),
    "constructor of an estimator": (lambda: None, lambda _: motion()),
    "constructor of a decoder": (lambda: None, lambda _: Decoder("h264")),
    "decode": (lambda: (Decoder("h264"), coded()), decode_all),
    "flush of a decoder": (decoding, lambda decoder: decoder.flush()),
    "a decoder's next stream": (decoding, lambda decoder: decoder._native.begin_anew(b"")),
    "close of a decoder": (decoding, lambda decoder: decoder.close()),
    "a decoder that is dropped": (decoding, lambda _: None),
    "a copy of a decoded frame": (decoded, lambda frame: np.asarray(frame)),
    "a decoded frame for another stream": (decoded, lambda frame: frame.__dlpack__(stream=1)),
    "release of a decoded frame": (decoded, lambda frame: frame.release()),
    "a decoded frame that is dropped": (decoded, lambda _: None),
    "limits of decoders": (
        lambda: None,
        lambda _: _nvenc.decode_limits(codec="h264", chroma="4:2:0", bit_depth=8, gpu_id=0),
    ),
    "available": (lambda: None, lambda _: available()),
    "chosen_abi": (lambda: None, lambda _: _nvenc.chosen_abi(None)),
    "a call that keeps the GIL": (lambda: None, lambda _: ctypes.PyDLL("libcuda.so.1").cuInit(0)),
}


def main(name: str) -> None:
    prepare, call = CALLS[name]
    simulator = Simulator()
    simulator.configure(gpus=["RTX 4090"])
    prepared = prepare()
    with tempfile.TemporaryDirectory() as folder:
        pipe = FullPipe(Path(folder))
        simulator.configure(gpus=["RTX 4090"], trace=str(pipe.path))
        pipe.fill()
        if name == "del":
            encoders.append(prepared)
            encoder, prepared = prepared, None
            del encoder
            prepared = encoders[0]
        sys.setswitchinterval(HOURS)
        pipe.wanted.set()
        arguments = [prepared]
        prepared = None
        call(arguments.pop())
        sys.setswitchinterval(0.005)
        simulator.configure(gpus=["RTX 4090"])
        pipe.finish()
        assert pipe.was_read > SMALLEST_PIPE, "the call made no driver call that could wait"


if __name__ == "__main__":
    main(sys.argv[1])
