"""The command `nvsim`: any program on the simulated driver."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .driver import Simulator, SimulatorError
from .location import variables
from .run import WRONG_USE, run
from .statuses import number_of

EXIT_CODES = """\
exit codes of `nvsim run`: the command's own; 99 if it was 0 and rules of the driver's interface were broken;
125 for wrong arguments, 126 if the command cannot be started, 127 if it is not there, 128+N if signal N ended it.
"""


class UsageError(Exception):
    """What the user asked for cannot be done."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command with these arguments, or those of this process, and returns its exit code."""
    given = parser().parse_args(arguments)
    try:
        code: int = given.action(given)
        sys.stdout.flush()
    except (UsageError, SimulatorError) as error:
        print(f"nvsim: {error}", file=sys.stderr)
        return WRONG_USE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


class Parser(argparse.ArgumentParser):
    """Wrong arguments have an exit code that no program of the user's has by accident."""

    def error(self, message: str) -> Any:
        self.print_usage(sys.stderr)
        self.exit(WRONG_USE, f"{self.prog}: {message}\n")


def parser() -> argparse.ArgumentParser:
    top = Parser(
        prog="nvsim",
        description="Runs programs on a simulated NVIDIA driver, on machines without a GPU.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    runs = commands.add_parser(
        "run", help="run a command: nvsim run -- ffmpeg …", epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_machine(runs)
    runs.add_argument("--report", type=Path, metavar="FILE", help="write what happened to this file, as JSON")
    runs.add_argument("--allow-violations", action="store_true", help="broken rules do not change the exit code")
    runs.add_argument("-q", "--quiet", action="store_true", help="say nothing unless a rule was broken")
    runs.add_argument("command", nargs=argparse.REMAINDER, help="the command and its arguments, after --")
    runs.set_defaults(action=run_command)
    shows = commands.add_parser("env", help="print the variables that make programs find the simulated driver")
    add_machine(shows)
    shows.add_argument("--shell", action="store_true", help='as commands of a shell: eval "$(nvsim env --shell)"')
    shows.set_defaults(action=print_environment)
    commands.add_parser("gpus", help="list the GPUs that --gpu knows").set_defaults(action=list_gpus)
    commands.add_parser("codecs", help="say which codecs are real here").set_defaults(action=list_codecs)
    return top


def add_machine(parser: argparse.ArgumentParser) -> None:
    machine = parser.add_argument_group("the machine")
    machine.add_argument("--gpu", action="append", metavar="NAME", help="a GPU; may be given several times (RTX 4090)")
    machine.add_argument("--engines", type=int, metavar="N", help="hardware encoders of each GPU")
    machine.add_argument("--sessions", type=int, metavar="N", help="sessions that may be open at a time")
    machine.add_argument("--max-api", metavar="VERSION", help="the newest NVENC interface of the driver, such as 12.1")
    machine.add_argument(
        "--backend", choices=["auto", "codec", "echo", "null"],
        help="what streams hold: real ones for codecs whose library is installed (auto), or for all (codec);"
        " a text that says what was encoded (echo); nothing (null)",
    )  # fmt: skip
    machine.add_argument("--config", metavar="JSON", help="more settings, as JSON or the name of a file with it")
    faults = parser.add_argument_group("failing on purpose")
    faults.add_argument(
        "--fail", action="append", default=[], metavar="CALL[:NTH[:STATUS]]",
        help="the NTH use of CALL (1; 0: each) answers STATUS (NV_ENC_ERR_GENERIC)",
    )  # fmt: skip
    faults.add_argument("--lose-device", type=int, metavar="FRAMES", help="the first GPU is lost after so many frames")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="append each call to this file as a line of JSON")


def configuration(given: argparse.Namespace) -> dict[str, Any]:
    """The configuration that the options describe, which the driver has accepted."""
    config = {"backend": "auto", **read_config(given.config)}
    gpus = given.gpu or config.get("gpus") or ["RTX 4090"]
    changes = {"engines": given.engines, "session_limit": given.sessions}
    changes = {key: value for key, value in changes.items() if value is not None}
    config["gpus"] = [changed(gpu, changes) for gpu in (gpus if isinstance(gpus, list) else [gpus])]
    for key, value in (("backend", given.backend), ("max_api", given.max_api)):
        if value is not None:
            config[key] = value
    if given.fail:
        config["faults"] = [*as_list(config.get("faults", [])), *map(fault, given.fail)]
    if given.lose_device is not None:
        loss = {"after_frames": given.lose_device, "device_lost": True}
        config["stall"] = [*as_list(config.get("stall", [])), *({**loss, "engine": engine} for engine in range(64))]
    if given.trace is not None:
        config["trace"] = str(given.trace.absolute())
    return config


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def changed(gpu: Any, changes: dict[str, int]) -> Any:
    if not changes:
        return gpu
    return {**({"name": gpu} if isinstance(gpu, str) else gpu), **changes}


def fault(text: str) -> dict[str, Any]:
    """CALL, CALL:NTH or CALL:NTH:STATUS."""
    call, _, rest = text.partition(":")
    nth, _, status = rest.partition(":")
    try:
        return {"call": call, "nth": int(nth or 1), "status": number_of(status or "NV_ENC_ERR_GENERIC")}
    except ValueError as error:
        raise UsageError(f"--fail {text}: expected CALL, CALL:NTH or CALL:NTH:STATUS ({error})") from None


def read_config(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        config = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"--config: expected JSON or the name of a file with it, got {text!r}: {error}") from None
    if not isinstance(config, dict):
        raise UsageError(f"--config: expected an object, got {config!r}")
    return config


def simulator() -> Simulator:
    """The driver in this process, which a configuration in the environment must not keep from starting."""
    os.environ.pop("NVSIM_CONFIG", None)
    return Simulator()


def accepted(config: dict[str, Any]) -> Simulator:
    """The driver in this process, after it has accepted the configuration."""
    driver = simulator()
    driver.configure(**config)
    for fault in as_list(config.get("faults", [])):
        try:
            driver.check_call(fault["call"])
        except ValueError as error:
            raise UsageError(f"--fail: {error}") from None
    return driver


def run_command(given: argparse.Namespace) -> int:
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    if not command:
        raise UsageError("expected a command to run: nvsim run -- ffmpeg …")
    config = configuration(given)
    if given.report is not None:
        try:
            given.report.touch()  # before hours of work
        except OSError as error:
            raise UsageError(f"--report {given.report}: {error.strerror}") from None
    driver = accepted(config)
    driver.configure()
    missing = driver.missing_codecs() if config["backend"] == "auto" else {}
    return run(command, config, given.report, quiet=given.quiet, lenient=given.allow_violations, missing=missing)


def print_environment(given: argparse.Namespace) -> int:
    config = configuration(given)
    accepted(config)
    for name, value in variables(config).items():
        print(f"export {name}={shlex.quote(value)}" if given.shell else f"{name}={value}")
    return 0


def list_gpus(_: argparse.Namespace) -> int:
    print(f"{'name':<24}{'encoders':>8}{'sessions':>10}  codecs")
    for name, gpu in simulator().catalogue().items():
        limit = gpu["session_limit"] or "no limit"
        print(f"{name:<24}{gpu['engines']:>8}{limit:>10}  {' '.join(gpu['codecs']) or '–'}")
    return 0


def list_codecs(_: argparse.Namespace) -> int:
    missing = simulator().missing_codecs()
    for codec in ("h264", "hevc", "av1"):
        print(f"{codec}: {'echo, ' + missing[codec] if codec in missing else 'real'}")
    return 0
