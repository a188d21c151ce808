"""The settings of a batch as arguments, and what several commands show and use."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from .._batch.layers import PROFILES
from .._batch.settings import CONTAINERS, checked, default_of, help_of
from .._config.filter_words import BARE, DEINTERLACE, DENOISE
from .._config.targets import Target
from .._errors import InvalidConfig
from .argument_errors import TARGETS, with_aliases
from .argument_types import address, strength
from .help import HelpfulParser
from .web_arguments import add_web_arguments

Group = Any  # argparse's own class of groups has no public name

ADVANCED = (
    *("container", "gpu", "segments", "include", "exclude", "keep_bigger", "smaller_than", "verify", "config"),
    *("multipass", "lookahead", "spatial_aq", "temporal_aq", "bframes", "adaptive_b", "gop", "encoder_fields"),
    *("max_bitrate", "log", "metrics", "web_address", "lossless", "cq", "fps", "crop", "deinterlace", "denoise"),
    *("trim", "rotate", "vf", "tls", "spool", "spool_limit", "right", "alpha"),
)
"""Settings that only the long help names."""


def _checking(name: str) -> Callable[[str], Any]:
    def check(text: str) -> Any:
        try:
            return checked(name, text)
        except InvalidConfig as error:
            advice = f" {text} is a profile: -P {text}." if name == "preset" and text in PROFILES else ""
            raise argparse.ArgumentTypeError(f"{error}{advice}") from None

    return check


def _score_of(option: str) -> Callable[[str], Any]:
    def check(text: str) -> Any:
        try:
            return Target.of(f"{TARGETS[option]}={text}", option.lstrip("-").replace("-", "_")).text
        except InvalidConfig as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return check


def add_option(group: Group, name: str, *flags: str, metavar: str = "") -> None:
    default = default_of(name)
    shown = "" if default in ("", 0) else f" (default: {default})"
    group.add_argument(
        *with_aliases(flags),
        dest=name,
        type=_checking(name),
        metavar=metavar or name.upper(),
        default=argparse.SUPPRESS,
        help=_escaped(help_of(name) + shown),
    )


def _switch(group: Group, name: str, *short: str) -> None:
    shown = " (default: yes)" if default_of(name) else ""
    group.add_argument(
        *with_aliases((*short, f"--{name.replace('_', '-')}")),
        dest=name,
        action=argparse.BooleanOptionalAction,
        default=argparse.SUPPRESS,
        help=_escaped(help_of(name) + shown),
    )


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def add_settings(parser: HelpfulParser) -> Group:
    """All settings of a batch, each with its flag. Returns the group of those about files and folders."""
    picture = parser.add_argument_group("picture and sound")
    add_option(picture, "codec", "-c", "--codec", metavar="CODEC")
    add_option(picture, "preset", "-p", "--preset", metavar="P1..P7")
    add_option(picture, "quality", "-q", "--quality", metavar="1..63")
    add_option(picture, "cq", "--cq", metavar="CQ")
    add_option(picture, "target", "--target", metavar="METRIC=N")
    for option in TARGETS:
        picture.add_argument(
            option, dest="target", type=_score_of(option), default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    add_option(picture, "max_size", "--max-size", metavar="SIZE")
    add_option(picture, "max_bitrate", "--max-bitrate", metavar="RATE")
    _switch(picture, "lossless")
    _switch(picture, "alpha")
    add_option(picture, "audio", "-a", "--audio", metavar="AUDIO")
    add_option(picture, "container", "--container", metavar=f"{{auto,{','.join(CONTAINERS)}}}")
    picture.add_argument(
        "-P", "--profile", metavar="NAME", help=f"a named set of settings: {', '.join(PROFILES)}, or your own"
    )
    _filters(parser.add_argument_group("filters"))
    parser.bare = {f"--{name}": (value, (*DEINTERLACE, *DENOISE)) for name, value in BARE.items()}
    placing = parser.add_argument_group("files")
    _placing(placing)
    machine = parser.add_argument_group("engines")
    add_option(machine, "engine", "--engine", metavar="ENGINE")
    add_option(machine, "gpu", "--gpu", metavar="N[,N]")
    add_option(machine, "engines", "-j", "--engines", metavar="N")
    add_option(machine, "segments", "--segments", metavar="N|auto")
    add_option(machine, "cluster", "--cluster", metavar="ADDRESS")
    add_option(machine, "tls", "--tls", metavar="FILE")
    _finer(parser.add_argument_group("details of the encoder"))
    parser.hide_in_short_help(ADVANCED)
    return placing


def _filters(group: Group) -> None:
    add_option(group, "scale", "--scale", metavar="SIZE")
    add_option(group, "fps", "--fps", metavar="RATE")
    add_option(group, "crop", "--crop", metavar="auto|W:H:X:Y")
    add_option(group, "deinterlace", "--deinterlace", metavar="auto|always")
    add_option(group, "denoise", "--denoise", metavar="light|medium|strong")
    add_option(group, "trim", "--trim", metavar="FROM-TO")
    add_option(group, "rotate", "--rotate", metavar="{90,180,270}")
    add_option(group, "vf", "--vf", metavar="FILTERS")


def _placing(group: Group) -> None:
    _switch(group, "recursive", "-r")
    for name in ("include", "exclude"):
        group.add_argument(
            f"--{name}", action="append", metavar="PATTERN", default=argparse.SUPPRESS, help=_escaped(help_of(name))
        )
    add_option(group, "destination", "-o", "--output", "--destination", metavar="FOLDER")
    add_option(group, "right", "--right", metavar="FILE")
    _switch(group, "in_place")
    _switch(group, "keep_bigger")
    add_option(group, "smaller_than", "--smaller-than", metavar="RATIO")
    _switch(group, "overwrite")
    add_option(group, "verify", "--verify", metavar="{structure,samples,full}")
    group.add_argument("--spool", metavar="FOLDER", help="where copies of sources at addresses go (extra: storage)")
    group.add_argument("--spool-limit", metavar="SIZE", default=0, help="how much of the disk they may take: 200G")


def _finer(group: Group) -> None:
    add_option(group, "multipass", "--multipass", metavar="{off,quarter,full}")
    add_option(group, "lookahead", "--lookahead", metavar="FRAMES")
    group.add_argument(
        "--spatial-aq", type=strength, metavar="{on,off,1..15}", default=argparse.SUPPRESS, help=help_of("spatial_aq")
    )
    _switch(group, "temporal_aq")
    add_option(group, "bframes", "--bframes", metavar="N")
    _switch(group, "adaptive_b")
    add_option(group, "gop", "--gop", metavar="FRAMES")
    group.add_argument(
        "--set",
        dest="encoder_fields",
        action="append",
        metavar="FIELD=VALUE",
        default=[],
        help="set any other field of EncoderConfig: --set bit_depth=10",
    )
    group.add_argument("--config", metavar="FILE", help="use this configuration file")


def add_showing(parser: HelpfulParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("-n", "--dry-run", action="store_true", help="show what would be done, and change nothing")
    group.add_argument("--estimate", action="store_true", help="with --dry-run: sizes and time, by encoding samples")
    group.add_argument("--tui", action="store_true", help="show a dashboard in the terminal (extra: tui)")
    add_web_arguments(group)
    group.add_argument("--json", action="store_true", help="print events as lines of JSON")
    add_log(group)
    group.add_argument("--report", metavar="FILE.html", help="write a page with charts at the end")
    group.add_argument("--quiet", action="store_true", help="print only errors")


def add_log(group: Group) -> None:
    group.add_argument("--log", metavar="FILE", help="append events to a file, as lines of JSON")
    group.add_argument("--metrics", type=address, metavar="[HOST:]PORT", help="serve figures to Prometheus")


def add_machine_options(parser: HelpfulParser) -> None:
    add_option(parser, "engine", "--engine", metavar="ENGINE")
    add_option(parser, "gpu", "--gpu", metavar="N[,N]")
    add_option(parser, "engines", "-j", "--engines", metavar="N")
