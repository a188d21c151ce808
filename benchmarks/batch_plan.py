"""What it costs to plan a batch of very many files, and to look at a watched folder in which nothing has changed.

::

    python benchmarks/batch_plan.py --files 100000

The processor time of each step should grow in proportion to the number of files, except that of a look at what has not
changed, which depends on the number of folders.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pdum.nvenc import events
from pdum.nvenc._batch.batch import ledger, plan
from pdum.nvenc._batch.scan import Scan
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.watched_folder import WatchedFolder
from pdum.nvenc._view.run_state import RunState

FILES_IN_A_FOLDER = 1000


def make_files(root: Path, count: int) -> None:
    for number in range(count):
        folder = root / f"{number // FILES_IN_A_FOLDER:04}"
        if not number % FILES_IN_A_FOLDER:
            folder.mkdir()
        (folder / f"{number:06}.mkv").write_bytes(b"x")


def seconds(step: Callable[[], object]) -> float:
    began = time.process_time()
    step()
    return time.process_time() - began


def show_run(count: int) -> None:
    """All events of a run in which each job ends, with a picture after every hundredth."""
    state = RunState()
    for number in range(count):
        state.apply(events.JobQueued(at=0.0, job=number, source=f"{number}.mkv", destination="", source_bytes=10))
    for number in range(count):
        end = events.JobFinished(
            at=1.0, job=number, destination="", size=5, seconds=1.0, source_bytes=10, frames=1, warnings=()
        )
        state.apply(end)
        if not number % 100:
            state.sums()


def measure(count: int) -> Sequence[float]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_files(root, count)
        settings = BatchSettings(recursive=True)
        planned = seconds(lambda: plan([root], settings))
        batch = plan([root], settings)
        with ledger(batch):
            pass
        opened = seconds(lambda: ledger(batch).__enter__().journals)
        folder = WatchedFolder(root, Scan(recursive=True))
        first = seconds(folder.changes)
        time.sleep(3)  # until folders are sure of their times
        folder.everything()
        return planned, opened, first, seconds(folder.changes), seconds(lambda: show_run(count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    most = parser.parse_args().files
    print(
        f"{'files':>8} {'plan':>8} {'journals':>9} {'first look':>11} {'next look':>10} {'run state':>10}   CPU seconds"
    )
    for count in (most // 10, most):
        planned, opened, first, again, shown = measure(count)
        print(f"{count:>8} {planned:>8.2f} {opened:>9.2f} {first:>11.2f} {again:>10.4f} {shown:>10.2f}")


if __name__ == "__main__":
    main()
