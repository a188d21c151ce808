"""The cost of `import pdum.nvenc` over a bare Python start, and of each module.

The package is copied as an installation would lay it out and imported with `-S`, so that neither other packages'
`.pth` files nor an editable installation's hook count; what every start with `site` loads (os, …) is part of the bare
start. The start with the import and the one without take turns. What counts is the processor time that a start takes,
which says more than the clock while others use the machine. Ends with status 1 where the median of what the import adds
is over `--limit` milliseconds.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import Figure, machine, quartiles, save

BARE = "import site, sys; sys.path.insert(0, {folder!r})"
WITH_IMPORT = BARE + "; import pdum.nvenc"


def lay_out(folder: Path) -> None:
    """The installed package as a single separate folder."""
    target = folder / "pdum" / "nvenc"
    for module in ("pdum.nvenc", "pdum.nvenc._nvenc"):
        found = importlib.util.find_spec(module)
        if found is None or found.origin is None:
            raise SystemExit(f"{module} is not installed for {sys.executable}")
        origin = Path(found.origin)
        if origin.suffix == ".py":
            shutil.copytree(origin.parent, target, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(origin, target)


def start(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    # Without site packages and the user's variables, only the interpreter and the named import remain.
    return subprocess.run(
        [sys.executable, "-S", *flags, "-c", code], capture_output=True, text=True, check=True, timeout=60,
        env={"PATH": os.environ.get("PATH", "")},
    )  # fmt: skip


def milliseconds(code: str) -> dict[str, float]:
    """The time of one start: elapsed, and of the processor, user and system together."""
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    start(code)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"clock": (end - begin) * 1000, "processor": processor * 1000}


def own_times(folder: Path, rounds: int) -> list[tuple[str, float]]:
    """(module, median of its own milliseconds), for what the import adds to a bare start; dearest first."""
    samples: dict[str, list[float]] = {}
    already = {name for name, _ in import_lines(start(BARE.format(folder=str(folder)), "-X", "importtime").stderr)}
    for _ in range(rounds):
        text = start(WITH_IMPORT.format(folder=str(folder)), "-X", "importtime").stderr
        for name, own in import_lines(text):
            if name not in already:
                samples.setdefault(name, []).append(own / 1000)
    medians = [(name, statistics.median(times)) for name, times in samples.items()]
    return sorted(medians, key=lambda module: -module[1])


def import_lines(text: str) -> list[tuple[str, int]]:
    """(module, its own microseconds) of each line of `-X importtime`."""
    lines = []
    for line in text.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if len(fields) == 3 and fields[0].strip().isdigit():
            lines.append((fields[2].strip(), int(fields[0])))
    return lines


def measure(rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lay_out(folder)
        bare, with_import = BARE.format(folder=name), WITH_IMPORT.format(folder=name)
        milliseconds(with_import)  # compiles the .pyc files, as an installer does
        starts = [(milliseconds(bare), milliseconds(with_import)) for _ in range(rounds)]
        modules = own_times(folder, max(5, rounds // 4))
    samples = {
        kind: {
            "bare start": [before[kind] for before, _ in starts],
            "start and import": [after[kind] for _, after in starts],
            "import alone": [after[kind] - before[kind] for before, after in starts],
        }
        for kind in ("processor", "clock")
    }
    return {"milliseconds": samples, "modules_ms": modules}


def figures(milliseconds: dict[str, dict[str, list[float]]]) -> list[Figure]:
    return [
        Figure(what, kind, "ms", samples, "less" if what == "import alone" else "")
        for kind, rows in milliseconds.items()
        for what, samples in rows.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="pairs of starts (%(default)s)")
    parser.add_argument("--limit", type=float, default=30, metavar="MS", help="what it may add (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    options = parser.parse_args()
    result = measure(options.rounds)
    print(machine())
    for kind, label in (("processor", "ms of the processor"), ("clock", "ms on the clock")):
        for what, samples in result["milliseconds"][kind].items():
            low, middle, high = quartiles(samples)
            print(f"{what:<18}{middle:7.2f} {label}   quartiles {low:.2f} to {high:.2f}")
    print("\nown time, ms   module (as `python -X importtime` tells; its bookkeeping is part of it)")
    for name, own in result["modules_ms"]:
        if own >= 0.02:
            print(f"{own:12.2f}   {name}")
    save(options.json, "import_time", figures(result["milliseconds"]))
    added = statistics.median(result["milliseconds"]["processor"]["import alone"])
    print(f"\nthe import adds {added:.1f} ms of the processor; {options.limit:g} are allowed")
    if added > options.limit:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
