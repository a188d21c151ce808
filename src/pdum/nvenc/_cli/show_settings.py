"""``pdum-nvenc config`` and ``profiles``; and what every command with settings does with its arguments."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from .._batch.layers import (
    PROFILES,
    ConfigFile,
    Resolved,
    commented_file,
    config_path,
    read_config,
    resolve,
    settings_table,
)
from .._batch.settings import names
from .._config import toml
from .._errors import InvalidConfig
from .._storage.address import is_address, local_path
from . import exits
from .result_file import names_a_file
from .table import print_table


def resolved_settings(arguments: argparse.Namespace) -> Resolved:
    """The layers: the configuration file's, the profile's, and what stands on the command line."""
    given: dict[str, Any] = {name: getattr(arguments, name) for name in names() if hasattr(arguments, name)}
    if "destination" in given:
        # A path on the command line is relative to here; a bare name in a file means a folder next to each source.
        folder = given["destination"]
        if not is_address(folder):
            folder = os.fspath(local_path(folder)) + os.sep * folder.endswith(os.sep)
            given["destination"] = os.path.abspath(os.path.expanduser(folder)) + os.sep * folder.endswith(os.sep)
        given.setdefault("in_place", False)
    if getattr(arguments, "encoder_fields", None):
        given["encoder"] = dict(map(_field, arguments.encoder_fields))
    resolved = resolve(_file(arguments), getattr(arguments, "profile", None), given)
    destination = resolved.settings.destination
    if names_a_file(destination):
        raise InvalidConfig(
            f"Expected a folder for results, got {destination} ({resolved.origins['destination']}), which is the name "
            f"of a video. Write {destination}{os.sep} if you mean a folder."
        )
    return resolved


def _file(arguments: argparse.Namespace) -> ConfigFile:
    path = getattr(arguments, "config", None)
    return read_config(None if path is None else Path(path))


def _field(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InvalidConfig(f"Expected FIELD=VALUE, such as bit_depth=10, got --set {text}.")
    try:
        return name, toml.load(f"value = {value}")["value"]
    except InvalidConfig:
        return name, value  # a name without quotes, which shells take off


def config(arguments: argparse.Namespace) -> int:
    if arguments.action == "path":
        print(config_path())
        return exits.DONE
    if arguments.action == "init":
        return _init(config_path() if arguments.config is None else Path(arguments.config), arguments.force)
    rows = settings_table(resolved_settings(arguments))
    print_table(("setting", "value", "from"), rows)
    return exits.DONE


def _init(path: Path, force: bool) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, "w" if force else "x", encoding="utf-8") as file:
            file.write(commented_file())
    except FileExistsError:
        raise InvalidConfig(f"{path} already exists; --force replaces it.") from None
    print(path)
    return exits.DONE


def profiles(arguments: argparse.Namespace) -> int:
    found = _file(arguments)
    rows = []
    for name in dict.fromkeys([*PROFILES, *found.profiles]):
        sentence, own = PROFILES.get(name, (f"from {found.path}", {}))
        values = {**own, **(found.profiles[name].values if name in found.profiles else {})}
        if name in PROFILES and name in found.profiles:
            sentence += f"; changed by {found.path}"
        rows.append((name, ", ".join(toml.dump({key: _plain(one)}).strip() for key, one in values.items()), sentence))
    print_table(("profile", "sets", "for"), rows)
    return exits.DONE


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
