"""What PyNvVideoCodec's decoder does besides decoding: six questions, each answered in a process of its own.

    python benchmarks/decode_peers.py [--frames 120]

1. Can it be imported without NVIDIA's driver?
2. Does it print what its caller did not ask for?
3. Does it survive files that are cut off, damaged, empty, or no video at all, and say what is wrong?
4. Does it copy each frame before an encoder can read it?
5. Does it wait for the default stream, which waits for everybody else's work?
6. Does it give every frame that can be decoded of a damaged file, at its own time, and say which ones are not right?

A machine without a GPU answers the first one. The others take a GPU with a decoder, or a libnvcuvid.so.1 and a libcuda
that stand in for them (LD_LIBRARY_PATH). Needs PyAV, numpy, PyNvVideoCodec and g++.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import native_parts

SIZE = (320, 192)
KEY_EVERY = 30
NOT_VIDEOS = {"empty": b"", "garbage": bytes(range(256)) * 64, "text": b"no video at all\n"}


@dataclass(frozen=True)
class Ended:
    """How a process ended: what it told by its file, what it printed, and what the counter of CUDA's calls saw."""

    code: int
    told: dict[str, Any]
    printed: str
    calls: dict[str, int]

    @property
    def how(self) -> str:
        if self.code < 0:
            return f"ended by {signal.Signals(-self.code).name}"
        return f"an error: {self.told['error'].splitlines()[0][:90]}" if "error" in self.told else "no error"


def make_source(path: Path, frames: int) -> None:
    import av
    import numpy as np

    width, height = SIZE
    y, x = np.mgrid[0 : height * 3 // 2, 0:width]
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "g": str(KEY_EVERY), "bf": "2"}
        made: Any = container.add_stream("libx264", rate=25, options=options)
        made.width, made.height, made.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            picture = ((x * 2 + y * 3 + 5 * number) % 200 + 20).astype(np.uint8)
            container.mux(made.encode(av.VideoFrame.from_ndarray(picture, "yuv420p")))
        container.mux(made.encode(None))


def make_damaged(source: Path, path: Path, packets: set[int]) -> None:
    """A copy in which most bytes of some packets are overwritten."""
    import av

    with av.open(str(source)) as whole, av.open(str(path), "w") as container:
        video = whole.streams.video[0]
        made = container.add_stream_from_template(video)
        for number, packet in enumerate(packet for packet in whole.demux(video) if packet.size):
            data = bytes(packet)
            copy = av.Packet(data[:5] + b"\x55" * (len(data) - 5) if number in packets else data)
            copy.pts, copy.dts, copy.duration, copy.stream = packet.pts, packet.dts, packet.duration, made
            copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
            container.mux(copy)


def by_processor(path: Path) -> dict[int, Any]:
    """The frames that one thread of the processor decodes, as NV12, by their times."""
    import av

    found = {}
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        for packet in container.demux(stream):
            try:
                for frame in packet.decode():
                    found[int(frame.pts)] = frame.reformat(format="nv12").to_ndarray()
            except av.error.InvalidDataError:
                continue
    return found


def peers_frames(path: str, on_gpu: bool) -> Iterator[Any]:
    import PyNvVideoCodec

    demuxer = PyNvVideoCodec.CreateDemuxer(path)
    decoder = PyNvVideoCodec.CreateDecoder(gpuid=0, codec=demuxer.GetNvCodecId(), usedevicememory=on_gpu)
    for packet in demuxer:
        yield from decoder.Decode(packet)


def child(what: str, path: str, answer: str) -> None:
    """Runs in a process of its own: it may crash, hang and print."""
    told: dict[str, Any] = {}
    try:
        if what == "import":
            import PyNvVideoCodec  # noqa: F401
        elif what == "count":
            told["frames"] = sum(1 for _ in peers_frames(path, on_gpu=True))
        else:
            told |= compared(path)
    except Exception as error:  # whatever it raises is what is looked at
        told["error"] = f"{type(error).__name__}: {error}"
    Path(answer).write_text(json.dumps(told))


def compared(path: str) -> dict[str, Any]:
    """The peer's frames beside the processor's, by their times."""
    import numpy as np

    wanted, found = by_processor(Path(path)), {}
    for frame in peers_frames(path, on_gpu=False):
        found[int(frame.timestamp)] = np.from_dlpack(frame).copy()
    same = [pts for pts, picture in found.items() if pts in wanted and np.array_equal(picture, wanted[pts])]
    lost = len(wanted.keys() - found.keys())
    return {"wanted": len(wanted), "given": len(found), "same": len(same), "lost": lost}


def run(what: str, path: Path, folder: Path, **variables: str) -> Ended:
    answer, calls = folder / "answer.json", folder / "calls.json"
    for old in (answer, calls):
        old.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--child", what, str(path), str(answer)]
    environment = {**os.environ, "CUDA_CALLS": str(calls), **variables}
    made = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", timeout=300)
    told = json.loads(answer.read_text()) if answer.exists() else {}
    counted = json.loads(calls.read_text()) if calls.exists() else {}
    return Ended(made.returncode, told, (made.stdout + made.stderr).strip(), counted)


def has_library(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def counter(folder: Path) -> str:
    library = folder / "cuda_calls.so"
    native_parts.run(*native_parts.COMPILE, native_parts.HERE / "native" / "cuda_calls.cpp", "-o", library, "-ldl")
    return str(library)


def tell(question: str, answer: str) -> None:
    print(f"| {question} | {answer} |", flush=True)


def look(folder: Path, frames: int) -> None:
    print("| asked | answer |\n|---|---|")
    if not has_library("libcuda.so.1"):
        tell("import without a driver", run("import", Path("-"), folder).how)
    if not has_library("libnvcuvid.so.1"):
        tell("everything else", "not asked: this machine has no libnvcuvid.so.1")
        return
    clean = folder / "clean.mp4"
    make_source(clean, frames)
    ended = run("count", clean, folder, LD_PRELOAD=counter(folder))
    tell("a clean file", f"{ended.told.get('frames')} of {frames} frames, {ended.how}")
    tell("prints for a clean file", printed(ended))
    for name, number in ended.calls.items():
        tell(f"calls of CUDA for {frames} frames: {name.replace('_', ' ')}", str(number))
    for name, path in bad_files(clean, folder):
        ended = run("count", path, folder)
        tell(f"{name} file", f"{ended.told.get('frames', 'no')} frames, {ended.how}; prints {printed(ended)}")
    for name, packets in (("one frame", {40}), ("a key frame", {KEY_EVERY}), ("ten frames", set(range(40, 50)))):
        path = folder / "damaged.mp4"
        make_damaged(clean, path, packets)
        ended = run("compare", path, folder)
        tell(f"a file with {name} damaged", f"{ended.told}, {ended.how}; prints {printed(ended)}")


def printed(ended: Ended) -> str:
    lines = ended.printed.splitlines()
    return f"{len(lines)} lines, the first: {lines[0][:90]!r}" if lines else "nothing"


def bad_files(clean: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    whole = clean.read_bytes()
    contents = {**NOT_VIDEOS, "cut off (half)": whole[: len(whole) // 2], "cut off (end)": whole[:-20]}
    for name, data in contents.items():
        path = folder / f"{name.split()[0]}.mp4"
        path.write_bytes(data)
        yield name, path
    yield "missing", folder / "missing.mp4"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(*given.child)
        return
    with tempfile.TemporaryDirectory() as name:
        look(Path(name), given.frames)


if __name__ == "__main__":
    main()
