"""Layers of settings: built-in, [defaults], a profile, the command line. Each overrides only what it sets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._config import toml
from .._config.settings import nearest
from .._config.values import LARGEST_CQ
from .._errors import InvalidConfig
from .._text import error_text
from .settings import RENAMED, BatchSettings, checked, default_of, help_of, names

BUILT_IN = "built-in"
COMMAND_LINE = "command line"
PROFILES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "screen": ("screen recordings: sharp text stays sharp", {"quality": 26, "gop": 600}),
    "gaming": ("game captures: fast action, many details", {"quality": 32, "preset": "p5"}),
    "archival": (
        "for keeping: slow, close to the source, all pictures checked",
        {"quality": 24, "preset": "p7", "verify": "full"},
    ),
    "fast": ("as fast as it gets", {"preset": "p1", "multipass": "off", "lookahead": 0, "bframes": 0, "quality": 30}),
    "small": ("small files, to watch once", {"quality": 36, "preset": "p7", "audio": 96_000}),
    "lossless": ("lossless; files may grow", {"lossless": True, "keep_bigger": True}),
}
"""The profiles of this package: a sentence, and the settings."""
TABLES = ("defaults", "profiles")
OLD_TABLE = "presets"
"""The earlier name of the table of profiles, which is still read."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Checked values with their origins. Fields of the encoder are named ``encoder.NAME``."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """Settings with the origin of each."""

    settings: BatchSettings
    origins: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """The tables of a configuration file. A file that does not exist has no tables."""

    path: Path
    defaults: Layer
    profiles: Mapping[str, Layer]
    exists: bool


def config_path() -> Path:
    """``$XDG_CONFIG_HOME/pdum-nvenc/config.toml``; a relative value is ignored, as the standard says."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(given) if os.path.isabs(given) else Path.home() / ".config"
    return base / "pdum-nvenc" / "config.toml"


def layer(values: Mapping[str, Any], origin: str | Mapping[str, str]) -> Layer:
    """A layer of these values, which it checks."""
    flat: dict[str, Any] = {}
    for given, value in values.items():
        name, right = RENAMED.get(given, given), checked(given, value)
        flat.update({f"encoder.{key}": one for key, one in right.items()} if name == "encoder" else {name: right})
    places = origin if isinstance(origin, str) else {RENAMED.get(name, name): place for name, place in origin.items()}
    where = {name: places if isinstance(places, str) else places.get(name, "") for name in flat}
    return Layer(values=flat, origins=where)


def read_config(path: Path | None = None) -> ConfigFile:
    """The file at ``path``, which has to exist, or else the one at ``config_path()``."""
    where = config_path() if path is None else path
    try:
        text = where.read_text(encoding="utf-8")
    except FileNotFoundError:
        if path is not None:
            raise InvalidConfig(f"The file {path} does not exist. `pdum-nvenc config init` writes one.") from None
        return ConfigFile(path=where, defaults=layer({}, ""), profiles={}, exists=False)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{where} cannot be read: {error_text(error)}.") from error
    return _parsed(text, where)


def _parsed(text: str, path: Path) -> ConfigFile:
    try:
        tables = toml.load(text)
    except InvalidConfig as error:
        raise InvalidConfig(f"{path}: {error}") from error
    lines = _lines_of_keys(text)
    for name in tables:
        if name not in (*TABLES, OLD_TABLE):
            raise _unknown(path, lines.get((name,)), f"Unknown table [{name}]", name, list(TABLES))
    defaults = _table(tables.get("defaults", {}), path, lines, ("defaults",))
    return ConfigFile(path=path, defaults=defaults, profiles=_profiles(tables, path, lines), exists=True)


def _profiles(tables: Mapping[str, Any], path: Path, lines: Mapping[tuple[str, ...], int]) -> dict[str, Layer]:
    found: dict[str, Layer] = {}
    for table in (OLD_TABLE, "profiles"):
        for name, values in _as_table(tables.get(table, {}), path, table).items():
            if name in found:
                both = f"[{OLD_TABLE}.{name}] and [profiles.{name}]"
                raise InvalidConfig(f"{_place(path, lines.get((OLD_TABLE, name)))}: {both} conflict. Remove the first.")
            found[name] = _table(values, path, lines, (table, name))
    return found


def _as_table(value: Any, path: Path, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidConfig(f"{path}: Expected a table for {name}, got {value!r}.")
    return value


def _table(value: Any, path: Path, lines: Mapping[tuple[str, ...], int], at: tuple[str, ...]) -> Layer:
    title = f"[{'.'.join(at)}]"
    values = _as_table(value, path, title)
    origins: dict[str, str] = {}
    for name, one in values.items():
        line = lines.get((*at, name))
        if RENAMED.get(name, name) not in names():
            raise _unknown(path, line, f"Unknown setting {name!r} in {title}", name, names())
        try:
            checked(name, one)
        except InvalidConfig as error:
            raise InvalidConfig(f"{_place(path, line)}: {error}") from error
        inner = [f"{name}.{key}" for key in one] if name == "encoder" else [name]
        for full in inner:
            found = lines.get((*at, *full.split(".")), line)
            origins[full] = f"{_place(path, found)} {title}"
    return layer(values, origins)


def _unknown(path: Path, line: int | None, what: str, name: str, known: list[str]) -> InvalidConfig:
    return InvalidConfig(f"{_place(path, line)}: {what}.{nearest(name, known)}")


def _place(path: Path, line: int | None) -> str:
    return str(path) if line is None else f"{path}:{line}"


def _lines_of_keys(text: str) -> dict[tuple[str, ...], int]:
    """The line of each key, for messages, since tomllib does not say. A message about a missed key has no line."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$", line)
        key = re.match(r"\s*([\w.\"'\s-]+?)\s*=", line)
        if header:
            table = _parts(header[1])
        parts = table if header else (*table, *_parts(key[1])) if key else ()
        for length in range(1, len(parts) + 1):
            found.setdefault(parts[:length], number)
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def profile_names(config: ConfigFile) -> list[str]:
    return list(dict.fromkeys([*PROFILES, *config.profiles]))


