"""``pdum-nvenc encode``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .._batch.batch import BatchPlan, ledger, plan
from .._errors import InvalidConfig
from . import exits
from .output import OutputOptions
from .running import dry_run, run_batch
from .show_settings import resolved_settings


def encode(arguments: argparse.Namespace) -> int:
    options = output_options(arguments)
    settings = resolved_settings(arguments).settings
    batch = plan([Path(path) for path in arguments.paths], settings)
    if arguments.dry_run:
        return dry_run(batch, options)
    if not batch.decisions and not batch.troubles:
        print(f"pdum-nvenc: {nothing(batch)}", file=sys.stderr)
        return exits.NOTHING
    with ledger(batch) as book:
        return run_batch(book, options)


def output_options(arguments: argparse.Namespace) -> OutputOptions:
    tui, as_json = getattr(arguments, "tui", False), getattr(arguments, "json", False)
    if tui and as_json:
        raise InvalidConfig(
            "--tui and --json do not work together: one is for people, the other for programs. Leave one out."
        )
    if tui and not sys.stdout.isatty():
        raise InvalidConfig("--tui needs a terminal, but standard output is not one. Leave it out.")
    report = getattr(arguments, "report", None)
    if report is not None and not Path(report).absolute().parent.is_dir():
        raise InvalidConfig(f"The folder of --report {report} does not exist. Create it first.")
    return OutputOptions(
        json=as_json,
        tui=tui,
        quiet=getattr(arguments, "quiet", False),
        report=None if report is None else Path(report),
    )


def nothing(batch: BatchPlan) -> str:
    ignored = f" Other files ignored: {batch.ignored}." if batch.ignored else ""
    advice = "" if batch.settings.recursive else " -r includes subfolders."
    return f"No videos found at the given paths.{ignored}{advice}"
