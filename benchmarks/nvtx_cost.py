"""What an NVTX range costs without a profiler, in nanoseconds: in C++, and around a Python function.

The C++ range is that of the encoders, compiled with and without NVTX. In Python, a function that takes a number and
returns it is called with and without the decorator that the package uses. What the same loop takes without the range is
subtracted. Ends with status 1 if a range costs more than `--limit` nanoseconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import native_parts
from measuring import Figure, machine, quartiles, save

CALLS = 200_000


def in_cpp(rounds: int, *, with_nvtx: bool) -> list[float]:
    return [float(line) for line in native_parts.nvtx_cost(rounds, with_nvtx=with_nvtx).split()]


def nanoseconds(function: Callable[[int], int]) -> float:
    begin = time.thread_time_ns()
    for number in range(CALLS):
        function(number)
    return (time.thread_time_ns() - begin) / CALLS


def around_python(rounds: int) -> list[float]:
    """The order of both changes with each round, so that neither is always the first."""
    from pdum.nvenc._profiling import profiled

    def plain(number: int) -> int:
        return number

    marked, found = profiled("pdum.benchmark")(plain), []
    for number in range(rounds):
        if number % 2:
            with_range, without = nanoseconds(marked), nanoseconds(plain)
        else:
            without, with_range = nanoseconds(plain), nanoseconds(marked)
        found.append(max(with_range - without, 0.0))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--limit", type=float, default=50, metavar="NS", help="what a range may cost (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    given = parser.parse_args()
    rows = {
        "C++": in_cpp(given.rounds, with_nvtx=True),
        "C++, built without NVTX": in_cpp(given.rounds, with_nvtx=False),
        "Python": around_python(given.rounds),
    }
    print(machine())
    print(f"a range without a profiler, medians of {given.rounds} rounds (quartiles)")
    for name, samples in rows.items():
        low, middle, high = quartiles(samples)
        print(f"{name:<24} {middle:6.2f} ns ({low:.2f} to {high:.2f})")
    save(given.json, "nvtx", [Figure(name, "one range", "ns", samples) for name, samples in rows.items()])
    slow = [name for name, samples in rows.items() if quartiles(samples)[1] > given.limit]
    if slow:
        raise SystemExit(f"More than {given.limit:g} ns: {', '.join(slow)}")


if __name__ == "__main__":
    main()
