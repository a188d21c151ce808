"""A question on the terminal before files are replaced."""

from __future__ import annotations

import sys

from .._batch.batch import BatchPlan
from .._batch.decisions import ENCODE
from .._text import count, size


def confirms_in_place(batch: BatchPlan) -> bool:
    """Whether sources may be replaced. Asks if there is a terminal. Otherwise the script's arguments decide."""
    decisions = batch.with_action(ENCODE)
    if not batch.settings.in_place or not decisions or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    total = size(sum(one.placement.source.size for one in decisions))
    which = "results" if batch.settings.keep_bigger else "results that are smaller"
    question = f"{count(len(decisions), 'file')} ({total}) will be replaced by {which}. Go on? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
