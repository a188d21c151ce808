"""Each command of pdum-nvenc on a page is one that the tool understands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdum.nvenc._cli.parser import make_parser
from snippets import PAGES, ROOT

pytestmark = pytest.mark.one_abi

ALSO = ("CONTRIBUTING.md", "CHANGELOG.md", "examples/farm/README.md")
TEXTS = [*PAGES, *(ROOT / name for name in ALSO if (ROOT / name).exists())]
BLOCK = re.compile(r"^ *```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
SHELL = ("", "sh", "ini", "yaml")
TOOL = re.compile(
    r"(?:^|[\s/&;(])(?:pdum-nvenc|\./run\.sh|python3? -m pdum\.nvenc)(?= (?:[a-z]|--))(?P<words> [^|>&;)]*)"
)
PLACEHOLDER = re.compile(r"…|\.\.\.|\bCOMMAND\b|\$")
"""What a page leaves to its reader: such a command is not whole."""


def commands_of(text: str) -> Iterator[list[str]]:
    """The arguments of the tool in blocks, and in code within sentences, which may leave out the last one."""
    for block in BLOCK.finditer(text):
        if block["language"] in SHELL:
            yield from _commands(block["code"].replace("\\\n", " "))
    for code in INLINE.findall(BLOCK.sub("", text)):
        for words in _commands(" ".join(code.split())):
            yield words if is_understood(words) else [*words, "F"]


def _commands(code: str) -> Iterator[list[str]]:
    for line in code.splitlines():
        found = TOOL.search(line)
        if found and not PLACEHOLDER.search(found["words"]):
            yield shlex.split(found["words"], comments=True)


def is_understood(words: list[str]) -> bool:
    try:
        make_parser().parse_args(words)
    except SystemExit as end:
        return end.code == 0  # the help
    return True


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_the_tool_understands_each_command(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [" ".join(words) for words in commands_of(page.read_text()) if not is_understood(words)]
    assert wrong == [], capsys.readouterr().err


def test_commands_are_found() -> None:
    found = [words for page in TEXTS for words in commands_of(page.read_text())]
    assert len(found) > 80
    known = {"encode", "watch", "doctor", "selftest", "cluster", "worker", "repair", "config"}
    assert known <= {words[0] for words in found}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```sh\npdum-nvenc encode -q 24 F   # one\n```", [["encode", "-q", "24", "F"]]),
        ("```\n$ pdum-nvenc encode --json Videos | jq .\n```", [["encode", "--json", "Videos"]]),
        ("```\npdum-nvenc encode \\\n  --vf 'a, b' F\n```", [["encode", "--vf", "a, b", "F"]]),
        ("Run `pdum-nvenc doctor\n--json` here, or `pdum-nvenc COMMAND --help`.", [["doctor", "--json"]]),
        ("```python\npdum-nvenc encode\n```\n`pdum-nvenc`", []),
    ],
)
def test_what_a_command_is(text: str, words: list[list[str]]) -> None:
    assert list(commands_of(text)) == words
