"""The command behind build-wheel.sh."""

from __future__ import annotations

import argparse
import platform
import re
import sys
from pathlib import Path

from release.proof import write_proof
from wheels import build, headers, trial
from wheels.commands import ROOT, run, tell
from wheels.target import ARCHITECTURES, VERSIONS, Target


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="build-wheel.sh", description="Builds wheels, checks them and tries them.")
    made.add_argument("--all", action="store_true", help=f"CPython {', '.join(VERSIONS)} on both processors, the sdist")
    made.add_argument(
        "--python", action="append", default=[], metavar="VERSION", help="3.12, 3.13t, or an interpreter; repeatable"
    )
    made.add_argument("--arch", action="append", default=[], choices=ARCHITECTURES, help="this machine's; repeatable")
    made.add_argument("--sdist", action="store_true", help="the source distribution too")
    made.add_argument("--out", type=Path, default=ROOT / "wheelhouse", metavar="FOLDER", help="where they go")
    made.add_argument(
        "--nvtx", action=argparse.BooleanOptionalAction, default=True, help="ranges for profilers (default: with them)"
    )
    made.add_argument("--no-run", action="store_true", help="do not try the wheels on the simulated driver")
    made.add_argument("interpreter", nargs="?", help="the same as --python")
    return made


def targets(arguments: argparse.Namespace) -> list[Target]:
    given = arguments.python + ([arguments.interpreter] if arguments.interpreter else [])
    versions = [name if re.fullmatch(r"3\.\d+t?", name) else headers.python_of(name) for name in given]
    if not versions:
        versions = list(VERSIONS) if arguments.all else [headers.python_of("python3")]
    architectures = arguments.arch or (list(ARCHITECTURES) if arguments.all else [platform.machine()])
    return [Target(version, architecture, arguments.nvtx) for architecture in architectures for version in versions]


def make(target: Target, out: Path, run_it: bool) -> str:
    """A line of the table at the end."""
    tell(f"== wheel for CPython {target}")
    wheel = build.wheel(target, out)
    checked = run(sys.executable, ROOT / "tests" / "check_wheel.py", wheel).strip()
    ran = trial.run_on(target, wheel) if run_it else "not run: --no-run"
    tell(f"   {checked}\n   {ran}")
    return proven(wheel, {"contents": checked, f"CPython {target}": ran})


def make_sdist(out: Path, run_it: bool) -> str:
    tell("== sdist")
    made = build.sdist(out)
    checked = build.check_sdist(made)
    ran = trial.build_from(made) if run_it else "not run: --no-run"
    tell(f"   {ran}")
    return proven(made, {"contents": checked, "pip": ran})


def proven(file: Path, passed: dict[str, str]) -> str:
    """Writes down what the file has passed, for release.sh."""
    write_proof(file, passed, build.compiled_in())
    return f"{file.name:<75} {file.stat().st_size / 1000:4.0f} kB   {list(passed.values())[-1]}"


def main() -> int:
    arguments = parser().parse_args()
    out = arguments.out.absolute()
    rows = [make(target, out, not arguments.no_run) for target in targets(arguments)]
    if arguments.all or arguments.sdist:
        rows.append(make_sdist(out, not arguments.no_run))
    print("\n".join(rows))
    return 0


sys.exit(main())
