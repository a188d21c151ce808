"""``pdum-nvenc repair``: a playable file from what a killed recorder left."""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import asdict
from pathlib import Path

from .._errors import InvalidConfig
from .._mp4.repair import repair as repair_file
from . import exits


def repair(arguments: argparse.Namespace) -> int:
    part = Path(arguments.part)
    part.stat()  # a missing file is reported before its name is checked
    destination = Path(arguments.destination) if arguments.destination else _own_name(part)
    try:
        report = repair_file(part, destination, overwrite=arguments.overwrite)
    except FileExistsError:
        raise InvalidConfig(
            f"{destination} exists. Name another destination, or replace it with --overwrite."
        ) from None
    if arguments.json:
        print(json.dumps({**asdict(report), "destination": str(report.destination)}))
    else:
        print(report.text)
        if part != destination:
            print(f"{part} is unchanged. Remove it once you have checked the new file.")
    return exits.DONE


def _own_name(part: Path) -> Path:
    """The name that the file would have got: film.mp4 for ".film.mp4.part.mp4"."""
    name = part.name
    for end in (".part.mp4", ".part.m4v", ".part"):
        if name.lower().endswith(end):
            name = name[: -len(end)].removeprefix(".")
            if Path(name).suffix.lower() in (".mp4", ".m4v"):
                return part.with_name(name)
    command = f"pdum-nvenc repair {shlex.quote(str(part))} NEW.mp4"
    raise InvalidConfig(f"{part.name!r} does not contain the name of the new file. Add it: {command}")
