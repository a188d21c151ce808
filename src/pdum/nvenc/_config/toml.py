"""TOML for configurations. The standard library reads it; the few lines that write flat tables are here."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from .._errors import InvalidConfig


def load(source: str | Path) -> dict[str, Any]:
    """The tables of a document's text, or of a file."""
    try:
        tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ModuleNotFoundError as error:
        raise InvalidConfig("Reading TOML on Python 3.10 needs the package tomli: pip install tomli.") from error
    text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
    try:
        tables: dict[str, Any] = tomllib.loads(text)
    except ValueError as error:
        raise InvalidConfig(f"The configuration is not valid TOML: {error}.") from error
    return tables


def dump(values: dict[str, Any]) -> str:
    """Keys with plain values first, then one table for each value that is a dict."""
    lines = [f"{key} = {_value(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for key, table in values.items():
        if isinstance(table, dict):
            lines += ["", f"[{key}]", dump(table).rstrip("\n")]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    # A JSON string is a TOML string, and numbers are written alike.
    return json.dumps(value, ensure_ascii=False)