def profile_layers(config: ConfigFile, name: str) -> list[Layer]:
    """The package's profile of that name, then the file's, which may change a part of it."""
    if name not in profile_names(config):
        known = profile_names(config)
        near = nearest(name, known)
        raise InvalidConfig(f"Unknown profile {name!r}.{near} Expected one of {', '.join(known)}.")
    own = [layer(PROFILES[name][1], f"{BUILT_IN} profile {name}")] if name in PROFILES else []
    return own + ([config.profiles[name]] if name in config.profiles else [])


def resolve(
    config: ConfigFile, profile: str | None = None, given: Mapping[str, Any] | None = None, origin: str = COMMAND_LINE
) -> Resolved:
    """The settings of all layers together."""
    layers = [config.defaults, *(profile_layers(config, profile) if profile else ()), layer(given or {}, origin)]
    return merge(layers)


def merge(layers: Iterable[Layer]) -> Resolved:
    values = {name: default_of(name) for name in names() if name != "encoder"}
    origins = dict.fromkeys(values, BUILT_IN)
    encoder: dict[str, Any] = {}
    for one in layers:
        _require_one_quality(one)
        if {"quality", "cq"} & one.values.keys():
            values |= {name: default_of(name) for name in ("quality", "cq")}
            origins |= dict.fromkeys(("quality", "cq"), BUILT_IN)
        for name, value in one.values.items():
            if name.startswith("encoder."):
                encoder[name.removeprefix("encoder.")] = value
            else:
                values[name] = value
            origins[name] = one.origins[name]
    settings = BatchSettings(**values, encoder=encoder)
    _require_compatible(settings, origins)
    return Resolved(settings=settings, origins=origins)


