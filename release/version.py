"""The version, which `src/pdum/nvenc/_version.py` alone has, and what the changelog says about it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADING = re.compile(r"^## (?P<version>\S+) \((?P<date>[^)]*)\)$", re.MULTILINE)


def version(root: Path = ROOT) -> str:
    text = (root / "src" / "pdum" / "nvenc" / "_version.py").read_text()
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise SystemExit('release: expected a line __version__ = "…" in src/pdum/nvenc/_version.py, got none')
    return found[1]


def newest_section(root: Path = ROOT) -> tuple[str, str, str]:
    """Version, date and text of the first section of CHANGELOG.md."""
    text = (root / "CHANGELOG.md").read_text()
    headings = list(HEADING.finditer(text))
    if not headings:
        raise SystemExit("release: expected sections `## VERSION (DATE)` in CHANGELOG.md, got none")
    first = headings[0]
    end = headings[1].start() if len(headings) > 1 else len(text)
    return first["version"], first["date"], text[first.end() : end].strip()
