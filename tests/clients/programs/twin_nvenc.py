"""What twin-nvenc's documentation says that it runs: one ffmpeg process for each file, several at a time.

twin-nvenc itself is in no package index. Two things differ from the documented commands: files are decoded on the
processor, as the simulated driver is asked for its encoders alone; and 28 frames of lookahead stand for 32, which are
more than the strict simulated driver takes beside three B-frames.
"""

from __future__ import annotations

import argparse
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SUFFIXES = {".mp4", ".mkv", ".avi", ".mov", ".wmv", ".webm", ".flv"}
QUALITY = ["-multipass", "fullres", "-rc-lookahead", "28", "-spatial-aq", "1", "-temporal-aq", "1"]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("folders", nargs="+", type=Path)
    options.add_argument("-c", "--codec", default="av1_nvenc")
    options.add_argument("-p", "--preset", default="p4")
    options.add_argument("-q", "--quality", default="28")
    options.add_argument("-j", "--parallel", type=int, default=2)
    options.add_argument("-a", "--audio", default="128k")
    given = options.parse_args()

    def encode(source: Path) -> None:
        result = source.parent / "compressed" / f"{source.stem}.mp4"
        result.parent.mkdir(exist_ok=True)
        rate = ["-rc", "vbr", "-cq", given.quality, "-b:v", "0", *QUALITY, "-bf", "3", "-b_adapt", "1"]
        video = ["-c:v", given.codec, "-preset", given.preset, *rate]
        sound = ["-c:a", "aac", "-b:a", given.audio]
        command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(source), *video, *sound, str(result)]
        subprocess.run(command, check=True)

    sources = [path for folder in given.folders for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]
    with ThreadPoolExecutor(given.parallel) as pool:
        list(pool.map(encode, sources))


if __name__ == "__main__":
    main()
