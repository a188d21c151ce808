"""What the exit codes of pdum-nvenc mean."""

from __future__ import annotations

DONE, FAILED, USAGE, NOTHING, CANNOT, BUSY, UNSHOWN = range(7)
HUNG_UP, INTERRUPTED, TERMINATED = 129, 130, 143

MEANINGS = {
    DONE: "all is done, now or by an earlier run; also where results were dropped for not being smaller",
    FAILED: "some files failed or cannot reach the target; the others are done. doctor: nothing can be encoded; "
    "selftest: the card does something else than is assumed",
    USAGE: "wrong arguments or configuration; nothing was done",
    NOTHING: "there is no video at the paths given",
    CANNOT: "this machine cannot do it: no encoder as asked for, or a part of the package is not installed",
    BUSY: "another run works on the same output folder",
    UNSHOWN: "all is done, but standard output, the terminal or the log was lost, and some of what was to be shown is "
    "missing",
    HUNG_UP: "ended because the terminal was closed (SIGHUP); the same command goes on where it was",
    INTERRUPTED: "interrupted by Ctrl-C, or --in-place was not confirmed; the same command goes on where it was",
    TERMINATED: "ended by SIGTERM; the same command goes on where it was",
}
