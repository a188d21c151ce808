"""The snippets of the documents run, page by page, on the simulated driver."""

from __future__ import annotations

import gc
import re
from pathlib import Path
from typing import Any

import pytest

from frames import nv12
from pdum.nvenc import EncoderConfig, NvencEncoder
from pdum.nvenc._machine import capabilities as _capabilities
from snippets import PAGES, ROOT, snippets

from clips import make_clip
from simulator import Simulator

WIDTH, HEIGHT = 1920, 1080
# Pages with a snippet that configures the simulated driver itself.
CONFIGURING = {"simulated-driver.md"}
# The README's first snippet has RGB frames: tests/test_readme.py runs it.
RUN_ELSEWHERE = {"README.md": 1}
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def run_my_encoder() -> None:
    with NvencEncoder(320, 192) as encoder:
        for number in range(100):
            encoder.encode(nv12(320, 192, number))


def given() -> dict[str, Any]:
    """The names that a page may leave to its reader: a few frames, the last of them, and a client under test."""
    frames = [nv12(WIDTH, HEIGHT, number) for number in range(8)]
    return {"__name__": "snippet", "frames": frames, "frame": frames[-1], "run_my_encoder": run_my_encoder}


def run_page(page: Path) -> None:
    namespace = given()
    for snippet in snippets(page)[RUN_ELSEWHERE.get(page.name, 0) :]:
        if not (snippet.needs_gpu or snippet.is_of_peer):
            snippet.run(namespace)
    namespace.clear()
    gc.collect()


PAGES_TO_RUN = [page for page in PAGES if any(not snippet.needs_gpu for snippet in snippets(page))]


CARDS = {"coding-tools.md": "RTX 5090", "files.md": "RTX 5090"}
"""Cards that can do what a page shows, if the usual one cannot."""
BACKENDS = {"from-pynvvideocodec.md": "codec", "files.md": "codec"}
"""For pages whose results are decoded."""
VIDEOS = {"files.md": ("left.mp4", "right.mp4")}
"""What lies in the reader's folder."""
NEWEST = {"files.md": "video for both eyes came with 13.0"}
"""Pages that need the newest interface, with the reason."""


@pytest.mark.parametrize("page", PAGES_TO_RUN, ids=lambda page: page.name)
def test_snippets_of(
    page: Path,
    simulator: Simulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    _capabilities._found.clear()
    if page.name in NEWEST:
        monkeypatch.delenv("PDUM_NVENC_ABI", raising=False)
    for seed, name in enumerate(VIDEOS.get(page.name, ())):
        make_clip(tmp_path / name, 12, seed=seed)
    if page.name in CONFIGURING:
        run_page(page)
        return
    with simulator.machine(gpus=[CARDS.get(page.name, "RTX 4090")], backend=BACKENDS.get(page.name, "echo")):
        run_page(page)
    _capabilities._found.clear()


def test_there_are_snippets() -> None:
    """Each topic has its page with a snippet."""
    topics = {"rate-control", "latency", "zero-copy-and-streams", "colour", "per-picture", "capabilities"}
    assert {f"{topic}.md" for topic in topics} <= {page.name for page in PAGES_TO_RUN}
    assert sum(len(snippets(page)) for page in PAGES) > 20


def test_every_setting_is_on_a_page() -> None:
    """Each setting is on the page of its topic, as code and by its name."""
    text = "\n".join(page.read_text() for page in PAGES)
    assert [name for name in EncoderConfig.names() if not re.search(rf"`{name}\b|\b{name}=", text)] == []


def test_snippets_that_need_a_gpu_say_so() -> None:
    for page in PAGES:
        for snippet in snippets(page):
            uses = re.search(r"^\s*(?:import|from) (?:cupy|torch)\b|\bcupy\.", snippet.code, re.MULTILINE) is not None
            assert snippet.needs_gpu is uses, f"{page.name}:{snippet.line}"


@pytest.mark.one_abi
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.one_abi
def test_every_page_is_in_the_index_once() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert sorted(pages) == sorted(target for target in LINK.findall(index) if "/" not in target)
