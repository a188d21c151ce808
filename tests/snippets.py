"""The Python snippets of the documents. The snippets of a page run in order, in one namespace."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```python(?P<words>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A block of a page.

    One marked ``gpu`` needs a CUDA GPU and CuPy, and runs in tests/gpu. One marked ``peer`` shows another package, and
    runs in tests/clients. One with a title is a file of a tutorial, which tests/test_tutorials.py writes and runs.
    """

    page: Path
    line: int
    code: str
    needs_gpu: bool
    is_of_peer: bool

    def run(self, namespace: dict[str, Any]) -> None:
        """Runs the code. Tracebacks show the lines of the page."""
        code = "\n" * (self.line - 1) + self.code
        exec(compile(code, str(self.page), "exec"), namespace)


def snippets(page: Path) -> list[Snippet]:
    text = page.read_text()
    return [_snippet(page, text, found) for found in FENCE.finditer(text) if "title=" not in found["words"]]


def _snippet(page: Path, text: str, found: re.Match[str]) -> Snippet:
    words = found["words"].split()
    line = text.count("\n", 0, found.start("code")) + 1
    return Snippet(page, line, found["code"], needs_gpu="gpu" in words, is_of_peer="peer" in words)
