"""``pdum-nvenc doctor`` and ``gpus``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from .._batch.layers import read_config, resolve
from .._errors import InvalidConfig
from .._machine.devices import Device, devices
from .._machine.finding import MARKS, Finding
from .._text import size, visible
from . import exits
from .table import plain_lines, print_table, rich_table

TITLES = ("GPU", "name", "engines", "codecs", "sessions", "busy", "memory free", "driver")
SECONDS_BETWEEN_LOOKS = 1.0
MARK_STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}

if TYPE_CHECKING:
    from .._machine.doctor import Diagnosis


def doctor(arguments: argparse.Namespace) -> int:
    """Ends with 0 if ``encode`` can encode here with the engine that is asked for."""
    from .._machine.doctor import doctor as look

    found = look()
    diagnosis = replace(found, findings=(*found.findings, *_of_config()))
    if arguments.json:
        print(json.dumps(_as_json(diagnosis)))
    else:
        _print_page(diagnosis)
    can = {"auto": diagnosis.used is not None, "nvenc": diagnosis.can_encode}
    return exits.DONE if can.get(arguments.engine, diagnosis.can_encode_in_software) else exits.FAILED


def _of_config() -> Iterator[Finding]:
    try:
        found = read_config()
        resolve(found)
    except InvalidConfig as error:
        advice = "Correct that line, or remove the file."
        yield Finding(level="problem", topic="config", text=str(error), advice=advice)
        return
    if found.exists:
        yield Finding(level="ok", topic="config", text=f"The settings in {found.path} are valid.")


def _as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "used": diagnosis.used,
        "hardware": diagnosis.can_encode,
        "software": diagnosis.can_encode_in_software,
        "verdict": diagnosis.verdict,
        "findings": [asdict(one) for one in diagnosis.findings],
        "devices": [asdict(one) for one in diagnosis.devices],
    }


def _print_page(diagnosis: Diagnosis) -> None:
    """In colour on a terminal if rich is installed."""
    try:
        if not sys.stdout.isatty():
            raise ModuleNotFoundError
        from rich.console import Console
        from rich.text import Text
    except ModuleNotFoundError:
        print(diagnosis)
        return
    page = Text(visible_lines(str(diagnosis)))
    for level, mark in MARKS.items():
        page.highlight_regex(rf"(?m)^\[{mark}\]", MARK_STYLES[level])
    page.highlight_regex(r"(?m)^       -> .*$", "bold")
    Console(highlight=False).print(page, soft_wrap=True)


def visible_lines(text: str) -> str:
    return "\n".join(map(visible, text.splitlines()))


def gpus(arguments: argparse.Namespace) -> int:
    if arguments.watch:
        return _watch(arguments.json)
    found = devices()
    if arguments.json:
        print(json.dumps([asdict(one) for one in found]))
        return exits.DONE
    if not found:
        print("There is no NVIDIA GPU that this process may use. `pdum-nvenc doctor` says why.")
        return exits.DONE
    print_table(TITLES, rows_of(found))
    for one in found:
        if one.reason is not None:
            print(f"GPU {one.gpu_id}: {one.reason}")
    return exits.DONE


def rows_of(found: list[Device]) -> list[tuple[str, ...]]:
    return [
        (
            str(one.gpu_id),
            one.name,
            _engines(one),
            ", ".join(one.codecs) or "none",
            "?" if one.sessions is None else _sessions(one),
            "?" if one.encoder_utilisation is None else f"{one.encoder_utilisation} %",
            "?" if one.memory_free is None else f"{size(one.memory_free)} of {size(one.memory_total)}",
            one.driver_version or "?",
        )
        for one in found
    ]


def _engines(device: Device) -> str:
    """The number of engines. Drivers before interface 13.0 do not tell it."""
    return "none" if device.encoder_engines is None else str(device.encoder_engines or "1 or more")


def _sessions(device: Device) -> str:
    held = device.sessions or ()
    names = sorted({one.process or f"process {one.pid}" for one in held})
    return f"{len(held)}" + (f" ({', '.join(names)})" if names else "")


def _watch(as_json: bool) -> int:
    try:
        if as_json or not sys.stdout.isatty():
            _print_again_and_again(as_json)
        else:
            _draw_again_and_again()
    except KeyboardInterrupt:
        pass
    return exits.DONE


def _print_again_and_again(as_json: bool) -> None:
    while True:
        found = devices()
        text = json.dumps([asdict(one) for one in found]) if as_json else "\n".join(plain_lines(TITLES, rows_of(found)))
        print(text, flush=True)
        time.sleep(SECONDS_BETWEEN_LOOKS)


def _draw_again_and_again() -> None:
    from rich.live import Live

    def table() -> Any:
        return rich_table(TITLES, rows_of(devices()))

    with Live(table(), auto_refresh=False) as live:
        while True:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            live.update(table(), refresh=True)
