"""Opens a folder's journal again and again, each time in a forked child that ends without a word one line further on.

    python tests/compaction_runner.py FOLDER

Prints a JSON line for each child that ended so: what a reader finds in the journal then. The last child gets to its
end. This process is small, so that forking costs little.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from pdum.nvenc._batch import compaction
from pdum.nvenc._batch.journal import Journal
from pdum.nvenc._batch.journal_entry import NAME

FEW_LINES = 4


def reopened(folder: Path) -> None:
    Journal.open(folder, "outputs").close()


def told_by(folder: Path) -> str:
    """Everything that a reader learns from the journal, as a text."""
    journal = Journal.read(folder)
    return repr((list(journal.entries.items()), journal.kind, list(journal.notices)))


def killed_at(step: int, folder: Path) -> bool:
    """Opens the journal in a process that ends without a word at the given line of our code. Whether it got so far."""
    child = os.fork()
    if child == 0:
        left = step

        def count(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal left
            if "_batch/journal" not in frame.f_code.co_filename:
                return None
            if event == "line":
                left -= 1
                if left == 0:
                    os._exit(9)
            return count

        sys.settrace(count)
        reopened(folder)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def main(folder: Path) -> None:
    compaction.FEW_LINES = FEW_LINES
    journal = folder / NAME
    text, step = journal.read_bytes(), 1
    while killed_at(step, folder):
        print(json.dumps(told_by(folder)))
        journal.write_bytes(text)
        step += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
