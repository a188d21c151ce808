"""``pdum-nvenc encode``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .._batch.batch import BatchPlan, plan, plan_one
from .._batch.ledger import ledger
from .._errors import InvalidConfig
from .._storage.address import is_address
from . import exits
from .confirmation import confirms_in_place
from .dry_run import dry_run
from .output import OutputOptions, RunOutput
from .result_file import take_named_result
from .running import run_batch
from .scanning import shown_scan
from .show_settings import resolved_settings
from .standard_streams import complain
from .stored import encode_stored, take_local_addresses, uses_storage
from .web_arguments import web_address


def encode(arguments: argparse.Namespace) -> int:
    require_dry_run(arguments)
    options = output_options(arguments)
    take_local_addresses(arguments)
    if uses_storage(arguments):
        return encode_stored(arguments, options)
    named = take_named_result(arguments)
    settings = resolved_settings(arguments).settings
    if is_address(settings.destination):  # of the configuration file
        return encode_stored(arguments, options)
    if named is None:
        # The lines of JSON of a dry run are no events.
        shown = None if arguments.dry_run and options.json else RunOutput.of(options)
        with shown_scan(shown) as progress:
            batch = plan([Path(path) for path in arguments.paths], settings, progress.update)
    else:
        batch = plan_one(named.source, named.result, settings)
    if not batch.decisions and not batch.troubles:
        complain(nothing(batch))
        return exits.NOTHING
    if arguments.dry_run:
        return dry_run(batch, options, estimates=arguments.estimate)
    if not arguments.yes and not confirms_in_place(batch):
        complain("Nothing was changed. --yes replaces files without asking.")
        return exits.INTERRUPTED
    with ledger(batch) as book:
        return run_batch(book, options)


def require_dry_run(arguments: argparse.Namespace) -> None:
    if arguments.estimate and not arguments.dry_run:
        raise InvalidConfig(
            "--estimate encodes nothing but samples. Use it with --dry-run: encode --dry-run --estimate."
        )


def output_options(arguments: argparse.Namespace) -> OutputOptions:
    tui, as_json = getattr(arguments, "tui", False), getattr(arguments, "json", False)
    if tui and as_json:
        raise InvalidConfig(
            "--tui and --json do not work together: one is for people, the other for programs. Leave one out."
        )
    web = web_address(arguments)
    if tui and web is not None:
        raise InvalidConfig("--tui and --web conflict: each is a dashboard. Leave one out.")
    if tui and not sys.stdout.isatty():
        raise InvalidConfig("--tui needs a terminal, but standard output is not one. Leave it out.")
    report = getattr(arguments, "report", None)
    if report is not None and not Path(report).absolute().parent.is_dir():
        raise InvalidConfig(f"The folder of --report {report} does not exist. Create it first.")
    return OutputOptions(
        json=as_json,
        tui=tui,
        web=web,
        quiet=getattr(arguments, "quiet", False),
        report=None if report is None else Path(report),
        log=getattr(arguments, "log", None),
        metrics=getattr(arguments, "metrics", None),
    )


def nothing(batch: BatchPlan) -> str:
    ignored = f" Other files ignored: {batch.ignored}." if batch.ignored else ""
    advice = "" if batch.settings.recursive else " -r includes subfolders."
    return f"No videos found at the given paths.{ignored}{advice}"
