"""Measures all that this machine can, keeps the samples, and makes docs/performance.md and parts of other pages.

    python -m benchmarks                     all parts without a GPU, about an hour on two quiet cores
    python -m benchmarks --gpu               the parts with a real GPU
    python -m benchmarks --quick             a tenth of the work: to see that all of it runs, not for the pages
    python -m benchmarks --only pool,writer  some parts; the others keep their recorded figures
    python -m benchmarks --list              the parts, and what this machine lacks for them
    python -m benchmarks --page              the pages alone, from the results that are there
    python -m benchmarks --compare A B       what got worse from A to B beyond the noise; then it ends with status 1

Results go to benchmarks/results, into one file for each kind of machine, or into the file that --json names; --quick
writes to build/benchmarks. Only results in benchmarks/results are on the pages. A part that fails is named at the end,
with status 1; its old figures stay. What each script prints is kept in build/benchmarks/logs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from . import comparison, page
from .parts import PARTS, ROOT, Part, missing
from .result_files import merge, name_of_this_machine, read

BUILD = ROOT / "build" / "benchmarks"
LOGS = BUILD / "logs"
TIMEOUT = 3600  # seconds a part


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpu", action="store_true", help="the parts with a real GPU, instead of the others")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--only", metavar="PART,…", help="these parts alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results go")
    parser.add_argument("--list", action="store_true", help="show the parts and end")
    parser.add_argument("--page", action="store_true", help="make the pages and end")
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("A", "B"), help="compare two result files and end")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse(arguments)
    if given.list:
        return show_parts()
    if given.page:
        page.write()
        return 0
    if given.compare:
        return compare(*given.compare)
    return measure(chosen(given), given)


def show_parts() -> int:
    for part in PARTS:
        lacks = missing(part)
        print(
            f"{part.name:<16} {part.script} {part.full}".rstrip() + (f"   (needs {', '.join(lacks)})" if lacks else "")
        )
    return 0


def compare(first: Path, second: Path) -> int:
    before, after = read(first), read(second)
    for line in comparison.report(before, after):
        print(line)
    return int(comparison.got_worse(before, after))


def chosen(given: argparse.Namespace) -> list[Part]:
    if given.only is None:
        return [part for part in PARTS if part.on_gpu == given.gpu]
    by_name = {part.name: part for part in PARTS}
    names = [name.strip() for name in given.only.split(",")]
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise SystemExit(f"Expected parts of {', '.join(by_name)}, got {', '.join(map(repr, unknown))}.")
    return [by_name[name] for name in names]


def place_of_results(given: argparse.Namespace) -> Path:
    name = f"{name_of_this_machine()}.json"
    return given.json or (BUILD / f"quick-{name}" if given.quick else page.RESULTS / name)


def measure(parts: Sequence[Part], given: argparse.Namespace) -> int:
    LOGS.mkdir(parents=True, exist_ok=True)
    target, failed, left_out = place_of_results(given), [], []
    for part in parts:
        lacks = missing(part)
        if lacks:
            left_out.append(f"{part.name} (needs {', '.join(lacks)})")
        elif not run(part, part.quick if given.quick else part.full, target):
            failed.append(part.name)
    if target.resolve().parent == page.RESULTS:
        page.write()
    if left_out:
        print(f"\nleft out: {'; '.join(left_out)}. benchmarks/README.md says how to get it.")
    if len(left_out) == len(parts):
        print("Nothing was measured.")
        return 1
    print(f"\nresults: {target}")
    if failed:
        print(f"FAILED: {', '.join(failed)}; see {LOGS}")
    return int(bool(failed))


def run(part: Part, arguments: str, target: Path) -> bool:
    """Runs one script, shows and keeps what it prints, and adds its figures to the results. False if it failed."""
    print(f"\n== {part.name}: {part.script} {arguments}".rstrip(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found, begin = Path(folder) / "found.json", time.monotonic()
        command = [sys.executable, str(ROOT / "benchmarks" / part.script), *arguments.split(), "--json", str(found)]
        with (LOGS / f"{part.name}.txt").open("w") as log:
            status = printing(command, log.fileno())
        print((LOGS / f"{part.name}.txt").read_text(), end="")
        if found.exists():
            merge(target, read(found))
    print(f"   {time.monotonic() - begin:.0f} s" + ("" if status == 0 else f", ended with {status}"), flush=True)
    return status == 0 and target.exists()


def printing(command: Sequence[str], log: int) -> int:
    try:
        return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=TIMEOUT, cwd=ROOT).returncode
    except subprocess.TimeoutExpired:
        return 124


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
