"""The documentation site: built strictly, complete, and without the network when it is read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import pdum.nvenc
from browser.chromium import Chromium
from control.test_capabilities_missing import DEMANDS
from pdum.nvenc import EncoderConfig, NvencError

pytestmark = pytest.mark.one_abi

CAPABILITIES = Path(__file__).resolve().parents[1] / "src" / "cpp" / "abi" / "capabilities.def"
CAPABILITY = re.compile(r'PDUM_CAPABILITY\((\w+), \d+, "(\w+)"\)')
CODE = re.compile(r"<pre.*?</pre>", re.DOTALL)
MISSING_PICTURES = "[...document.images].filter(one => one.complete && !one.naturalWidth).map(one => one.src)"
LOADED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"(https?:)?//[^\"]*\"")


@pytest.fixture(scope="module")
def site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    # Not --quiet: with it, mkdocs neither shows nor counts warnings, such as those about links.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def page(site: Path, name: str) -> str:
    return (site / name / "index.html").read_text()


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    loaded = {str(one.relative_to(site)): LOADED.findall(one.read_text()) for one in site.rglob("*.html")}
    assert len(loaded) > 30
    assert {name: found for name, found in loaded.items() if found} == {}


def test_each_page_can_be_searched(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    found = {entry["location"].partition("#")[0] for entry in entries}
    assert {f"{one.parent.relative_to(site)}/" for one in site.rglob("index.html")} - {"./"} <= found
    assert any("VideoWriter" in entry["text"] for entry in entries)


def test_there_is_a_dark_mode(site: Path) -> None:
    assert re.search(
        r'data-md-color-media="\(prefers-color-scheme: dark\)" data-md-color-scheme="slate"', page(site, ".")
    )


def test_each_public_name_is_there(site: Path) -> None:
    classes = page(site, "reference/python")
    errors = page(site, "reference/errors")
    for name in set(pdum.nvenc.__all__) - {"abi"}:
        one = getattr(pdum.nvenc, name)
        if isinstance(one, type) and issubclass(one, NvencError):
            assert f"<code>{name}</code>" in errors
        else:
            assert f'id="pdum.nvenc.{name}"' in classes, name


def settings_rows(site: Path) -> dict[str, list[str]]:
    """The cells of each setting's row, without markup."""
    rows = re.findall(r"<tr>(.*?)</tr>", page(site, "reference/settings"), re.DOTALL)
    cells = [[re.sub("<[^>]+>", " ", one) for one in re.findall(r"<td>(.*?)</td>", row, re.DOTALL)] for row in rows]
    return {row[0].strip(): row[1:] for row in cells if row}


def test_each_setting_has_its_members(site: Path) -> None:
    rows = settings_rows(site)
    assert list(rows) == list(EncoderConfig.names())
    for name, cells in rows.items():
        assert len(cells) == 5, name
        assert all(cells), name
    assert rows["qp"][1].split(" , ")[0].strip() == "rc.rateControlMode"
    assert "13.0 for" in rows["chroma"][3]
    assert rows["temporal_filter"][3] == "13.0"


def test_each_setting_has_the_capability_that_the_encoder_asks_for(site: Path) -> None:
    """What the tests of refusals found to be needed, by the names that ``capabilities()`` has for it."""
    ours = {theirs: name for name, theirs in CAPABILITY.findall(CAPABILITIES.read_text())}
    rows = settings_rows(site)
    for _, setting, capability, _ in DEMANDS:
        assert ours[capability] in rows[setting.split("=")[0]][2], setting
    plain = [name for name, cells in rows.items() if cells[2] == "–"]
    assert "gop" in plain
    assert len(plain) < len(rows) - 20


def test_each_error_has_a_cause_and_a_cure(site: Path) -> None:
    text = page(site, "reference/errors")
    public = [getattr(pdum.nvenc, name) for name in pdum.nvenc.__all__]
    errors = [one for one in public if isinstance(one, type) and issubclass(one, NvencError)]
    sections = re.split(r"<h2 ", text)[1:]
    assert len(sections) == len(errors) - 1
    for section in sections:
        assert "<strong>Cause</strong>" in section
        assert "<strong>What to do</strong>" in section


def test_commands_and_exit_codes(site: Path) -> None:
    text = page(site, "reference/commands")
    for words in ("--in-place", "<td>130</td>", "pdum-nvenc watch"):
        assert words in text


def test_every_block_of_code_is_shown_as_one(site: Path) -> None:
    """Also those with words for the tests behind the language, such as ``python gpu``."""
    texts = {str(one.relative_to(site)): CODE.sub("", one.read_text()) for one in site.rglob("index.html")}
    assert {name: text.count("```") for name, text in texts.items() if "```" in text} == {}
    assert "cupy" in page(site, "colour")


def test_examples_in_docstrings_begin_without_a_lone_colon(site: Path) -> None:
    text = page(site, "reference/python")
    assert "with VideoWriter(" in text
    assert not re.search(r"<p>:+</p>", text)


WIDE_PAGES = ("comparison/", "reference/python/", "driver-settings/")
PHONE, DESKTOP = 360, 1280


def test_wide_pages_fit_a_phone(site: Path, tmp_path: Path) -> None:
    assert misfits(site, tmp_path, WIDE_PAGES, PHONE) == {}


@pytest.mark.slow
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
def test_all_pages_fit(site: Path, tmp_path: Path, width: int) -> None:
    names = [f"{one.parent.relative_to(site)}/" for one in site.rglob("index.html")]
    assert len(names) > 60
    assert misfits(site, tmp_path, names, width) == {}


def misfits(site: Path, folder: Path, names: Iterable[str], width: int) -> dict[str, Any]:
    """Pages that scroll sideways (wide tables and code scroll in themselves), lack a picture or complain."""
    found: dict[str, Any] = {}
    with server_of(site) as address, Chromium(folder) as browser:
        for name in names:
            with browser.page(address + name, width=width, height=740) as shown:
                wide = shown.evaluate("document.documentElement.scrollWidth") - width
                found[name] = (wide, shown.evaluate(MISSING_PICTURES), shown.complaints())
    return {name: said for name, said in found.items() if said != (0, [], [])}


@contextmanager
def server_of(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
