"""How long a call waits for its turn at an encoder that other threads keep busy: our lock compared with std::mutex.

    python benchmarks/turns.py [--threads 3] [--hold 800] [--questions 200] [--rounds 5] [--json FILE]

Each of the threads holds the lock for as long as a host frame's copy takes and comes back at once; one more asks every
millisecond, as a thread does that wants to know how many frames are in flight. The locks take turns, a process each.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
from pathlib import Path

import measuring
import native_parts

LOCKS = {"mutex": "std::mutex", "turnstile": "ours"}


def measure(program: Path, lock: str, arguments: argparse.Namespace) -> dict[str, float]:
    numbers = [str(arguments.threads), str(arguments.hold), str(arguments.questions)]
    printed = subprocess.run([program, *numbers, lock], check=True, capture_output=True, text=True, timeout=600).stdout
    alone, *waits = map(float, printed.split())
    return {
        "median": statistics.median(waits) / 1000,
        "99th": statistics.quantiles(waits, n=100, method="inclusive")[98] / 1000,
        "longest": max(waits) / 1000,
        "alone": alone,
    }


def row(name: str, rounds: list[dict[str, float]]) -> str:
    cells = []
    for key in ("median", "99th", "longest", "alone"):
        low, middle, high = measuring.quartiles([one[key] for one in rounds])
        cells.append(f"{middle:.1f} ({low:.1f} to {high:.1f})")
    return f"| {name} | {' | '.join(cells)} |"


def figures(samples: dict[str, list[dict[str, float]]]) -> list[measuring.Figure]:
    columns = {"median": "half wait less", "99th": "99 of 100 wait less", "longest": "longest wait"}
    found = [
        measuring.Figure(LOCKS[name], column, "ms", [one[key] for one in rounds])
        for name, rounds in samples.items()
        for key, column in columns.items()
    ]
    alone = [
        measuring.Figure(LOCKS[name], "nobody else", "ns", [one["alone"] for one in rounds])
        for name, rounds in samples.items()
    ]
    return found + alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=3)
    parser.add_argument("--hold", type=int, default=800, help="microseconds")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    program = native_parts.turns()
    samples: dict[str, list[dict[str, float]]] = {name: [] for name in LOCKS}
    for _ in range(arguments.rounds):
        for name in LOCKS:
            samples[name].append(measure(program, name, arguments))
    header = measuring.machine()
    print(f"{header}; {arguments.threads} threads that hold the lock for {arguments.hold} µs and come back at once")
    print(f"medians of {arguments.rounds} rounds (quartiles)\n")
    print("| lock | half wait less, ms | 99 of 100 wait less, ms | longest wait, ms | nobody else, ns |")
    print("|---|---|---|---|---|")
    for name, title in LOCKS.items():
        print(row(title, samples[name]))
    measuring.save(arguments.json, "turns", figures(samples))


if __name__ == "__main__":
    main()
