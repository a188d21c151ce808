"""The name of one result: ``encode in.mkv out.mp4``, or ``encode in.mkv -o out.mp4``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .._batch.journal import Journal
from .._batch.scan import is_video_name
from .._batch.settings import CONTAINERS
from .._errors import InvalidConfig


@dataclass(frozen=True, kw_only=True)
class NamedResult:
    """One source, and the file that it becomes."""

    source: Path
    result: Path


def names_a_file(destination: str) -> bool:
    """Whether this is the name of a video and not that of a folder."""
    return is_video_name(destination) and not destination.endswith(os.sep) and not os.path.isdir(destination)


def take_named_result(arguments: argparse.Namespace) -> NamedResult | None:
    """Takes the name out of the arguments, and sets the container by it. None: results go to folders.

    Raises InvalidConfig for a name that does not work with the rest of the arguments.
    """
    paths, destination = arguments.paths, getattr(arguments, "destination", None)
    if destination is not None and names_a_file(destination):
        if len(paths) != 1 or os.path.isdir(paths[0]):
            raise InvalidConfig(
                f"--output {destination} names one file, but there are several inputs. Name a folder, or "
                f"{destination}{os.sep} for a folder of that name."
            )
        del arguments.destination
        return _named(arguments, paths[0], destination)
    if destination is None and len(paths) == 2 and _is_result_of(*paths):
        return _named(arguments, *paths)
    return None


def _is_result_of(source: str, result: str) -> bool:
    """Whether the second path is a new file, or what an earlier run made of the first one."""
    if not os.path.isfile(source) or not names_a_file(result):
        return False
    if not os.path.lexists(result):
        return True
    path = Path(os.path.abspath(result))
    maker = Journal.read(path.parent).maker_of(path.name)
    return maker is not None and os.path.normpath(path.parent / maker) == os.path.abspath(source)


def _named(arguments: argparse.Namespace, source: str, result: str) -> NamedResult:
    container = os.path.splitext(result)[1].lower().removeprefix(".")
    if container not in CONTAINERS:
        raise InvalidConfig(f"{result}: Expected a name that ends with {_either(CONTAINERS)}.")
    if getattr(arguments, "container", container) not in ("auto", container):
        raise InvalidConfig(f"--container {arguments.container} and {result} conflict. Leave out --container.")
    if getattr(arguments, "in_place", False):
        raise InvalidConfig(f"--in-place and {result} conflict. Leave one out.")
    path = Path(os.path.abspath(os.path.expanduser(result)))
    if path.exists() and os.path.exists(source) and path.samefile(source):
        raise InvalidConfig(f"{result} is the input itself. Name another file, or use --in-place.")
    if not path.parent.is_dir():
        raise InvalidConfig(f"The folder {path.parent} does not exist. Create it first.")
    arguments.container, arguments.in_place = container, False
    return NamedResult(source=Path(source), result=path)


def _either(names: Sequence[str]) -> str:
    *first, last = [f".{name}" for name in names]
    return f"{', '.join(first)} or {last}"
