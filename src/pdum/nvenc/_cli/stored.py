"""``pdum-nvenc encode`` with sources or results at a storage: ``encode s3://bucket/in -o s3://bucket/out``."""

from __future__ import annotations

import argparse
import json
import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .._batch.decisions import ENCODE, EXISTS
from .._batch.journalled_task import BrokenTask
from .._batch.scan import is_video_name
from .._batch.settings import CONTAINERS, BatchSettings
from .._batch.stored_batch import StoredBatch, StoredDecision, plan_stored
from .._errors import InvalidConfig, NvencError
from .._storage.address import Address, is_address, local_path
from .._storage.remote_file import look_for
from .._storage.settings import StorageSettings
from .._tasks import Task
from .._text import count, size, visible
from . import exits
from .interruption import interruptible
from .output import OutputOptions, RunOutput
from .running import TaskMaker, run_tasks, settled_pool
from .show_settings import resolved_settings
from .standard_streams import complain
from .table import print_table

ONE_SLASH = re.compile(r"(s3|s3a|sftp|ssh|https?|gs|gcs|az|abfs|file):/[^/]")


def take_local_addresses(arguments: argparse.Namespace) -> None:
    """Makes paths of file:///folder/film.mp4. Raises InvalidConfig for an address with one slash."""
    for one in (*arguments.paths, getattr(arguments, "destination", "")):
        if ONE_SLASH.match(one) and not os.path.lexists(one):
            raise InvalidConfig(f"Expected {one.replace(':/', '://', 1)}, with two slashes, got {one}.")
    arguments.paths = [_local_or_address(one) for one in arguments.paths]
    if hasattr(arguments, "destination"):
        arguments.destination = _local_or_address(arguments.destination)


def _local_or_address(given: str) -> str:
    return str(local_path(given)) + os.sep * given.endswith(os.sep) if given.startswith("file://") else given


def uses_storage(arguments: argparse.Namespace) -> bool:
    """Whether a source or the result is an address."""
    return any(is_address(one) for one in (*arguments.paths, getattr(arguments, "destination", "")))


def encode_stored(arguments: argparse.Namespace, options: OutputOptions) -> int:
    _require_supported(arguments)
    storage = StorageSettings(spool=arguments.spool, spool_limit=arguments.spool_limit)
    result = _take_named_result(arguments, storage)
    settings = resolved_settings(arguments).settings
    if settings.right:
        raise InvalidConfig(f"right={settings.right!r} works with local files only. Copy both videos here first.")
    _require_folder(settings, result)
    batch = plan_stored(arguments.paths, settings, storage, result)
    if not batch.decisions and not batch.troubles:
        advice = "" if settings.recursive else " -r includes subfolders."
        complain(f"No videos found at the given addresses. Other files ignored: {batch.ignored}.{advice}")
        return exits.NOTHING
    return _show(batch, options) if arguments.dry_run else _run(batch, options)


def _require_supported(arguments: argparse.Namespace) -> None:
    for name, option in (("in_place", "--in-place"), ("estimate", "--estimate")):
        if getattr(arguments, name, False):
            raise InvalidConfig(f"{option} works with local files only. Leave it out.")


def _take_named_result(arguments: argparse.Namespace, storage: StorageSettings) -> str | None:
    """The name of the only result, as ``-o`` or as the second path. It decides the container."""
    paths, destination = arguments.paths, getattr(arguments, "destination", None)
    if destination is not None and _names_a_file(destination):
        if len(paths) != 1:
            shown = Address(destination).shown if is_address(destination) else destination
            raise InvalidConfig(f"--output {shown} names one file, but there are several inputs. Name a folder.")
        del arguments.destination
        return _named(arguments, destination)
    if destination is None and len(paths) == 2 and _names_a_file(paths[1]) and not _exists(paths[1], storage):
        return _named(arguments, paths.pop())
    return None


def _names_a_file(given: str) -> bool:
    if is_address(given):
        return not Address(given).names_a_folder and is_video_name(Address(given).name)
    return is_video_name(given) and not given.endswith(os.sep) and not os.path.isdir(given)


def _exists(given: str, storage: StorageSettings) -> bool:
    return look_for(Address(given), storage) is not None if is_address(given) else os.path.lexists(given)


def _named(arguments: argparse.Namespace, result: str) -> str:
    container = (Address(result).suffix if is_address(result) else Path(result).suffix).lower().removeprefix(".")
    if container not in CONTAINERS:
        raise InvalidConfig(f"{result}: Expected a name that ends with .{', .'.join(CONTAINERS)}.")
    if getattr(arguments, "container", container) not in ("auto", container):
        raise InvalidConfig(f"--container {arguments.container} and {result} conflict. Leave out --container.")
    arguments.container = container
    return result


def _require_folder(settings: BatchSettings, result: str | None) -> None:
    if result is None and is_address(settings.destination) and _names_a_file(settings.destination):
        shown = Address(settings.destination).shown
        raise InvalidConfig(f"Expected a folder for results, got {shown}. Write {shown}/ if you mean a folder.")


# ---- what is done ----------------------------------------------------------------------------------------------------


def _run(batch: StoredBatch, options: OutputOptions) -> int:
    output = RunOutput.of(options)
    for message in _notices(batch):
        output.say(message)
    with ExitStack() as stack:
        interruption = stack.enter_context(interruptible(complain))
        if batch.with_action(ENCODE) or batch.troubles:
            with output.in_browsers():
                with settled_pool(batch.settings, output, lambda supported: [supported.sentence]) as (pool, make):
                    run_tasks(pool, _tasks(batch, make), output, interruption)
                output.summary()
    return interruption.code or (exits.FAILED if output.failed else exits.UNSHOWN if output.is_lost else exits.DONE)


def _notices(batch: StoredBatch) -> list[str]:
    there = batch.with_action(EXISTS)
    return [f"{count(len(there), 'file')} already done; skipped. --overwrite makes them again."] if there else []


def _tasks(batch: StoredBatch, make: TaskMaker) -> list[Task]:
    from .._files.stored_job import StoredJob
    from .._files.stored_task import StoredTask

    fields = make.of_any_job()
    jobs = [
        StoredJob(
            source=_given(one.source.place),
            destination=_given(one.destination),
            storage=batch.storage,
            source_bytes=one.source.size,
            **fields,
        )
        for one in batch.with_action(ENCODE)
    ]
    broken: list[Task] = [BrokenTask(source, NvencError(reason)) for source, reason in batch.troubles]
    return [*broken, *(StoredTask(job, make.kind) for job in jobs)]


def _given(place: Path | Address) -> str | Path:
    return place.text if isinstance(place, Address) else place


# ---- dry run ---------------------------------------------------------------------------------------------------------


def _show(batch: StoredBatch, options: OutputOptions) -> int:
    """What would be done. Sources are not opened, since that would copy them."""
    rows = [_row(one) for one in batch.decisions]
    rows += [{"source": source, "destination": "", "size": 0, "action": "fail", "why": why}
             for source, why in batch.troubles]  # fmt: skip
    if options.json:
        for row in rows:
            print(json.dumps(row), file=options.stream)
    else:
        table = [[visible(row["source"]), size(row["size"]), row["action"], visible(row["destination"]), row["why"]]
                 for row in rows]  # fmt: skip
        print_table(["source", "size", "", "result", ""], table)
    return exits.FAILED if batch.troubles else exits.DONE


def _row(decision: StoredDecision) -> dict[str, Any]:
    return {
        "source": str(decision.source.place),
        "destination": str(decision.destination),
        "size": decision.source.size,
        "action": decision.action,
        "why": decision.why,
    }
