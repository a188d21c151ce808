"""Our software engine on a file, compared with one ffmpeg process and a simple PyAV loop, with the same codec settings.

    python benchmarks/software.py [--seconds 1,12] [--size 1280x720] [--rounds 5] [--codecs h264,hevc,av1] [--json FILE]

Each takes the same source, encodes it with the same options of the same codec, copies the sound, and is a process of
its own from its start to its end; ours also looks through the source, verifies the result and fsyncs it. `ours again`
is a second file in a process that has encoded one of a second before: the engine without Python's imports, as in a
batch or in a program. They take turns, round after round. Debian's ffmpeg has older versions of the codecs than PyAV's
wheel, which the plain loop has too: that one is the fair comparison, and `ffmpeg` the one that people know. `FFMPEG`
names another ffmpeg, such as that of `pip install imageio-ffmpeg`, which is new and starts in a moment. One that does
not know the options is left out. Ratios are to `ours again`. `taskset -c 0-3 python …` has it run on four cores.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measuring

FFMPEG = os.environ.get("FFMPEG") or shutil.which("ffmpeg") or "ffmpeg"
SETTINGS: dict[str, Any] = {"preset": "p5", "cq": 28}
AGAIN = "ours again"
FILES = {"pdum.nvenc": "ours.mp4", AGAIN: "again.mp4", "PyAV loop": "loop.mp4", "ffmpeg": "ffmpeg.mp4"}

OURS = """
import sys
from pdum.nvenc import EncoderPool
with EncoderPool(backend="software") as pool:
    pool.encode_file(sys.argv[1], sys.argv[2], codec=sys.argv[3], **eval(sys.argv[4]))
"""

SECOND = """
import resource, sys, time
from pdum.nvenc import EncoderPool
before, source, result, codec, options = sys.argv[1:]
def spent():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
with EncoderPool(backend="software") as pool:
    pool.encode_file(before, result, codec=codec, **eval(options))
    start, processor = time.perf_counter(), spent()
    pool.encode_file(source, result, codec=codec, **eval(options))
    print(time.perf_counter() - start, spent() - processor)
"""

LOOP = """
import sys
import av
source, result, codec, options, gop, bframes = sys.argv[1:]
with av.open(source) as container, av.open(result, "w") as output:
    video, sound = container.streams.video[0], container.streams.audio[0]
    video.thread_type = "AUTO"
    made = output.add_stream(codec, rate=video.average_rate, options=eval(options))
    made.width, made.height, made.pix_fmt = video.width, video.height, "yuv420p"
    made.codec_context.gop_size = int(gop)
    if bframes != "None":
        made.codec_context.max_b_frames = int(bframes)
    copied = output.add_stream_from_template(sound)
    for packet in container.demux(video, sound):
        if packet.stream is sound:
            if packet.size:
                packet.stream = copied
                output.mux(packet)
            continue
        for frame in packet.decode():
            frame.pict_type = 0
            output.mux(made.encode(frame))
    output.mux(made.encode(None))
