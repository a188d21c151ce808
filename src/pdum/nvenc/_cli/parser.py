"""The arguments of pdum-nvenc and its help."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from .._batch.layers import PROFILES
from .._batch.settings import CONTAINERS, checked, default_of, help_of
from .._config.filter_words import BARE, DEINTERLACE, DENOISE
from .._config.targets import Target
from .._errors import InvalidConfig
from .._version import __version__
from .argument_errors import TARGETS, with_aliases
from .argument_types import address, gpu_number, path_mapping, seconds, strength
from .help import HELP_ALL, HelpfulParser
from .help_texts import (
    CLUSTER_EXAMPLES,
    ENCODE_EXAMPLES,
    MAIN_EXAMPLES,
    MORE_EXAMPLES,
    WORKER_EXAMPLES,
    exit_codes,
    files,
)
from .web_arguments import add_web_arguments

Parser = HelpfulParser
Group = Any  # argparse's own class of groups has no public name

ADVANCED = (
    *("container", "gpu", "segments", "include", "exclude", "keep_bigger", "smaller_than", "verify", "config"),
    *("multipass", "lookahead", "spatial_aq", "temporal_aq", "bframes", "adaptive_b", "gop", "encoder_fields"),
    *("max_bitrate", "log", "metrics", "web_address", "lossless", "cq", "fps", "crop", "deinterlace", "denoise"),
    *("trim", "rotate", "vf", "tls", "spool", "spool_limit"),
)
"""Settings that only the long help names."""


def make_parser() -> Parser:
    parser = Parser(
        prog="pdum-nvenc",
        description="Compresses folders of video with every hardware encoder of the machine, or with its processor.",
        epilog=MAIN_EXAMPLES,
        more=f"{exit_codes()}\n{files()}",
        formatter_class=_formatter(),
    )
    parser.add_argument("-V", "--version", "-v", action="version", version=f"pdum-nvenc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    encoding, machine = (_encode, _watch, _demo, _repair), (_doctor, _gpus, _selftest, _bench)
    for add in (*encoding, *machine, _cluster, _worker, _profiles, _config, _completion, _schema):
        add(commands)
    return parser


def _formatter() -> Any:
    """Help in colour if rich is installed, like all output of the tool. It is loaded only to print help."""
    if not {"-h", "--help", HELP_ALL} & set(sys.argv):
        return argparse.RawDescriptionHelpFormatter
    try:
        from rich_argparse import RawDescriptionRichHelpFormatter
    except ModuleNotFoundError:
        return argparse.RawDescriptionHelpFormatter
    return type("Formatter", (RawDescriptionRichHelpFormatter,), {"text_markup": False, "help_markup": False})


def _command(commands: Any, name: str, summary: str, epilog: str = "", more: str = "") -> Parser:
    parser: Parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=epilog,
        more=more,
        formatter_class=_formatter(),
    )
    return parser


# ---- settings as options -------------------------------------------------------------------------------------------


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


def _option(group: Group, name: str, *flags: str, metavar: str = "") -> None:
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


def add_settings(parser: Parser) -> Group:
    """All settings of a batch, each with its flag. Returns the group of those about files and folders."""
    picture = parser.add_argument_group("picture and sound")
    _option(picture, "codec", "-c", "--codec", metavar="CODEC")
    _option(picture, "preset", "-p", "--preset", metavar="P1..P7")
    _option(picture, "quality", "-q", "--quality", metavar="1..63")
    _option(picture, "cq", "--cq", metavar="CQ")
    _option(picture, "target", "--target", metavar="METRIC=N")
    for option in TARGETS:
        picture.add_argument(
            option, dest="target", type=_score_of(option), default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    _option(picture, "max_size", "--max-size", metavar="SIZE")
    _option(picture, "max_bitrate", "--max-bitrate", metavar="RATE")
    _switch(picture, "lossless")
    _option(picture, "audio", "-a", "--audio", metavar="AUDIO")
    _option(picture, "container", "--container", metavar=f"{{auto,{','.join(CONTAINERS)}}}")
    picture.add_argument(
        "-P", "--profile", metavar="NAME", help=f"a named set of settings: {', '.join(PROFILES)}, or your own"
    )
    _filters(parser.add_argument_group("filters"))
    parser.bare = {f"--{name}": (value, (*DEINTERLACE, *DENOISE)) for name, value in BARE.items()}
    placing = parser.add_argument_group("files")
    _placing(placing)
    machine = parser.add_argument_group("engines")
    _option(machine, "engine", "--engine", metavar="ENGINE")
    _option(machine, "gpu", "--gpu", metavar="N[,N]")
    _option(machine, "engines", "-j", "--engines", metavar="N")
    _option(machine, "segments", "--segments", metavar="N|auto")
    _option(machine, "cluster", "--cluster", metavar="ADDRESS")
    _option(machine, "tls", "--tls", metavar="FILE")
    _finer(parser.add_argument_group("details of the encoder"))
    parser.hide_in_short_help(ADVANCED)
    return placing


def _filters(group: Group) -> None:
    _option(group, "scale", "--scale", metavar="SIZE")
    _option(group, "fps", "--fps", metavar="RATE")
    _option(group, "crop", "--crop", metavar="auto|W:H:X:Y")
    _option(group, "deinterlace", "--deinterlace", metavar="auto|always")
    _option(group, "denoise", "--denoise", metavar="light|medium|strong")
    _option(group, "trim", "--trim", metavar="FROM-TO")
    _option(group, "rotate", "--rotate", metavar="{90,180,270}")
    _option(group, "vf", "--vf", metavar="FILTERS")


def _placing(group: Group) -> None:
    _switch(group, "recursive", "-r")
    for name in ("include", "exclude"):
        group.add_argument(
            f"--{name}", action="append", metavar="PATTERN", default=argparse.SUPPRESS, help=_escaped(help_of(name))
        )
    _option(group, "destination", "-o", "--output", "--destination", metavar="FOLDER")
    _switch(group, "in_place")
    _switch(group, "keep_bigger")
    _option(group, "smaller_than", "--smaller-than", metavar="RATIO")
    _switch(group, "overwrite")
    _option(group, "verify", "--verify", metavar="{structure,samples,full}")
    group.add_argument("--spool", metavar="FOLDER", help="where copies of sources at addresses go (extra: storage)")
    group.add_argument("--spool-limit", metavar="SIZE", default=0, help="how much of the disk they may take: 200G")


def _finer(group: Group) -> None:
    _option(group, "multipass", "--multipass", metavar="{off,quarter,full}")
    _option(group, "lookahead", "--lookahead", metavar="FRAMES")
    group.add_argument(
        "--spatial-aq", type=strength, metavar="{on,off,1..15}", default=argparse.SUPPRESS, help=help_of("spatial_aq")
    )
    _switch(group, "temporal_aq")
    _option(group, "bframes", "--bframes", metavar="N")
    _switch(group, "adaptive_b")
    _option(group, "gop", "--gop", metavar="FRAMES")
    group.add_argument(
        "--set",
        dest="encoder_fields",
        action="append",
        metavar="FIELD=VALUE",
        default=[],
        help="set any other field of EncoderConfig: --set bit_depth=10",
    )
    group.add_argument("--config", metavar="FILE", help="use this configuration file")


def _showing(parser: Parser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("-n", "--dry-run", action="store_true", help="show what would be done, and change nothing")
    group.add_argument("--estimate", action="store_true", help="with --dry-run: sizes and time, by encoding samples")
    group.add_argument("--tui", action="store_true", help="show a dashboard in the terminal (extra: tui)")
    add_web_arguments(group)
    group.add_argument("--json", action="store_true", help="print events as lines of JSON")
    _log(group)
    group.add_argument("--report", metavar="FILE.html", help="write a page with charts at the end")
    group.add_argument("--quiet", action="store_true", help="print only errors")


def _log(group: Group) -> None:
    group.add_argument("--log", metavar="FILE", help="append events to a file, as lines of JSON")
    group.add_argument("--metrics", type=address, metavar="[HOST:]PORT", help="serve figures to Prometheus")


# ---- the commands --------------------------------------------------------------------------------------------------


def _encode(commands: Any) -> None:
    parser = _command(
        commands, "encode", "compresses files and folders", ENCODE_EXAMPLES, f"{MORE_EXAMPLES}\n{exit_codes()}"
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a video, or a folder of them")
    placing = add_settings(parser)
    placing.add_argument("-y", "--yes", action="store_true", help="replace sources in place without asking")
    _showing(parser)


def _watch(commands: Any) -> None:
    epilog = (
        "examples:\n  pdum-nvenc watch ~/Recordings\n  pdum-nvenc watch -P gaming -o /mnt/small ~/Captures\n\n"
        "A file is encoded once it has stopped growing. If watch is started again, it continues where it stopped."
    )
    parser = _command(commands, "watch", "encodes new files in a folder until it is stopped", epilog)
    parser.add_argument("folder", metavar="FOLDER")
    add_settings(parser)
    group = parser.add_argument_group("watching")
    group.add_argument("--every", type=seconds, default=2.0, metavar="SECONDS", help="how often to look (default: 2)")
    group.add_argument(
        "--settle",
        type=seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long a file must stay unchanged (default: 10)",
    )
    group.add_argument("--once", action="store_true", help="stop when nothing is left to do")
    group.add_argument("--json", action="store_true", help="print events as lines of JSON")
    _log(group)
    group.add_argument("--quiet", action="store_true", help="print only errors")


def _doctor(commands: Any) -> None:
    parser = _command(commands, "doctor", "checks this machine: what works, what does not, and what to do")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--engine",
        choices=("auto", "nvenc", "software"),
        default="auto",
        help="the engine that must work for exit code 0 (default: auto, as for encode)",
    )


def _gpus(commands: Any) -> None:
    parser = _command(commands, "gpus", "lists GPUs, their encoders, codecs, sessions and utilisation")
    parser.add_argument("--watch", action="store_true", help="update until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _selftest(commands: Any) -> None:
    epilog = (
        "examples:\n  pdum-nvenc selftest\n  pdum-nvenc selftest --gpu 1 -o report\n\n"
        "Close other programs that encode first. It takes under five minutes, opens all sessions that the driver\n"
        "allows for a moment, and writes selftest.json and selftest.md. Neither holds names of machines or users,\n"
        "paths or serial numbers. docs/selftest.md says where to send them."
    )
    summary = "asks this machine's encoder what only real hardware can tell, and writes a report"
    parser = _command(commands, "selftest", summary, epilog)
    parser.add_argument("--gpu", type=gpu_number, default=0, metavar="N", help="which GPU (default: 0)")
    parser.add_argument(
        "-o", "--output", dest="folder", default=".", metavar="FOLDER", help="where the report goes (default: here)"
    )
    parser.add_argument(
        "--seconds", type=seconds, default=270.0, metavar="SECONDS", help="stop asking after this time (default: 270)"
    )
    parser.add_argument(
        "--only",
        action="extend",
        nargs="+",
        default=[],
        metavar="THEME",
        help="ask only about these themes, such as memory",
    )


def _bench(commands: Any) -> None:
    epilog = "examples:\n  pdum-nvenc bench\n  pdum-nvenc bench -c hevc -p p1,p4,p7 --size 3840x2160 --png speed.png"
    parser = _command(commands, "bench", "measures what this machine's encoders reach, per codec and preset", epilog)
    parser.add_argument(
        "-c", "--codecs", default="all", metavar="LIST", help="h264,hevc,av1 (default: all that the machine has)"
    )
    parser.add_argument("-p", "--presets", default="p1,p4,p7", metavar="LIST", help="(default: p1,p4,p7)")
    parser.add_argument("--size", default="1920x1080", metavar="WxH", help="size of the pictures (default: 1920x1080)")
    parser.add_argument(
        "--frames", type=int, default=240, metavar="N", help="frames per engine and measurement (default: 240)"
    )
    parser.add_argument("--png", metavar="FILE.png", help="draw a chart too (extra: bench)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _machine_options(parser)


def _demo(commands: Any) -> None:
    parser = _command(commands, "demo", "makes short test clips and encodes them with what this machine has")
    parser.add_argument("--folder", default="pdum-nvenc-demo", metavar="FOLDER", help="(default: pdum-nvenc-demo)")
    parser.add_argument("--clips", type=int, default=6, metavar="N", help="number of clips (default: 6)")
    parser.add_argument("--tui", action="store_true", help="with the dashboard")
    add_web_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print events as lines of JSON")
    _log(parser)
    _option(parser, "codec", "-c", "--codec", metavar="CODEC")
    _machine_options(parser)


def _repair(commands: Any) -> None:
    epilog = (
        "examples:\n"
        "  pdum-nvenc repair .film.mp4.part.mp4              makes film.mp4\n"
        "  pdum-nvenc repair camera.mp4 camera-whole.mp4\n\n"
        "Until an .mp4 is complete it consists of fragments, so nothing is lost but the last two seconds. Files that\n"
        "other programs write in fragments can be repaired too. A file whose index was to come at the end, and never\n"
        "did, cannot."
    )
    parser = _command(commands, "repair", "makes a complete MP4 file from what a killed recorder left", epilog)
    parser.add_argument("part", metavar="FILE", help="what was left; it is not changed")
    parser.add_argument(
        "destination",
        nargs="?",
        metavar="NEW.mp4",
        help="the new file (default: the name that the recording would have got)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the new file if it exists")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def _machine_options(parser: Parser) -> None:
    _option(parser, "engine", "--engine", metavar="ENGINE")
    _option(parser, "gpu", "--gpu", metavar="N[,N]")
    _option(parser, "engines", "-j", "--engines", metavar="N")


def _cluster(commands: Any) -> None:
    parser = _command(commands, "cluster", "starts the scheduler of a cluster, until Ctrl-C", CLUSTER_EXAMPLES)
    parser.add_argument(
        "--listen",
        default="127.0.0.1",
        metavar="HOST[:PORT]",
        help="an address of this machine to connect to, or 0.0.0.0 for all of them (default: 127.0.0.1:8786)",
    )
    parser.add_argument(
        "--tls", metavar="FILE", help="encrypt, and let in only who has this file; made if it is missing"
    )
    parser.add_argument("--local", action="store_true", help="with this machine's engines as workers, to try it out")
    parser.add_argument(
        "--dashboard", metavar="HOST:PORT", help="Dask's pages and figures for Prometheus, such as 127.0.0.1:8787"
    )
    _worker_options(parser)


def _worker(commands: Any) -> None:
    parser = _command(commands, "worker", "lets a cluster use this machine's engines, until Ctrl-C", WORKER_EXAMPLES)
    parser.add_argument("address", metavar="ADDRESS", help="the scheduler: tcp://head:8786, or head")
    parser.add_argument("--tls", metavar="FILE", help="the file that the scheduler was given with --tls")
    parser.add_argument(
        "--map-path",
        dest="map_paths",
        action="append",
        type=path_mapping,
        default=[],
        metavar="THERE=HERE",
        help="a folder has another path here than where the jobs are given: /mnt/videos=/srv/videos",
    )
    _worker_options(parser)


def _worker_options(parser: Parser) -> None:
    parser.add_argument("--name", default="", metavar="NAME", help="the name of this machine (default: its host name)")
    _machine_options(parser)


def _profiles(commands: Any) -> None:
    parser = _command(commands, "profiles", "lists the profiles and what each of them sets")
    parser.add_argument("--config", metavar="FILE", help="use this configuration file")


def _config(commands: Any) -> None:
    parser = _command(commands, "config", "shows where settings come from, or writes a configuration file")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    init = _command(actions, "init", "writes a commented configuration file")
    init.add_argument("--force", action="store_true", help="replace the existing file")
    init.add_argument("--config", metavar="FILE", help="write this file instead of the usual one")
    _command(actions, "path", "prints where the configuration file is expected")
    show = _command(actions, "show", "prints each setting with its value and where it comes from")
    add_settings(show)


def _completion(commands: Any) -> None:
    epilog = (
        "examples:\n"
        "  pdum-nvenc completion bash > ~/.local/share/bash-completion/completions/pdum-nvenc\n"
        "  pdum-nvenc completion zsh > ~/.zfunc/_pdum-nvenc\n"
        "  pdum-nvenc completion fish > ~/.config/fish/completions/pdum-nvenc.fish"
    )
    parser = _command(commands, "completion", "prints a script that completes arguments in a shell", epilog)
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def _schema(commands: Any) -> None:
    epilog = (
        "examples:\n"
        "  pdum-nvenc schema > events.schema.json\n"
        "  pdum-nvenc encode --json Videos | jq -c 'select(.event == \"job_finished\")'\n\n"
        "docs/events.md describes the events."
    )
    _command(commands, "schema", "prints the JSON Schema of the events of --json and --log", epilog)
