"""The first module of the command ``pdum-nvenc``. It is small, so that Ctrl-C works from the beginning.

Importing ``pdum.nvenc`` takes some hundredths of a second, in which Ctrl-C would print a traceback. This module lies
beside that package, because Python imports a package before anything that is in it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # importing `typing` for it would take a while
if TYPE_CHECKING:
    from collections.abc import Callable

INTERRUPTED = 130
NOT_OURS = (
    "Expected the package pdum.nvenc of pdum-nvenc, but Python finds another one ({error}). habemus-papadum-nvenc has"
    " the same folder: uninstall both, then install the one that you want again."
)


def main() -> int:
    """Runs the tool with the arguments of this process, and returns its exit code."""
    try:
        import signal

        is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # it may be ignored, and stays so
        if is_default:
            signal.signal(signal.SIGINT, _end)
        run = _tool()
        if is_default:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:
        _say()
        return INTERRUPTED


def _tool() -> Callable[[], int]:
    """The tool itself. Another distribution may have put its own files into the folder, or be found before it."""
    try:
        from pdum.nvenc._cli import main as run
        from pdum.nvenc._distributions import wrong_package
    except ModuleNotFoundError as error:
        if error.name not in ("pdum.nvenc", "pdum.nvenc._cli", "pdum.nvenc._distributions"):
            raise
        raise SystemExit(f"pdum-nvenc: {NOT_OURS.format(error=error)}") from None
    if told := wrong_package():
        raise SystemExit(f"pdum-nvenc: {told}")
    return run


def _end(*_signal: object) -> None:
    """Ends the process while modules are loaded, when there is nothing to clean up.

    An import may turn an exception into another one, so the handler raises none.
    """
    _say()
    os._exit(INTERRUPTED)


def _say() -> None:
    try:
        os.write(2, b"pdum-nvenc: Interrupted.\n")
    except OSError:  # standard error is closed
        return
