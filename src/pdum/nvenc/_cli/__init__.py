"""``pdum-nvenc``, the command-line tool. Nothing here encodes, and commands load what they need themselves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from .._errors import FolderBusy, InvalidConfig, NvencError
from . import exits

COMMANDS = {
    "encode": "encode",
    "watch": "watch",
    "doctor": "machine",
    "gpus": "machine",
    "bench": "bench",
    "demo": "demo",
    "profiles": "show_settings",
    "config": "show_settings",
    "completion": "completion",
}
"""Which module has the command, as a function of the command's name that takes the arguments and returns a code."""

EXTRAS = {"av": "files", "rich": "cli", "shtab": "cli", "textual": "tui", "matplotlib": "bench", "tomli": "cli"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code."""
    from .parser import make_parser

    arguments = make_parser().parse_args(argv)
    try:
        module = import_module(f".{COMMANDS[arguments.command]}", __name__)
        code: int = getattr(module, arguments.command)(arguments)
    except BrokenPipeError:
        # Whoever read this has enough; what is still buffered goes nowhere rather than into another error.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115
        return exits.DONE
    except KeyboardInterrupt as signal:
        return _complain("Interrupted.", getattr(signal, "code", exits.INTERRUPTED))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS:
            raise
        return _complain(_missing(str(error.name)), exits.CANNOT)
    except FolderBusy as error:
        return _complain(str(error), exits.BUSY)
    except InvalidConfig as error:
        return _complain(str(error), exits.USAGE)
    except NvencError as error:
        return _complain(str(error), exits.CANNOT)
    except OSError as error:
        return _complain(f"{error.filename or 'The system'}: {error.strerror or error}.", exits.CANNOT)
    return code


def _missing(module: str) -> str:
    extra = EXTRAS[module.partition(".")[0]]
    return f"The Python package {module} is missing, which this command needs: pip install 'pdum-nvenc[{extra}]'."


def _complain(message: str, code: int) -> int:
    print(f"pdum-nvenc: {message}", file=sys.stderr)
    return code
