"""``pdum-nvenc selftest``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from .._selftest.probe import DIFFERENT, FAILED, Line
from .._selftest.questions import chosen
from .._selftest.report import page_of, report_of, write
from .._selftest.runner import Runner
from . import exits
from .standard_streams import complain


def selftest(arguments: argparse.Namespace) -> int:
    runner = Runner(arguments.gpu, arguments.seconds, _progress())
    outcome = runner.run(chosen(arguments.only))
    report = report_of(outcome)
    written = write(report, Path(arguments.folder))
    print(page_of(report))
    complain(f"Written: {', '.join(str(path) for path in written)}. Please read them before you send them.")
    if outcome.unusable is not None or outcome.card.get("no_encoder"):
        return exits.CANNOT
    bad = any(line.verdict in (DIFFERENT, FAILED) for line in outcome.lines.values())
    return exits.FAILED if bad else exits.DONE


def _progress() -> Callable[[Line], object]:
    """Shows each line as it comes, if there is a terminal."""
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda line: print(f"{line.theme}: {line.name}: {line.verdict}", file=sys.stderr, flush=True)
