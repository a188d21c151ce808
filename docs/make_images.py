"""Makes the pictures of the documents, from a real run on the simulated driver: no hardware encoder is at work in them.

    NVSIM_DIR=build/driver .venv/bin/python docs/make_images.py [FOLDER] [--without-live]

It takes Chromium (apt-get install chromium), textual-serve and Pillow. The picture of the live page takes aiohttp and a
quiet machine, too, so it can be left as it is.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "examples" / "live")]

from rich.console import Console  # noqa: E402
from textual.pilot import Pilot  # noqa: E402

from browser.chromium import Chromium  # noqa: E402
from browser.terminal_text import open_terminal  # noqa: E402
from pdum.nvenc import EncoderPool, Run, events  # noqa: E402
from pdum.nvenc._cli.plain import new_lines, progress, scrolled  # noqa: E402
from pdum.nvenc._files.job import FileJob, FileSettings  # noqa: E402
from pdum.nvenc._files.task import FileTask  # noqa: E402
from pdum.nvenc._report.report import write_report  # noqa: E402
from pdum.nvenc._tui.app import Dashboard  # noqa: E402
from pdum.nvenc._view.draw import wrapped  # noqa: E402
from pdum.nvenc._view.run_state import RunState  # noqa: E402
from pdum.nvenc._web import web_dashboard  # noqa: E402
from pdum.nvenc._web.address import Address  # noqa: E402

from dashboards import normalised  # noqa: E402
from simulator import Simulator  # noqa: E402

MACHINE: list[dict[str, Any]] = [{"name": "RTX 4090", "fps_1080p": 8}]
SIZE = (480, 270)
SCREEN, PLAIN = (128, 36), (100, 24)
"""In cells."""
WINDOW = (1160, 760)
SETTINGS = {"codec": "h264", "quality": "28 = h264 cq 19", "preset": "p5"}
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


async def show(
    pool: EncoderPool, jobs: list[FileJob], kept: list[events.Event], images: Path, chromium: Chromium
) -> None:
    """The dashboard in a terminal and in a browser, of the same run at the same time."""
    tasks = [FileTask(job, "nvenc") for job in jobs]
    with web_dashboard(Address(port=0)) as web, chromium.page("about:blank", *WINDOW) as page:

        def start() -> Run:
            run = pool.start(tasks, on_event=kept.append)
            web.show(run, SETTINGS)
            return run

        app = Dashboard(start, settings=SETTINGS)
        async with app.run_test(size=SCREEN) as pilot:
            await asyncio.to_thread(open_terminal, page, web.url)
            await until_there_is_something_to_see(app, pilot)
            (images / "dashboard.svg").write_text(normalised(app.export_screenshot()))
            small(await asyncio.to_thread(page.screenshot)).save(images / "web.png", optimize=True)
            while not app.state.is_over:
                await asyncio.sleep(0.1)
                app.tick()


async def until_there_is_something_to_see(app: Dashboard, pilot: Pilot[int]) -> None:
    while app.state.fraction < ENOUGH or not all(engine.fraction > 0.2 for engine in app.state.engines.values()):
        await asyncio.sleep(0.1)
        await pilot.pause()
        if app.state.is_over:
            raise SystemExit("The run was over before its picture was taken.")
    app.draw()
    await pilot.pause()


def draw_plain(stream: list[events.Event], picture: Path) -> None:
    """The output without a dashboard, in the middle of the run."""
    columns, rows = PLAIN
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    state = RunState()
    for event in stream:
        for line in new_lines(state, event):
            console.print(wrapped(scrolled(state, line, columns), console))
        if state.fraction >= ENOUGH and all(engine.fraction > 0.2 for engine in state.engines.values()):
            break
    for line_of_progress in progress(state, columns, rows):
        console.print(line_of_progress)
    picture.write_text(normalised(console.export_svg(title="pdum-nvenc encode -r Videos", unique_id="terminal-0")))


def small(png: bytes) -> Any:
    """The picture with 5 bits for each colour, which takes a third of the space."""
    from PIL import Image

    shown = Image.open(io.BytesIO(png)).convert("RGB")
    return shown.point(lambda part: round(round(part / 255 * 31) / 31 * 255))


def photograph(chromium: Chromium, page: Path, picture: Path) -> None:
    with chromium.page(page.as_uri(), 1120, 1180) as shown:
        small(shown.screenshot()).save(picture, optimize=True)


def watch_live(simulator: Simulator, chromium: Chromium, picture: Path) -> None:
    """examples/live over a link that becomes slow for a while, with a packet lost. Its charts need a quiet machine."""
    from browser.live_site import live_site

    steps = (("'#link', 60", 8.0), ("'#link', 24", 9.0), ("'#drop'", 2.0), ("'#link', 44", 9.0))
    do = """(name, value) => {
        const one = document.querySelector(name);
        if (value === undefined) return one.click();
        one.value = value;
        one.dispatchEvent(new Event("input"));
    }"""
    with (
        simulator.machine(gpus=["RTX 4090"], backend="codec"),
        live_site((480, 360), backend="nvenc", bitrate=3_000_000) as site,
        chromium.page(site.url, 1180, 716) as page,
    ):
        for arguments, seconds in steps:
            page.evaluate(f"({do})({arguments})")
            time.sleep(seconds)
        small(page.screenshot()).save(picture, optimize=True)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "images")
    options.add_argument("--without-live", action="store_true")
    arguments = options.parse_args()
    images = arguments.folder.resolve()
    images.mkdir(parents=True, exist_ok=True)
    kept: list[events.Event] = []
    simulator = Simulator()
    with tempfile.TemporaryDirectory(prefix="video") as scratch:
        os.chdir(scratch)
        folder = Path()
        jobs = make_clips(folder)
        (folder / "chromium").mkdir()
        machine = simulator.machine(gpus=MACHINE, backend="codec", state=str(folder.absolute() / "gpus"))
        with Chromium(folder.absolute() / "chromium") as chromium:
            with machine, EncoderPool() as pool:
                asyncio.run(show(pool, jobs, kept, images, chromium))
            draw_plain(kept, images / "plain.svg")
            page = folder.absolute() / "report.html"
            write_report(kept, page, {**SETTINGS, "audio": "copy"})
            photograph(chromium, page, images / "report.png")
            if not arguments.without_live:
                watch_live(simulator, chromium, images / "live.png")


if __name__ == "__main__":
    main()
