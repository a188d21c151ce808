"""The report: one JSON for programs and one page for people, with nothing private in either."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import platform
import re
import socket
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .._version import __version__
from .probe import AS_ASSUMED, DIFFERENT, FAILED, NOT_ASKED, NOT_HERE, Line
from .runner import Outcome

FORM = "pdum.nvenc selftest 1"
VERDICTS = (DIFFERENT, FAILED, AS_ASSUMED, NOT_HERE, NOT_ASKED)
LEGEND = {
    AS_ASSUMED: "the card does what this package and its tests take for granted",
    DIFFERENT: "it does not; this is what we want to learn",
    NOT_HERE: "the card or its driver cannot be asked this",
    NOT_ASKED: "something is missing here, or the time ran out",
    FAILED: "the question itself went wrong; this is worth reporting, too",
}
PATH = re.compile(r"(?<![\w/.])/(?:[\w.+@-]+/)+[\w.+@-]*")
IDENTIFIER = re.compile(r"\b[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\b|0x[0-9a-fA-F]{6,}")
WIDTH = 118


def report_of(outcome: Outcome) -> dict[str, Any]:
    """The report as plain values. Every text that the driver or an error wrote has lost what is private."""
    private = private_words()
    card = {key: scrubbed(value, private) for key, value in outcome.card.items() if key != "name"}
    return {
        "form": FORM,
        "package": __version__,
        "system": platform.system(),
        "python": platform.python_version(),
        "card": {"name": outcome.card.get("name"), "driver": None, **card},
        "unusable": scrubbed(outcome.unusable, private),
        "verdicts": {name: count for name in VERDICTS if (count := _counts(outcome.lines.values())[name])},
        "lines": [without_private(line, private) for line in outcome.lines.values()],
        "recordings": outcome.recordings,
    }


def without_private(line: Line, private: Iterable[str]) -> dict[str, Any]:
    return {**asdict(line), "found": scrubbed(line.found, private), "numbers": scrubbed(line.numbers, private)}


def private_words() -> tuple[str, ...]:
    """Names of this machine and its user, the longest first."""
    words = {str(Path.home()), socket.gethostname(), socket.gethostname().partition(".")[0], os.getcwd()}
    with contextlib.suppress(KeyError, OSError):  # a user without a name
        words.add(getpass.getuser())
    return tuple(sorted((word for word in words if len(word) > 2), key=len, reverse=True))


def scrubbed(value: Any, private: Iterable[str]) -> Any:
    """A text without private words, paths and identifiers; also inside lists and dictionaries."""
    if isinstance(value, dict):
        return {key: scrubbed(content, private) for key, content in value.items()}
    if isinstance(value, list):
        return [scrubbed(content, private) for content in value]
    if not isinstance(value, str):
        return value
    value = IDENTIFIER.sub("(identifier)", PATH.sub("(path)", value))
    for word in private:
        value = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", "(private)", value)
    return value


def _counts(lines: Iterable[Line]) -> Counter[str]:
    return Counter(line.verdict for line in lines)


# The page.


def page_of(report: dict[str, Any]) -> str:
    """The page for people: what is different first, then everything by theme."""
    card = report["card"]
    lines = report["lines"]
    parts = [
        f"# Self-test of {card['name'] or 'this machine'}",
        f"Driver {card['driver'] or 'unknown'}, interface {card.get('api', 'unknown')}, codecs "
        f"{', '.join(card.get('codecs', ())) or 'none'}, pdum.nvenc {report['package']}.",
    ]
    why_not = report["unusable"] or card.get("no_encoder")
    if why_not:
        parts.append(_wrapped(f"This machine cannot encode, so most questions could not be asked: {why_not}"))
    parts.append("\n".join(f"- {count} {name}: {LEGEND[name]}" for name, count in report["verdicts"].items()))
    noteworthy = [line for line in lines if line["verdict"] in (DIFFERENT, FAILED)]
    if noteworthy:
        parts.append("## What is worth reporting")
        parts += [_paragraph(line) for line in noteworthy]
    for theme in dict.fromkeys(line["theme"] for line in lines):
        parts.append(f"## {theme.capitalize()}")
        parts.append("\n".join(_entries([line for line in lines if line["theme"] == theme], why_not)))
    parts.append("The JSON beside this page holds all numbers, and the recordings of capabilities and presets.")
    return "\n\n".join(parts) + "\n"


def _paragraph(line: dict[str, Any]) -> str:
    rows = [
        f"**{line['theme']}: {line['name']}** ({line['verdict']}). {line['question']}",
        f"Found: {line['found']}. Assumed: {line['assumed']} ({line['source']}).",
    ]
    return "\n".join(_wrapped(row) for row in rows)


def _entries(lines: list[dict[str, Any]], why_not: str | None) -> list[str]:
    """A line each. Those with the reason that the page begins with are listed without it."""
    same = [line["name"] for line in lines if why_not and line["verdict"] == NOT_HERE and line["found"] == why_not]
    told = [f"- **{NOT_HERE}**, for the reason above: {', '.join(same)}."] if same else []
    return [_filled(one) for one in told] + [_entry(line) for line in lines if line["name"] not in same]


def _entry(line: dict[str, Any]) -> str:
    numbers = "; ".join(f"{name}: {_shown(value)}" for name, value in line["numbers"].items())
    text = f"- {line['name']}: **{line['verdict']}**. {line['found']}" + (f" ({numbers})" if numbers else "")
    return _filled(text)


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(content)}" for key, content in value.items())
    if isinstance(value, list):
        return " ".join(_shown(content) for content in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def write(report: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Writes both files into a folder; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    json_file, page = folder / "selftest.json", folder / "selftest.md"
    json_file.write_text(json.dumps(report, indent=1) + "\n")
    page.write_text(page_of(report))
    return json_file, page
