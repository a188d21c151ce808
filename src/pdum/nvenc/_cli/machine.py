"""``pdum-nvenc doctor`` and ``gpus``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import Any

from .._machine.devices import Device, devices
from .._text import size
from . import exits
from .table import plain_lines, print_table, rich_table

TITLES = ("GPU", "name", "engines", "codecs", "sessions", "busy", "memory free", "driver")
SECONDS_BETWEEN_LOOKS = 1.0


def doctor(arguments: argparse.Namespace) -> int:  # noqa: ARG001
    from .._machine.doctor import doctor as look

    diagnosis = look()
    print(diagnosis)
    return exits.DONE if diagnosis.can_encode else exits.FAILED


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
    """Before interface 13.0 a driver does not say how many."""
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
