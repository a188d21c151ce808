"""Who follows a tutorial word by word gets what it promises, with an encoder and without one."""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from browser.chromium import Chromium, Page
from tutorial_pages import follow
from video_frames import look

from simulator import environment

pytestmark = [pytest.mark.one_abi, pytest.mark.usefixtures("nvsim_dir")]


@pytest.fixture(params=["hardware", pytest.param("software", marks=pytest.mark.slow)])
def env(request: pytest.FixtureRequest, tmp_path: Path) -> Mapping[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    found = environment(gpus=[{"name": "RTX 4090", "fps_1080p": 0}], backend="codec")
    if request.param == "software":
        found["LD_LIBRARY_PATH"] = ""
    return {**found, "HOME": str(home), "XDG_CONFIG_HOME": "", "COLUMNS": "100"}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "empty"
    path.mkdir()
    return path


def test_the_first_file(root: Path, folder: Path, env: Mapping[str, str]) -> None:
    sizes = []
    for block in follow(root / "docs" / "first-file.md", folder, env):
        if block.kind == "text":
            assert len(look(folder / "first.mp4").times) == 60
            sizes.append((folder / "first.mp4").stat().st_size)
    assert len(sizes) == 2
    assert sizes[1] > sizes[0]


def test_a_recorded_simulation(root: Path, folder: Path, env: Mapping[str, str]) -> None:
    for _ in follow(root / "docs" / "first-recording.md", folder, env):
        pass
    whole, some = look(folder / "ball.mp4"), look(folder / "times.mp4")
    assert len(whole.times) == 120
    assert len(some.times) < 80
    assert float(some.times[-1]) == pytest.approx(float(whole.times[-1]), abs=0.07), "the film runs at the right speed"
    assert len(look(folder / "fails.mp4").times) == 100
    assert 120 <= len(look(folder / "killed.mp4").times) <= 300
    loud = [np.abs(part).max() > 0.2 for part in look(folder / "sound.mp4").sound]
    assert 0 < sum(loud) < len(loud) / 4, "a click for each bounce"


def test_a_compressed_library(root: Path, folder: Path, env: Mapping[str, str]) -> None:
    for _ in follow(root / "docs" / "first-library.md", folder, env):
        pass
    found = {path.relative_to(folder): path.stat().st_size for path in folder.rglob("*.mp4")}
    for name in ("talk.mp4", "holiday/boat.mp4"):
        source = Path("Videos", name)
        assert found[source.parent / "compressed" / source.name] < found[source] / 2
        assert found[Path("Copy", source.name)] < found[source] / 2
        assert look(folder / "phone" / name).size == (256, 144)
    assert len(found) == 3 * 4, "sources, results, those for phones, and the copies"


def test_a_live_page(root: Path, folder: Path, env: Mapping[str, str], chromium: Chromium) -> None:
    for _ in follow(root / "docs" / "first-live-page.md", folder, env):
        pass
    with serving(folder, env) as url, chromium.page(url, 700, 500) as first:
        await_pictures(first)
        with chromium.page(url, 700, 500) as second:
            await_pictures(second)
            red = [second.evaluate(MEANS), first.evaluate(MEANS)]
        assert first.complaints() == []
    for bright, dark, blue in red:
        assert bright > 180
        assert dark < 80
        assert blue == pytest.approx(90, abs=12)


MEANS = """
(() => {
  const {data} = document.querySelector("canvas").getContext("2d").getImageData(0, 180, 640, 1);
  const red = [], blue = [];
  for (let at = 0; at < data.length; at += 4) { red.push(data[at]); blue.push(data[at + 2]); }
  return [Math.max(...red), Math.min(...red), blue.reduce((sum, one) => sum + one) / blue.length];
})()
"""
"""The brightest and the darkest red on a line across the wave, and its blue."""


@contextmanager
def serving(folder: Path, env: Mapping[str, str]) -> Iterator[str]:
    """The tutorial's server, at a free port."""
    command = [sys.executable, "-u", "server.py", "0"]
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            told = server.stdout.readline()
            yield told.split()[3]
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)


def await_pictures(page: Page) -> None:
    page.evaluate("""
        new Promise((done, fail) => {
          const look = () => {
            const text = document.querySelector("p").textContent;
            if (parseInt(text) > 5) done();
            else if (text && !/pictures/.test(text)) fail(new Error(text));
            else setTimeout(look, 20);
          };
          look();
        })
    """)


def test_hdr(root: Path, folder: Path, env: Mapping[str, str]) -> None:
    for _ in follow(root / "docs" / "hdr.md", folder, env):
        pass
    pictures = [frame.to_ndarray()[:180] for frame in decoded(folder / "hdr.mp4")]
    assert len(pictures) == 30
    sun, ramp = pictures[0][40, 28], pictures[0][150, 319]
    assert 64 + 876 * 0.70 < sun < 64 + 876 * 0.76, "PQ has 0.75 for 1000 cd/m², and this is its luma"
    assert ramp == pytest.approx(64 + 876 * 0.579, abs=9), "PQ has 0.579 for 200 cd/m²"


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


@pytest.mark.slow
def test_a_cluster(root: Path, folder: Path, env: Mapping[str, str], tmp_path: Path) -> None:
    """The head and two workers run as the page says, the second worker on a machine with one engine."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    page = tmp_path / "page.md"
    page.write_text((root / "docs" / "first-cluster.md").read_text().replace("8786", str(port)))
    other = {**env, "NVSIM_CONFIG": env["NVSIM_CONFIG"].replace("RTX 4090", "RTX 3060")}
    with ExitStack() as stack:
        for block in follow(page, folder, env):
            if "by-hand" in block.words:
                command = block.text.replace("cluster --tls", f"cluster --listen 127.0.0.1:{port} --tls")
                command = command.replace("worker 127.0.0.1 ", f"worker 127.0.0.1:{port} ")
                for given in (env, other) if "worker" in command else (env,):
                    stack.enter_context(running(command, folder, given))
    sizes = {path.parent.name: path.stat().st_size for path in folder.rglob("match.mp4")}
    assert set(sizes) == {"Videos", "compressed", "Small"}
    assert sizes["Small"] < sizes["compressed"] < sizes["Videos"]
    assert len(look(folder / "Small" / "match.mp4").times) == 240


@contextmanager
def running(command: str, folder: Path, env: Mapping[str, str]) -> Iterator[None]:
    """A command of the page, which runs until the block ends. It has begun when it has said something."""
    arguments = [sys.executable, "-m", "pdum.nvenc", *shlex.split(command)[1:]]
    with subprocess.Popen(arguments, cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline()
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
