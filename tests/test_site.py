"""The documentation site: built strictly, complete, and without the network when it is read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pdum.nvenc
from pdum.nvenc import EncoderConfig, NvencError

pytestmark = pytest.mark.one_abi

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


def test_each_public_name_is_there(site: Path) -> None:
    classes = page(site, "reference/python")
    errors = page(site, "reference/errors")
    for name in set(pdum.nvenc.__all__) - {"abi"}:
        one = getattr(pdum.nvenc, name)
        if isinstance(one, type) and issubclass(one, NvencError):
            assert f"<code>{name}</code>" in errors
        else:
            assert f'id="pdum.nvenc.{name}"' in classes, name


def test_each_setting_has_its_members(site: Path) -> None:
    table = page(site, "reference/settings")
    for name in EncoderConfig.names():
        row = re.search(rf"<td><code>{name}</code></td>\s*<td>.*?</td>\s*<td>(.+?)</td>", table, re.DOTALL)
        assert row, name
        assert "<code>" in row[1], name


def test_commands_and_exit_codes(site: Path) -> None:
    text = page(site, "reference/commands")
    for words in ("--in-place", "<td>130</td>", "pdum-nvenc watch"):
        assert words in text
