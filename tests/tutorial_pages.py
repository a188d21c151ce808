"""The tutorials, followed as a reader follows them: files are written, commands run, output compared."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^(?P<indent> *)```(?P<kind>\w+)(?P<words>[^\n]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'title="([^"]+)"')
SHELL = f"""
set -e
python() {{ "{sys.executable}" "$@"; }}
pdum-nvenc() {{ "{sys.executable}" -m pdum.nvenc "$@"; }}
"""


@dataclass(frozen=True)
class Block:
    """A file (``title=``), commands (``sh``), or what they print (``text``).

    The tests leave out commands with the word ``setup``, since the package is installed, and such as the test starts
    itself, with the word ``by-hand``. A block of ``toml`` is added to the configuration file.
    """

    line: int
    kind: str
    words: tuple[str, ...]
    title: str
    text: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [_block(text, found) for found in BLOCK.finditer(text)]


def _block(text: str, found: re.Match[str]) -> Block:
    title = TITLE.search(found["words"])
    words = tuple(TITLE.sub("", found["words"]).split())
    line = text.count("\n", 0, found.start()) + 1
    return Block(line, found["kind"], words, title[1] if title else "", found["text"])


def follow(page: Path, folder: Path, env: Mapping[str, str]) -> Iterator[Block]:
    """Does what each block says, in the folder. Yields each block after it was done."""
    shown = ""
    for block in blocks(page):
        if block.title:
            write(folder / block.title, block)
        elif block.kind == "toml":
            with Path(env["HOME"], ".config", "pdum-nvenc", "config.toml").open("a") as file:
                file.write(block.text)
        elif block.kind == "sh" and not {"setup", "by-hand"} & set(block.words):
            shown = run(block, folder, env)
        elif block.kind == "text":
            assert matches(block.text, shown), f"{page.name}:{block.line}: expected\n{block.text}got\n{shown}"
        yield block


def write(path: Path, block: Block) -> None:
    """A whole file, or with the word ``change`` lines in place of the most similar ones that are there."""
    if "change" not in block.words:
        path.write_text(block.text)
        return
    lines = path.read_text().splitlines(keepends=True)
    for new in block.text.splitlines(keepends=True):
        place = max(range(len(lines)), key=lambda at: common_beginning(lines[at], new))
        alike = common_beginning(lines[place], new) - (len(new) - len(new.lstrip()))
        assert alike > 4, f"no line of {path} is like {new}"
        lines[place] = new
    path.write_text("".join(lines))


def common_beginning(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def run(block: Block, folder: Path, env: Mapping[str, str]) -> str:
    """What the commands print. They have to succeed, unless the block says ``exits=N``."""
    expected = next((int(word.removeprefix("exits=")) for word in block.words if word.startswith("exits=")), 0)
    command = ["bash", "-c", SHELL + block.text]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == expected, f"line {block.line}: {done.stdout}{done.stderr}"
    return done.stdout


def matches(expected: str, shown: str) -> bool:
    """Line by line, with ``…`` for any text within a line, and a line of ``…`` alone for any lines."""
    pattern = "".join(_line(line) for line in expected.splitlines())
    return re.fullmatch(pattern, shown) is not None


def _line(line: str) -> str:
    if line.strip() == "…":
        return r"(?:.*\n)*?"
    return ".*?".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ ]*\n"
