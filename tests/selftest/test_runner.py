"""A driver that hangs or takes its process down costs one line, and the rest is asked by a new process."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pdum.nvenc._selftest.probe import Line
from pdum.nvenc._selftest.questions import BY_NAME
from pdum.nvenc._selftest.runner import Runner

NAMES = list(BY_NAME)[:4]

# Answers every question but one, with which it does something else.
CHILD = """
import json, os, sys, time
names = sys.stdin.read().split("\\n")
def tell(**event): print(json.dumps(event), flush=True)
tell(event="card", card={"name": "a card"})
for name in names:
    tell(event="asking", name=name)
    if name == BAD:
        ACTION
    theme, _, rest = name.partition(": ")
    line = dict.fromkeys(("question", "assumed", "source", "found"), "x") | {"theme": theme, "name": rest}
    tell(event="answer", name=name, line={**line, "verdict": "as assumed"}, recordings={})
"""


def run_with(tmp_path: Path, action: str) -> tuple[list[Line], dict[str, Line]]:
    program = tmp_path / "child.py"
    program.write_text(CHILD.replace("BAD", repr(NAMES[1])).replace("ACTION", action))
    told: list[Line] = []
    outcome = Runner(0, 60, told.append, command=(sys.executable, str(program))).run(NAMES)
    return told, outcome.lines


def test_a_process_that_dies_costs_one_line(tmp_path: Path) -> None:
    told, lines = run_with(tmp_path, "os.abort()")
    assert [lines[name].verdict for name in NAMES] == ["as assumed", "failed", "as assumed", "as assumed"]
    assert lines[NAMES[1]].found == "the process ended with -6"
    assert [line.name for line in told] == [name.partition(": ")[2] for name in NAMES]


def test_a_question_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BY_NAME, NAMES[1], replace(BY_NAME[NAMES[1]], seconds=0.5))
    _, lines = run_with(tmp_path, "time.sleep(600)")
    assert [lines[name].verdict for name in NAMES] == ["as assumed", "failed", "as assumed", "as assumed"]
    assert "no answer in time" in lines[NAMES[1]].found


def test_a_process_that_does_not_start_is_told(tmp_path: Path) -> None:
    outcome = Runner(0, 60, command=(sys.executable, "-c", "raise SystemExit(3)")).run(NAMES)
    assert outcome.unusable == "the process that asks did not start: the process ended with 3"
    assert {line.verdict for line in outcome.lines.values()} == {"not on this card"}