def _require_compatible(settings: BatchSettings, origins: Mapping[str, str]) -> None:
    def conflict(one: str, other: str, advice: str) -> InvalidConfig:
        return InvalidConfig(f"{_where_set(one, origins)} and {_where_set(other, origins)} conflict. {advice}")

    if (
        settings.in_place
        and origins["destination"] not in (BUILT_IN, "")
        and origins["in_place"] == origins["destination"]
    ):
        raise conflict(
            "in_place", "destination", "Results either go to a folder or replace their sources. Leave one out."
        )
    if settings.lossless and settings.target:
        raise conflict("lossless", "target", "A lossless result already has the best quality. Leave one out.")
    for limit in ("max_size", "max_bitrate"):
        if settings.lossless and getattr(settings, limit):
            raise conflict("lossless", limit, "The size of a lossless result cannot be limited. Leave one out.")
    if settings.max_bitrate and "max_bitrate" in settings.encoder:
        raise conflict("max_bitrate", "encoder.max_bitrate", "Both set the same. Leave one out.")
    if settings.container == "mov" and settings.codec == "av1":
        raise conflict("container", "codec", ".mov files cannot hold AV1. Choose mp4 or mkv, or another codec.")
    if settings.right:
        for name, advice in _against_two_views(settings):
            raise conflict("right", name, advice)
    if settings.keeps_alpha:
        for name, advice in _against_alpha(settings):
            raise conflict("alpha" if settings.alpha else "encoder.alpha", name, advice)
    if settings.cq and settings.target:
        raise conflict("cq", "target", "A target finds the quality of each file. Leave one out.")
    most = LARGEST_CQ.get(settings.codec, min(LARGEST_CQ.values()))  # with "auto", any codec may come
    if settings.cq > most:
        raise InvalidConfig(f"Expected a cq up to {most:g} for codec={settings.codec!r}, got cq={settings.cq:g}.")


def _against_two_views(settings: BatchSettings) -> Iterator[tuple[str, str]]:
    """The settings that do not work with a video for the right eye, each with what to do."""
    if settings.codec not in ("auto", "hevc"):
        yield "codec", "Two views are a part of HEVC. Leave one out."
    if settings.container == "mkv":
        yield "container", "Matroska has no form for two views. Use mp4 or mov."
    if settings.in_place:
        yield "in_place", "There are two sources. Leave one out."
    for name in ("target", "max_size"):
        if getattr(settings, name):
            yield name, "Samples have one view. Use quality instead."
    if settings.cluster:
        yield "cluster", "Workers take single files. Use this machine."


def _against_alpha(settings: BatchSettings) -> Iterator[tuple[str, str]]:
    """The settings that do not work with transparency, each with what to do."""
    if settings.codec not in ("auto", "hevc"):
        yield "codec", "Alpha is a part of HEVC. Leave one out."
    if settings.container == "mkv":
        yield "container", "Players do not look for alpha in Matroska. Use mov or mp4."
    if settings.engine in ("software", "both"):
        yield "engine", "The processor's encoders do not keep transparency. Leave one out."
    if settings.right:
        yield "right", "Two views have no transparency. Leave one out."


def _require_one_quality(one: Layer) -> None:
    if one.values.get("cq") and "quality" in one.values:
        raise InvalidConfig(
            f"{_where_set('quality', one.origins)} and {_where_set('cq', one.origins)} conflict. The first looks the "
            "same with every codec, the second is the codec's own number. Leave one out."
        )


def _where_set(name: str, origins: Mapping[str, str]) -> str:
    """The option if the setting comes from the command line, else its name and its place."""
    if origins[name] == COMMAND_LINE:
        other = {"destination": "--output"}
        field = name.removeprefix("encoder.")
        return f"--set {field}" if field != name else other.get(name, f"--{name.replace('_', '-')}")
    return f"{name} ({origins[name]})"


def settings_table(resolved: Resolved) -> list[tuple[str, str, str]]:
    """The name, TOML value and origin of each setting."""
    settings = resolved.settings
    plain = [(name, getattr(settings, name)) for name in names() if name != "encoder"]
    plain += [(f"encoder.{name}", value) for name, value in settings.encoder.items()]
    return [(name, _as_toml(value), resolved.origins[name]) for name, value in plain]


def _as_toml(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return toml.dump({"_": plain}).removeprefix("_ = ").strip()


def commented_file() -> str:
    """A configuration file that sets nothing, with all settings in comments."""
    lines = [
        "# Settings of pdum-nvenc. Each layer overrides only what it sets:",
        "# built-in values, [defaults], [profiles.NAME] (-P NAME), the command line.",
        "# `pdum-nvenc config show` shows where each value comes from.",
        "",
        "[defaults]",
    ]
    for name in names():
        if name != "encoder":
            lines.append(f"# {name} = {_as_toml(default_of(name))}  # {help_of(name)}")
    lines += ["", "# Any other field of EncoderConfig (see its help):", "# [defaults.encoder]", "# bit_depth = 10"]
    for name, (sentence, values) in PROFILES.items():
        lines += ["", f"# {name}: {sentence}", f"# [profiles.{name}]"]
        lines += [f"# {key} = {_as_toml(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