"""


@dataclass(frozen=True)
class Run:
    wall: float
    processor: float
    size: int


def make_source(path: Path, size: str, seconds: float) -> None:
    """Moving test images under noise, which has to be coded, in H.264 like most sources."""
    picture = f"testsrc2=size={size}:rate=30:duration={seconds},noise=alls=12:allf=t"
    subprocess.run(
        [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=duration={seconds}",
         "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "fast", "-crf", "20", "-g", "60", "-c:a", "aac", path],
        check=True,
    )  # fmt: skip


def software(codec: str, size: str) -> Any:
    """The options that our engine gives the codec."""
    from pdum.nvenc import EncoderConfig
    from pdum.nvenc._encoders.software_options import software_options

    width, height = map(int, size.split("x"))
    config = EncoderConfig(width=width, height=height, codec=codec, format="yuv420", tuning="hq", gop=150, **SETTINGS)
    return software_options(config, 0)


def commands(codec: str, size: str, source: Path, before: Path, folder: Path) -> dict[str, list[str]]:
    told = software(codec, size)
    options = told.all_options()
    bframes = [] if told.bframes is None else ["-bf", str(told.bframes)]
    flags = [part for name, value in options.items() for part in (f"-{name}", value)]
    found = {
        "pdum.nvenc": [sys.executable, "-c", OURS, str(source), str(folder / "ours.mp4"), codec, repr(SETTINGS)],
        AGAIN: [sys.executable, "-c", SECOND, str(before), str(source), str(folder / "again.mp4"), codec,
                repr(SETTINGS)],
        "PyAV loop": [sys.executable, "-c", LOOP, str(source), str(folder / "loop.mp4"), told.codec, repr(options),
                      str(told.gop), str(told.bframes)],
    }  # fmt: skip

    def ffmpeg(of: Path) -> list[str]:
        return [
            FFMPEG, "-v", "error", "-nostdin", "-y", "-i", str(of), "-c:v", told.codec, *flags, "-g", str(told.gop),
            *bframes, "-c:a", "copy", str(folder / "ffmpeg.mp4"),
        ]  # fmt: skip

    if subprocess.run(ffmpeg(before), capture_output=True).returncode == 0:
        found["ffmpeg"] = ffmpeg(source)
    return found


def run(command: list[str], result: Path) -> Run:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.stdout:  # it measured a part itself
        wall, processor = map(float, done.stdout.split())
    return Run(wall, processor, result.stat().st_size)


def versions() -> str:
    import av

    ffmpeg = subprocess.run([FFMPEG, "-version"], capture_output=True, text=True).stdout.split()[2]
    return f"{measuring.machine('av')} (FFmpeg {av.ffmpeg_version_info}), ffmpeg {ffmpeg}"


def compare(codec: str, size: str, source: Path, before: Path, rounds: int) -> dict[str, list[Run]]:
    """Runs the implementations in turns."""
    todo = commands(codec, size, source, before, source.parent)
    runs: dict[str, list[Run]] = {who: [] for who in todo}
    for _ in range(rounds):
        for who, command in todo.items():
            runs[who].append(run(command, source.parent / FILES[who]))
    return runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", default="12")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--codecs", default="h264,hevc,av1")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    os.environ["SVT_LOG"] = "1"  # else it writes its settings to the terminal
    print(versions())
    figures: list[measuring.Figure] = []
    with tempfile.TemporaryDirectory() as name:
        source, before = Path(name, "source.mp4"), Path(name, "before.mp4")
        make_source(before, given.size, 1)
        for seconds in map(float, given.seconds.split(",")):
            make_source(source, given.size, seconds)
            for codec in given.codecs.split(","):
                runs = compare(codec, given.size, source, before, given.rounds)
                report(f"{codec}, {seconds:g} s", runs, seconds)
                row = f"{codec}, {seconds:g} s of {given.size}"
                figures += [
                    measuring.Figure(row, who, "s", [one.wall for one in all_of]) for who, all_of in runs.items()
                ]
    measuring.save(given.json, "software", figures, "av")


def report(what: str, runs: dict[str, list[Run]], seconds: float) -> None:
    """Medians over the rounds. Ratios are those of single rounds, so that a disturbance affects both sides."""
    columns = (what, "wall, s (quartiles)", "processor, s", "times ours again", "x real time", "bytes")
    print(f"\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for who, all_of in runs.items():
        low, middle, high = measuring.quartiles([one.wall for one in all_of])
        pairs = zip(all_of, runs[AGAIN], strict=True)
        ratio = measuring.quartiles([one.wall / ours.wall for one, ours in pairs])[1]
        processor = measuring.quartiles([one.processor for one in all_of])[1]
        wall = f"{middle:.2f} ({low:.2f} to {high:.2f})"
        print(
            f"| {who} | {wall} | {processor:.2f} | {ratio:.2f} | {seconds / middle:.1f} | {all_of[-1].size} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
