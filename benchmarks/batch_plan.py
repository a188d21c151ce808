"""What one file of a batch costs among many, before anything is encoded: in microseconds of processor time.

    .venv/bin/python benchmarks/batch_plan.py [--most 100000] [--rounds 5] [--quick] [--json FILE]

The cost of one file should not grow with their number. Processor time is measured, since other programs change it
less. Fails if a file costs more than twice as much among the most files as among the fewest. The steps are

- plan: a first run finds the files and decides what to do with each,
- plan again: the same with the journals of a run that has encoded all of them,
- open: the journals are locked, read and every decision is made again,
- first look, full look: what `watch` does at its start, and once a minute,
- events: all events of a run go into the state that the front ends draw.

Three more do not depend on the number of files, and are given as a whole: a look at a watched folder in which nothing
has changed, the plan for one more file in it, and the lists of one picture of the dashboard.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measuring import Figure, machine, quartiles, save

from pdum.nvenc import events
from pdum.nvenc._batch.batch import BatchPlan, plan, plan_sources, scan_for
from pdum.nvenc._batch.journal_entry import DONE, NAME, VERSION, Entry, record_of
from pdum.nvenc._batch.known_journals import KnownJournals
from pdum.nvenc._batch.ledger import ledger
from pdum.nvenc._batch.scan import Found, source_of
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.settings_digest import digest_of
from pdum.nvenc._batch.watched_folder import SURE_AFTER, WatchedFolder
from pdum.nvenc._view.run_state import RunState

FEWEST = 1000
MOST_GROWTH = 2.0
FILES_IN_A_FOLDER = 1000
ROWS_OF_A_SCREEN = 50
OF_ONE_FILE = ("plan", "plan again", "open", "first look", "full look", "events")
AS_A_WHOLE = ("next look", "one more file", "picture")
SETTINGS = BatchSettings(recursive=True)


def make_files(root: Path, count: int) -> None:
    for number in range(count):
        folder = root / f"{number // FILES_IN_A_FOLDER:04}"
        if not number % FILES_IN_A_FOLDER:
            folder.mkdir()
        (folder / f"{number:06}.mkv").write_bytes(b"x")


def make_journals(batch: BatchPlan) -> None:
    """As a run leaves them that has encoded everything, without its results."""
    digest, lines = digest_of(SETTINGS).current, dict[Path, list[str]]()
    for one in batch.decisions:
        source = one.placement.source
        entry = Entry(
            source=os.path.relpath(source.path, one.placement.folder),
            output=one.placement.destination.name,
            result=DONE,
            settings=digest,
            identity=(source.size, source.mtime_ns),
        )
        lines.setdefault(one.placement.folder, []).append(json.dumps(record_of(entry)))
    header = json.dumps({"journal": VERSION, "kind": "outputs"})
    for folder, entries in lines.items():
        folder.mkdir()
        (folder / NAME).write_text("\n".join([header, *entries, ""]))


def timed(step: Callable[[], object]) -> float:
    """Python's collector looks only at what the step makes, not at what other steps have left in this process."""
    gc.collect()
    gc.freeze()
    try:
        began = time.process_time()
        step()
        return time.process_time() - began
    finally:
        gc.unfreeze()


def show_run(state: RunState, count: int) -> None:
    """All events of a run in which each job ends, and the sums after every hundredth."""
    for number in range(count):
        state.apply(events.JobQueued(at=0.0, job=number, source=f"{number}.mkv", destination="", source_bytes=10))
    for number in range(count):
        end = events.JobFinished(
            at=1.0, job=number, destination="", size=5, seconds=1.0, source_bytes=10, frames=1, warnings=()
        )
        state.apply(end)
        if not number % 100:
            state.sums()


def picture(state: RunState) -> None:
    for rows in (state.queue, state.done, state.folder_sums):
        for row in range(min(ROWS_OF_A_SCREEN, len(rows))):
            rows[row]


def open_journals(batch: BatchPlan) -> None:
    with ledger(batch):
        pass


def plan_knowing(root: Path, journals: KnownJournals) -> None:
    plan_sources(scan_for(SETTINGS, journals).run([root]), SETTINGS, journals)


def plan_one_more(root: Path, journals: KnownJournals) -> None:
    path = root / "0000" / "new.mkv"
    journals.refresh()
    plan_sources(Found(sources=[source_of(path, root, path.stat())]), SETTINGS, journals)


def measure(count: int, rounds: int) -> dict[str, list[float]]:
    """The samples of each step, in seconds: of one file, or as a whole."""
    samples: dict[str, list[float]] = {step: [] for step in (*OF_ONE_FILE, *AS_A_WHOLE)}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_files(root, count)
        for _ in range(rounds):
            samples["plan"].append(timed(lambda: plan([root], SETTINGS)))
        make_journals(plan([root], SETTINGS))
        (root / "0000" / "new.mkv").write_bytes(b"x")
        batch, known = plan([root], SETTINGS), KnownJournals()
        plan_knowing(root, known)
        time.sleep(SURE_AFTER / 1e9 + 1)
        for _ in range(rounds):
            folder, state = WatchedFolder(root, scan_for(SETTINGS, known)), RunState()
            steps: dict[str, Callable[[], object]] = {
                "plan again": lambda: plan([root], SETTINGS),
                "open": lambda: open_journals(batch),
                "first look": folder.changes,
                "full look": folder.everything,
                "next look": folder.changes,
                "one more file": lambda: plan_one_more(root, known),
                "events": lambda state=state: show_run(state, count),  # type: ignore[misc]
                "picture": lambda state=state: picture(state),  # type: ignore[misc]
            }
            for step, call in steps.items():
                samples[step].append(timed(call))
    return {step: [one / count for one in found] if step in OF_ONE_FILE else found for step, found in samples.items()}


def figures(found: dict[int, dict[str, list[float]]]) -> list[Figure]:
    return [
        Figure(f"{count:,} files", step, "µs a file" if step in OF_ONE_FILE else "µs", [one * 1e6 for one in samples])
        for count, steps in found.items()
        for step, samples in steps.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    most = given.most // 10 if given.quick else given.most
    counts = [count for count in (FEWEST, 10_000, 100_000) if count < most] + [most]
    header = machine()
    print(f"{header}\nprocessor time in µs, medians of {given.rounds} rounds (quartiles)\n")
    print(f"| files | {' | '.join(OF_ONE_FILE)} | {' | '.join(AS_A_WHOLE)} |")
    print("|---" * (1 + len(OF_ONE_FILE) + len(AS_A_WHOLE)) + "|")
    found = {}
    for count in counts:
        found[count] = measure(count, given.rounds)
        cells = []
        for sample in found[count].values():
            low, middle, high = (one * 1e6 for one in quartiles(sample))
            cells.append(f"{middle:.1f} ({low:.1f} to {high:.1f})")
        print(f"| {count:,} | {' | '.join(cells)} |", flush=True)
    few, many = found[counts[0]], found[counts[-1]]
    growth = {step: quartiles(many[step])[1] / quartiles(few[step])[1] for step in OF_ONE_FILE}
    print(f"\none file of {counts[-1]:,} costs, in what one of {counts[0]:,} does: ", end="")
    print(", ".join(f"{step} × {ratio:.2f}" for step, ratio in growth.items()))
    save(given.json, "batch_plan", figures(found))
    if max(growth.values()) > MOST_GROWTH:
        sys.exit("A file among many costs more than among few.")


if __name__ == "__main__":
    main()
