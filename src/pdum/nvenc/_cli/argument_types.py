"""Values of options, made of the words of the command line."""

from __future__ import annotations

import argparse

from .._batch.settings import checked
from .._errors import InvalidConfig
from .._storage.path_mapping import PathMapping
from .._web.address import Address


def strength(text: str) -> bool | int:
    known = {"on": True, "off": False}
    try:
        return bool(known[text]) if text in known else int(checked("spatial_aq", int(text)))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected on, off or a strength of 1 to 15, got {text!r}") from None


def seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to 86400, got {text!r}")
    return value


def gpu_number(text: str) -> int:
    if not text.isdecimal() or int(text) > 255:
        raise argparse.ArgumentTypeError(f"expected the number of a GPU, from 0, got {text!r}")
    return int(text)


def address(text: str) -> Address:
    try:
        return Address.of(text)
    except InvalidConfig as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def path_mapping(text: str) -> PathMapping:
    try:
        return PathMapping.of(text)
    except InvalidConfig as error:
        raise argparse.ArgumentTypeError(str(error)) from None
