"""``pdum-nvenc``, the command-line tool. Nothing here encodes, and commands load what they need themselves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from .._errors import FolderBusy, InvalidConfig, NvencError
from .._view.guarded_stream import discard_output
from . import exits
from .standard_streams import complain, open_missing_streams

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
    "completion": "completion",
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
    try:
        from .parser import make_parser

        arguments = make_parser().parse_args(argv)
        module = import_module(f".{COMMANDS[arguments.command]}", __name__)
        code: int = getattr(module, arguments.command)(arguments)
    except BrokenPipeError:
        discard_output(sys.stdout)  # the reader, such as head, has enough
        return exits.DONE
    except KeyboardInterrupt as signal:
        return _fail("Interrupted.", getattr(signal, "code", exits.INTERRUPTED))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS:
            raise
        return _fail(_missing(str(error.name)), exits.CANNOT)
    except FolderBusy as error:
        return _fail(str(error), exits.BUSY)
    except InvalidConfig as error:
        return _fail(str(error), exits.USAGE)
    except NvencError as error:
        return _fail(str(error), exits.CANNOT)
    except OSError as error:
        return _fail(f"{error.filename or 'The system'}: {error.strerror or error}.", exits.CANNOT)
    return code


def _flush(code: int) -> int:
    """Writes what is still buffered. A command whose output cannot be written has failed."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output(sys.stdout)
    except OSError as error:
        discard_output(sys.stdout)
        return _fail(f"Standard output cannot be written: {error.strerror or error}.", code or exits.UNSHOWN)
    return code


def _missing(module: str) -> str:
    package = module.partition(".")[0]
    extra = EXTRAS[package]
    return f"This command needs the Python package {package}: pip install 'pdum-nvenc[{extra}]'."


def _fail(message: str, code: int) -> int:
    complain(message)
    return code
