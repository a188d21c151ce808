"""Runs a command on the simulated driver, and says what it did there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .location import variables
from .report import Report, read_report

BROKEN_RULES, WRONG_USE, CANNOT_START, NOT_THERE, BY_SIGNAL = 99, 125, 126, 127, 128


def run(
    command: Sequence[str],
    config: Mapping[str, Any],
    report_file: Path | None = None,
    *,
    quiet: bool = False,
    lenient: bool = False,
    missing: Mapping[str, str] | None = None,
) -> int:
    """Runs the command with this configuration and returns the exit code for it.

    `lenient`: broken rules do not change the code. `missing` names the codecs whose pictures are echoes.
    """
    with tempfile.TemporaryDirectory(prefix="nvsim-") as folder:
        path = Path(folder) / "report.jsonl"
        own = {**os.environ, **variables({**config, "report": str(path), "count": True})}
        code = code_of(command, own)
        report = read_report(path)
    if report.violations and code == 0 and not lenient:
        code = BROKEN_RULES
    if report_file is not None:
        report_file.write_text(json.dumps(summary(report, command, config, code), indent=2) + "\n")
    if report.violations or not quiet:
        for line in lines(report, missing or {}):
            print(f"nvsim: {line}", file=sys.stderr)
    return code


def code_of(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Runs the command to its end. Signals are for the command: this process only hands them on and waits."""
    try:
        child = subprocess.Popen(list(command), env=dict(env))
    except FileNotFoundError:
        print(f"nvsim: {command[0]}: no such command", file=sys.stderr)
        return NOT_THERE
    except OSError as error:
        print(f"nvsim: {command[0]} cannot be started: {error.strerror}", file=sys.stderr)
        return CANNOT_START
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the command, too
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: child.send_signal(received))
    code = child.wait()
    return BY_SIGNAL - code if code < 0 else code


def lines(report: Report, missing: Mapping[str, str]) -> list[str]:
    """What people are told at the end."""
    if not report.loaded:
        return [
            "the command never opened the simulated driver: nothing was tested."
            " Does it load libcuda.so.1 and libnvidia-encode.so.1, and by these names?"
        ]
    found = report.violations
    told = [f"{len(found)} {plural(len(found), 'rule')} broken" if found else "no rule broken"]
    for call, what in (("nvEncOpenEncodeSessionEx", "session"), ("nvEncEncodePicture", "call")):
        count = report.calls[call]
        told.append(f"{count} {plural(count, what)}" + (" of nvEncEncodePicture" if what == "call" else ""))
    sentences = [", ".join(told)]
    sentences += [f"  {violation}" for violation in found[:20]]
    sentences += [f"  … and {len(found) - 20} more"] if len(found) > 20 else []
    if report.live["sessions"]:
        count = report.live["sessions"]
        sentences.append(f"{count} {plural(count, 'session')} still open at the end of the process")
    if report.unheard:
        sentences.append(f"{len(report.unheard)} of {len(report.loaded)} processes ended without counting their calls")
    sentences += [f"{codec} pictures are echoes, no real streams: {reason}" for codec, reason in missing.items()]
    return sentences


def plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def summary(report: Report, command: Sequence[str], config: Mapping[str, Any], code: int) -> dict[str, Any]:
    return {
        "command": list(command),
        "exit_code": code,
        "config": dict(config),
        "processes": len(report.loaded),
        "violations": [vars(violation) for violation in report.violations],
        "calls": dict(sorted(report.calls.items())),
        "live": dict(report.live),
    }
