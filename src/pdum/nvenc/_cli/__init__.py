"""``pdum-nvenc``, the command-line tool. Nothing here encodes, and commands load what they need themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from .._errors import FolderBusy, InvalidConfig, NvencError
from .._view.guarded_stream import discard_output
from . import exits
from .standard_streams import complain, open_missing_streams

if TYPE_CHECKING:
    import argparse

    from .log_file import LogFile

COMMANDS = {
    "encode": "encode",
    "watch": "watch",
    "doctor": "machine",
    "gpus": "machine",
    "selftest": "selftest",
    "bench": "bench",
    "demo": "demo",
    "repair": "repair",
    "profiles": "show_settings",
    "config": "show_settings",
    "cluster": "cluster",
    "worker": "cluster",
    "completion": "completion",
    "schema": "schema",
}
"""The module of each command. It has a function of the command's name that takes the arguments and returns a code."""

EXTRAS = {
    "av": "files",
    "rich": "cli",
    "shtab": "cli",
    "textual": "tui",
    "textual_serve": "web",
    "aiohttp": "web",
    "matplotlib": "bench",
    "tomli": "cli",
    "distributed": "cluster",
    "cryptography": "cluster",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code."""
    open_missing_streams()
    try:
        code = _run(argv)
    except SystemExit as ended:  # argparse: help, or wrong arguments
        raise SystemExit(_flush(int(ended.code or 0))) from None
    return _flush(code)


def _run(argv: Sequence[str] | None) -> int:
    log: LogFile | None = None

    def command() -> int:
        from .parser import make_parser

        nonlocal log
        arguments = make_parser().parse_args(argv)
        if getattr(arguments, "log", None) is not None:
            from .log_file import LogFile

            log = arguments.log = LogFile(arguments.log, sys.argv[1:] if argv is None else argv)
        module = import_module(f".{COMMANDS[arguments.command]}", __name__)
        with _served_metrics(arguments):
            code: int = getattr(module, arguments.command)(arguments)
        return code

    code, why = _outcome(command)
    if why:
        complain(why)
    if log is not None:
        log.close(code, why)
    return code


@contextmanager
def _served_metrics(arguments: argparse.Namespace) -> Iterator[None]:
    """Serves figures in the block if the user wants that; the commands find the server in the arguments."""
    if getattr(arguments, "metrics", None) is None:
        yield
        return
    from .metrics import serve_metrics

    with serve_metrics(arguments.metrics) as arguments.metrics:
        yield


def _outcome(command: Callable[[], int]) -> tuple[int, str]:
    """The exit code, and why the command could not do its work, if it could not."""
    try:
        return command(), ""
    except BrokenPipeError:
        discard_output(sys.stdout)  # the reader, such as head, has enough
        return exits.DONE, ""
    except KeyboardInterrupt as signal:
        return getattr(signal, "code", exits.INTERRUPTED), "Interrupted."
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS:
            raise
        return exits.CANNOT, _missing(str(error.name))
    except FolderBusy as error:
        return exits.BUSY, str(error)
    except InvalidConfig as error:
        return exits.USAGE, str(error)
    except NvencError as error:
        return exits.CANNOT, str(error).replace('backend="software" encodes', "--engine software encodes")
    except OSError as error:
        return exits.CANNOT, f"{error.filename or 'The system'}: {error.strerror or error}."


def _flush(code: int) -> int:
    """Writes what is still buffered. A command whose output cannot be written has failed."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output(sys.stdout)
    except OSError as error:
        discard_output(sys.stdout)
        complain(f"Standard output cannot be written: {error.strerror or error}.")
        return code or exits.UNSHOWN
    return code


def _missing(module: str) -> str:
    package = module.partition(".")[0]
    extra = EXTRAS[package]
    return f"This command needs the Python package {package}: pip install 'pdum-nvenc[{extra}]'."
