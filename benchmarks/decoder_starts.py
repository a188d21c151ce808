"""What the start of a decoder costs: many short files, each with a decoder of its own, and with one that is kept.

    python benchmarks/decoder_starts.py [--size 1920x1080] [--frames 30] [--files 100] [--rounds 5] [--json FILE]

A decoder that is kept decodes all files, which have the same format. So the difference is the most that could be won if
decoders were used again from file to file; a change of their size would cost extra. Takes a GPU with a decoder, or a
libnvcuvid.so.1 and a libcuda that stand in for them (LD_LIBRARY_PATH). Needs PyAV and numpy.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
from measuring import Figure, machine, quartiles, save

from pdum.nvenc._media.gpu_decoder import StreamDecoder


def make_source(path: Path, size: tuple[int, int], frames: int) -> None:
    """One group of pictures."""
    width, height = size
    y, x = np.mgrid[0 : height * 3 // 2, 0:width]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "g": str(frames)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            picture = ((x + y + number * 4) % 200 + 20).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(stream.encode(None))


def decode_all(container: Any, stream: Any, decoder: StreamDecoder) -> int:
    return sum(1 for packet in container.demux(stream) for _ in decoder.frames(packet))


def with_new_decoders(path: Path, files: int) -> int:
    frames = 0
    for _ in range(files):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            decoder = StreamDecoder(stream)
            frames += decode_all(container, stream, decoder)
            decoder.close()
    return frames


def with_one_decoder(path: Path, files: int) -> int:
    frames, decoder = 0, None
    for _ in range(files):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if decoder is None:
                decoder = StreamDecoder(stream)
            else:
                decoder.begin_again(stream)
            frames += decode_all(container, stream, decoder)
    if decoder is not None:
        decoder.close()
    return frames


WAYS: dict[str, Callable[[Path, int], int]] = {"a new decoder": with_new_decoders, "one decoder": with_one_decoder}


def milliseconds_a_file(way: Callable[[Path, int], int], path: Path, files: int, frames: int) -> float:
    begin = time.perf_counter()
    found = way(path, files)
    took = time.perf_counter() - begin
    if found != files * frames:
        raise SystemExit(f"Expected {files * frames} frames, got {found}.")
    return took * 1000 / files


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--frames", type=int, default=30, help="frames of each file")
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "short.mp4"
        make_source(path, (width, height), arguments.frames)
        samples: dict[str, list[float]] = {name: [] for name in WAYS}
        for way in WAYS.values():  # the first use of the GPU does not count
            way(path, 2)
        for _ in range(arguments.rounds):
            for name, way in WAYS.items():
                samples[name].append(milliseconds_a_file(way, path, arguments.files, arguments.frames))
    print(machine("av"))
    print(f"| milliseconds a file of {arguments.frames} frames, {arguments.size} | median (quartiles) |\n|---|---|")
    for name, values in samples.items():
        low, middle, high = quartiles(values)
        print(f"| {name} | {middle:.2f} ({low:.2f} to {high:.2f}) |")
    figures = [Figure(name, f"a file of {arguments.frames} frames", "ms", values) for name, values in samples.items()]
    save(arguments.json, "gpu_decoder_starts", figures, "av")


if __name__ == "__main__":
    main()
