"""Makes the pictures of the documents, from a real run on the simulated driver: no hardware encoder is at work in them.

    NVSIM_DIR=build/driver .venv/bin/python docs/make_images.py [FOLDER]

The pictures of the report and of the live page take Chromium (apt-get install chromium) and aiohttp.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "examples" / "live")]

from pdum.nvenc import EncoderPool  # noqa: E402
from pdum.nvenc._files.job import FileJob, FileSettings  # noqa: E402
from pdum.nvenc._files.task import FileTask  # noqa: E402
from pdum.nvenc._report.report import write_report  # noqa: E402
from pdum.nvenc._tui.app import Dashboard  # noqa: E402

from dashboards import normalised  # noqa: E402
from simulator import Simulator  # noqa: E402

MACHINE: list[dict[str, Any]] = [{"name": "RTX 4090", "fps_1080p": 8}]
SIZE = (480, 270)
SCREEN = (128, 36)
ENOUGH = 0.62
"""How much of the run is over when the dashboard's picture is taken."""
CLIPS = {
    "holiday": ["arrival", "beach", "boat trip", "Día de playa", "fish market", "harbour at night", "train home"],
    "lectures": [
        "01 introduction",
        "02 sampling",
        "03 transforms",
        "04 motion",
        "05 entropy coding",
        "06 rate control",
    ],
    "screen": ["bug report", "demo", "standup"],
}


def make_clip(path: Path, frames: int, quality: int, seed: int) -> None:
    """Moving waves with some noise, as cameras have it."""
    import av

    chance = np.random.default_rng(seed)
    width, height = SIZE
    x, y = np.meshgrid(np.linspace(0, 6, width), np.linspace(0, 4, height))
    noise = chance.normal(0, 4, (height, width, 3))
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=30, options={"crf": str(quality), "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            waves = np.sin(x * (1 + seed % 3) + number / 9)[..., None] * 60 + np.cos(y[..., None] + number / 14) * 50
            picture = 120 + waves * np.array([1.0, 0.6, -0.5]) + np.roll(noise, number * 7, axis=(0, 1))
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def make_clips(folder: Path) -> list[FileJob]:
    jobs = []
    for place, (name, clips) in enumerate(CLIPS.items()):
        (folder / name).mkdir()
        for number, clip in enumerate(clips):
            seed = 10 * place + number
            source = folder / name / f"{clip}.mp4"
            # One has little left to save, one little to lose.
            quality = {"demo": 40, "fish market": 27}.get(clip, 13 + seed % 7)
            make_clip(source, 150 + seed * 53 % 210, quality, seed)
            if clip == "02 sampling":
                source.write_bytes(source.read_bytes()[: source.stat().st_size // 3])
            out = folder / "compressed" / name / f"{clip}.mp4"
            out.parent.mkdir(parents=True, exist_ok=True)
            settings = FileSettings(codec="h264", encoder={"preset": "p5", "cq": 19})
            jobs.append(FileJob(source=source, destination=out, settings=settings, smaller_than=1.0))
    return jobs


async def show(pool: EncoderPool, jobs: list[FileJob], kept: list[Any], picture: Path) -> None:
    tasks = [FileTask(job, "nvenc") for job in jobs]
    app = Dashboard(lambda: pool.start(tasks, on_event=kept.append))
    async with app.run_test(size=SCREEN) as pilot:
        while app.state.fraction < ENOUGH or not all(engine.fraction > 0.2 for engine in app.state.engines.values()):
            await asyncio.sleep(0.1)
            await pilot.pause()
            if app.state.is_over:
                raise SystemExit("The run was over before its picture was taken.")
        app.draw()
        await pilot.pause()
        picture.write_text(normalised(app.export_screenshot()))
        while not app.state.is_over:
            await asyncio.sleep(0.1)
            app.tick()


def photograph(page: Path, picture: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        print("There is no chromium: no picture of the report.")
        return
    options = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--window-size=1120,1180"]
    subprocess.run([chromium, *options, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)


def watch_live(scratch: Path, picture: Path) -> None:
    """examples/live over a link that becomes slow for a while, with a packet lost. Its charts need a quiet machine."""
    from PIL import Image

    from browser.chromium import Chromium
    from browser.live_site import live_site

    steps = (("'#link', 60", 8.0), ("'#link', 24", 9.0), ("'#drop'", 2.0), ("'#link', 44", 9.0))
    do = """(name, value) => {
        const one = document.querySelector(name);
        if (value === undefined) return one.click();
        one.value = value;
        one.dispatchEvent(new Event("input"));
    }"""
    with (
        Simulator().machine(gpus=["RTX 4090"], backend="codec"),
        live_site((480, 360), backend="nvenc", bitrate=3_000_000) as site,
        Chromium(scratch) as chromium,
        chromium.page(site.url, 1180, 716) as page,
    ):
        for arguments, seconds in steps:
            page.evaluate(f"({do})({arguments})")
            time.sleep(seconds)
        shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shown.point(lambda part: round(round(part / 255 * 31) / 31 * 255)).save(picture, optimize=True)  # 5 bits: small


def main() -> None:
    images = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    kept: list[Any] = []
    with tempfile.TemporaryDirectory(prefix="video") as scratch:
        os.chdir(scratch)
        folder = Path()
        jobs = make_clips(folder)
        with Simulator().machine(gpus=MACHINE, backend="codec", state=str(folder / "gpus")), EncoderPool() as pool:
            asyncio.run(show(pool, jobs, kept, images / "dashboard.svg"))
        page = Path(scratch) / "report.html"
        write_report(kept, page, {"codec": "h264", "preset": "p5", "constant quality": 19, "audio": "copy"})
        photograph(page, images / "report.png")
        watch_live(Path(scratch), images / "live.png")


if __name__ == "__main__":
    main()
