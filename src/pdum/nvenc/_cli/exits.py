"""What the exit codes of pdum-nvenc mean."""

from __future__ import annotations

DONE, FAILED, USAGE, NOTHING, CANNOT, BUSY, UNSHOWN = range(7)
HUNG_UP, INTERRUPTED, TERMINATED = 129, 130, 143

MEANINGS = {
    DONE: "everything is done, now or by an earlier run; also if results were dropped because they were not smaller",
    FAILED: "some files failed or cannot reach the target; the others are done. doctor: nothing can be encoded; "
    "selftest: the card behaves differently than assumed",
    USAGE: "wrong arguments or configuration; nothing was done",
    NOTHING: "there are no videos at the given paths",
    CANNOT: "this machine cannot do it: it has no such encoder, or a part of the package is not installed",
    BUSY: "another run is using the same output folder",
    UNSHOWN: "everything is done, but standard output, the terminal or the log was lost, so that some output is "
    "missing",
    HUNG_UP: "ended because the terminal was closed (SIGHUP); the same command continues where it stopped",
    INTERRUPTED: "interrupted by Ctrl-C, or --in-place was not confirmed; the same command continues where it stopped",
    TERMINATED: "ended by SIGTERM; the same command continues where it stopped",
}
