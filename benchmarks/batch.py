"""A folder of clips by pdum-nvenc, and by one ffmpeg process for each encoder at a time: which one is done first.

    NVSIM_DIR=build/driver .venv/bin/python benchmarks/batch.py [--clips 30] [--gpu "RTX 4090"] [--software]

Both encode the same clips on the same simulated GPU, whose engines are as slow as told, so that what is compared is
how well they are kept busy: schedules and overhead. It says nothing about hardware. With --software, both use the
processor.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from measuring import Figure, save

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests")]

from clips import make_clip  # noqa: E402
from simulator import environment  # noqa: E402

ENGINES = {"RTX 4090": 2, "L4": 3, "RTX 4070": 1}
ENGINES_ALONE = "the engines alone"
PIXELS_1080P = 1920 * 1080
PIXELS = 192 * 160
TWIN_FLAGS = (
    *("-c:v", "h264_nvenc", "-preset", "p4", "-rc", "vbr", "-cq", "28", "-b:v", "0", "-multipass", "fullres"),
    *("-rc-lookahead", "28", "-spatial-aq", "1", "-temporal-aq", "1", "-bf", "3"),
)
SOFTWARE_FLAGS = ("-c:v", "libx264", "-preset", "faster", "-crf", "28", "-bf", "3", "-threads", "1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--gpu", default="RTX 4090", choices=ENGINES)
    parser.add_argument("--fps", type=float, default=100.0, help="of one engine, at the clips' size")
    parser.add_argument("--software", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    walls: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        for who, wall in compare(given).items():
            walls.setdefault(who, []).append(wall)
    row = f"{given.clips} clips, " + ("software" if given.software else f"{given.gpu}, {ENGINES[given.gpu]} engines")
    part = "batch_software" if given.software else "batch"
    save(given.json, part, [Figure(row, who, "s", found, better_of(who)) for who, found in walls.items()], "av")


def better_of(who: str) -> Literal["less", ""]:
    """The engines' own time is what it is."""
    return "" if who == ENGINES_ALONE else "less"


def compare(given: argparse.Namespace) -> dict[str, float]:
    """Seconds of each way to encode the same clips, once."""
    walls = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lengths = [20 + 13 * number % 90 for number in range(given.clips)]
        clips = [make_clip(folder / "in" / f"{number:03}.mkv", length, number) for number, length in enumerate(lengths)]
        engines = len(os.sched_getaffinity(0)) if given.software else ENGINES[given.gpu]
        gpu = {"name": given.gpu, "engines": ENGINES[given.gpu], "fps_1080p": given.fps * PIXELS / PIXELS_1080P}
        env = dict(os.environ) if given.software else environment(gpus=[gpu], backend="codec")
        print(f"{given.clips} clips of 192x160, {sum(lengths)} frames, {engines} engines; {os.cpu_count()} processors")
        if not given.software:
            ideal = sum(lengths) / engines / given.fps
            print(f"simulated {given.gpu}, each engine {given.fps:g} frames/s: {ideal:.2f} s of encoding")
            walls[ENGINES_ALONE] = ideal
        walls["pdum-nvenc"] = ours(folder, env, given.software)
        other = theirs(folder, clips, env, engines, given.software)
    return walls if other is None else walls | {"ffmpeg processes": other}


def ours(folder: Path, env: dict[str, str], software: bool) -> float:
    command = [sys.executable, "-m", "pdum.nvenc", "encode", "--json", "-c", "h264", "--keep-bigger"]
    command += ["--engine", "software" if software else "nvenc", "-o", str(folder / "ours"), str(folder / "in")]
    began = time.perf_counter()
    result = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - began
    told = [json.loads(line) for line in result.stdout.splitlines()]
    pieces = [event for event in told if event["event"] in ("piece_started", "piece_finished")]
    busy = max(event["at"] for event in pieces) - min(event["at"] for event in pieces)
    lanes = next(len(event["engines"]) for event in told if event["event"] == "run_started")
    print(f"pdum-nvenc, {lanes} at a time          {wall:6.2f} s, engines at work for {busy:.2f} s of it")
    gaps = sorted(gap for engine in {event["engine"] for event in pieces} for gap in _gaps(pieces, engine))
    if gaps:
        middle = gaps[len(gaps) // 2]
        print(f"  between jobs on an engine: median {1000 * middle:.1f} ms, longest {1000 * gaps[-1]:.1f} ms")
    last = [max(event["at"] for event in pieces if event["engine"] == one) for one in {e["engine"] for e in pieces}]
    print(f"  engines end {1000 * (max(last) - min(last)):.0f} ms apart")
    return wall


def _gaps(pieces: list[dict[str, Any]], engine: int) -> list[float]:
    own = [event for event in pieces if event["engine"] == engine]
    return [
        after["at"] - before["at"]
        for before, after in pairwise(own)
        if before["event"] == "piece_finished" and after["event"] == "piece_started"
    ]


def theirs(folder: Path, clips: list[Path], env: dict[str, str], engines: int, software: bool) -> float | None:
    """As twin-nvenc does: the next process begins when one ends."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        print("ffmpeg is missing: apt-get install ffmpeg")
        return None
    out = folder / "theirs"
    out.mkdir()

    def encode(clip: Path) -> None:
        flags = SOFTWARE_FLAGS if software else TWIN_FLAGS
        command = [ffmpeg, "-v", "error", "-nostdin", "-i", str(clip), *flags, "-c:a", "copy", str(out / clip.name)]
        subprocess.run(command, env=env, check=True)

    began = time.perf_counter()
    with ThreadPoolExecutor(engines) as pool:
        list(pool.map(encode, clips))
    wall = time.perf_counter() - began
    print(f"{engines} ffmpeg processes at a time   {wall:6.2f} s (nothing verified, no journal)")
    return wall


if __name__ == "__main__":
    main()
