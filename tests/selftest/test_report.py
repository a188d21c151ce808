"""Nothing private is in a report, and the page says everything that the JSON says."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc._selftest import report as module
from pdum.nvenc._selftest.probe import NOT_HERE, Line
from pdum.nvenc._selftest.report import page_of, report_of, scrubbed
from pdum.nvenc._selftest.runner import Outcome
from selftest.conftest import Report, Run

PRIVATE = ("zebediah-smith", "/home/zebediah-smith", "tower-of-zebediah")


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ("cannot open /home/zebediah-smith/x.py", "cannot open (path)"),
        ("run by zebediah-smith on tower-of-zebediah", "run by (private) on (private)"),
        ("GPU-51000000-4e56-5349-4d00-800000000000 is lost", "GPU-(identifier) is lost"),
        ("pointer 0x7f001234abcd is unknown", "pointer (identifier) is unknown"),
        ("12 frames/s with H.264 and 1/2 of it", "12 frames/s with H.264 and 1/2 of it"),
        ("NVIDIA GeForce RTX 3060", "NVIDIA GeForce RTX 3060"),
    ],
)
def test_texts_lose_what_is_private_and_nothing_else(told: str, left: str) -> None:
    assert scrubbed(told, PRIVATE) == left
    assert scrubbed({"a": [told, 3]}, PRIVATE) == {"a": [left, 3]}


def line(**fields: Any) -> Line:
    known = dict.fromkeys(("theme", "name", "question", "assumed", "source", "found"), "memory")
    return Line(**{**known, "verdict": "different", **fields})


def test_whatever_a_question_found_is_scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "private_words", lambda: PRIVATE)
    found = line(found="by zebediah-smith", numbers={"at": "/home/zebediah-smith/a"})
    outcome = Outcome(
        lines={"memory: memory": found}, card={"no_encoder": "on tower-of-zebediah"}, unusable="/usr/lib/x"
    )
    text = str(report_of(outcome))
    assert "zebediah" not in text
    assert "/usr" not in text


def test_nothing_of_this_machine_is_in_a_report(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "zebediah-smith"
    home.mkdir()
    secret = "deadbeef" * 4
    gpu = {"name": "RTX 3060", "uuid": secret}
    faults = [{"call": "nvEncRegisterResource", "nth": 1, "status": 20}]
    report = run(
        {"gpus": [gpu], "faults": faults},
        "dumps",
        "memory",
        "outputs",
        HOME=str(home),
        USER="zebediah-smith",
        LOGNAME="zebediah-smith",
    )
    everything = report.text + report.page + report.shown
    words = {"zebediah", str(tmp_path), str(Path.home()), secret, secret.upper(), str(Path.cwd())}
    if len(socket.gethostname()) > 2:
        words.add(socket.gethostname())
    if getpass.getuser() not in ("root", "user"):
        words.add(getpass.getuser())
    assert {word for word in words if word in everything} == set()
    assert "deadbeef" not in everything


def test_the_page_has_every_line_with_its_verdict(rtx_3060: Report) -> None:
    for line_ in rtx_3060.lines.values():
        assert f"- {line_['name']}: **{line_['verdict']}**." in rtx_3060.page
    assert rtx_3060.page in rtx_3060.shown + "\n"


def test_one_reason_for_everything_is_on_the_page_once() -> None:
    """Not 160 times, if the machine has no driver."""
    reason = "There is no driver. Install it."
    outcome = Outcome(unusable=reason)
    names = ("plain", "pool", "odd")
    for name in names:
        found = "what it did" if name == "odd" else reason
        outcome.lines[name] = Line(
            theme="memory", name=name, question="Is it?", assumed="yes", source="a card", found=found, verdict=NOT_HERE
        )
    page = page_of(report_of(outcome))
    assert page.count("Install it.") == 1
    assert "- **not on this card**, for the reason above: plain, pool." in page
    assert "- odd: **not on this card**. what it did" in page


def test_a_page_of_nothing_can_be_made() -> None:
    assert "cannot encode" in page_of(report_of(Outcome(unusable="there is no driver")))
