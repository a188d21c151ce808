"""The arguments of pdum-nvenc and its help."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from .._version import __version__
from .argument_types import gpu_number, path_mapping, seconds
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
from .settings_arguments import add_log, add_machine_options, add_option, add_settings, add_showing
from .web_arguments import add_web_arguments

Parser = HelpfulParser


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
    looks = {"text_markup": False, "help_markup": False, "group_name_formatter": str.capitalize}
    return type("Formatter", (RawDescriptionRichHelpFormatter,), looks)


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


def _encode(commands: Any) -> None:
    parser = _command(
        commands, "encode", "compresses files and folders", ENCODE_EXAMPLES, f"{MORE_EXAMPLES}\n{exit_codes()}"
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a video, or a folder of them")
    placing = add_settings(parser)
    placing.add_argument("-y", "--yes", action="store_true", help="replace sources in place without asking")
    add_showing(parser)


def _watch(commands: Any) -> None:
    epilog = (
        "examples:\n  pdum-nvenc watch ~/Recordings\n  pdum-nvenc watch -P gaming -o /mnt/small ~/Captures\n\n"
        "A file is encoded once it has stopped growing. If watch is started again, it continues where it stopped."
    )
    parser = _command(commands, "watch", "encodes new files in a folder until it is stopped", epilog)
    parser.add_argument("folder", metavar="FOLDER", help="the folder to watch")
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
    add_log(group)
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
    parser = _command(
        commands, "bench", "measures how fast this machine's encoders are, for each codec and preset", epilog
    )
    parser.add_argument(
        "-c", "--codecs", default="all", metavar="LIST", help="h264,hevc,av1 (default: all that the machine has)"
    )
    parser.add_argument("-p", "--presets", default="p1,p4,p7", metavar="LIST", help="p1 to p7 (default: p1,p4,p7)")
    parser.add_argument("--size", default="1920x1080", metavar="WxH", help="size of the pictures (default: 1920x1080)")
    parser.add_argument(
        "--frames", type=int, default=240, metavar="N", help="frames per engine and measurement (default: 240)"
    )
    parser.add_argument("--png", metavar="FILE.png", help="draw a chart too (extra: bench)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_machine_options(parser)


def _demo(commands: Any) -> None:
    parser = _command(commands, "demo", "makes short test clips and encodes them with what this machine has")
    parser.add_argument(
        "--folder", default="pdum-nvenc-demo", metavar="FOLDER", help="where the clips go (default: pdum-nvenc-demo)"
    )
    parser.add_argument("--clips", type=int, default=6, metavar="N", help="number of clips (default: 6)")
    parser.add_argument("--tui", action="store_true", help="with the dashboard")
    add_web_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print events as lines of JSON")
    add_log(parser)
    add_option(parser, "codec", "-c", "--codec", metavar="CODEC")
    add_machine_options(parser)


def _repair(commands: Any) -> None:
    epilog = (
        "examples:\n"
        "  pdum-nvenc repair .film.mp4.part.mp4              makes film.mp4\n"
        "  pdum-nvenc repair camera.mp4 camera-whole.mp4\n\n"
        "Until an .mp4 is complete it consists of fragments, so only the last two seconds are lost. Fragmented files\n"
        "of other programs can be repaired, too. A file without fragments, whose index was never written, cannot."
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


def _cluster(commands: Any) -> None:
    parser = _command(commands, "cluster", "starts the scheduler of a cluster, until Ctrl-C", CLUSTER_EXAMPLES)
    parser.add_argument(
        "--listen",
        default="127.0.0.1",
        metavar="HOST[:PORT]",
        help="an address of this machine to connect to, or 0.0.0.0 for all of them (default: 127.0.0.1:8786)",
    )
    parser.add_argument(
        "--tls", metavar="FILE", help="encrypt, and let in only programs with this file; made if it is missing"
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
        help="a folder of the jobs that has another path here: /mnt/videos=/srv/videos",
    )
    _worker_options(parser)


def _worker_options(parser: Parser) -> None:
    parser.add_argument("--name", default="", metavar="NAME", help="the name of this machine (default: its host name)")
    add_machine_options(parser)


def _profiles(commands: Any) -> None:
    parser = _command(commands, "profiles", "lists the profiles and what each of them sets")
    parser.add_argument("--config", metavar="FILE", help="use this configuration file")


def _config(commands: Any) -> None:
    parser = _command(commands, "config", "shows where settings come from, or writes a configuration file")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", title="actions")
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
