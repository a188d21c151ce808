"""The command behind release.sh."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from release.check import BESIDE, problems, problems_of_sources
from release.parts import write_document
from release.proof import write_proof
from release.version import newest_section, version


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="release.sh", description="What a release needs besides its wheels.")
    commands = made.add_subparsers(required=True, metavar="COMMAND", dest="command")
    commands.add_parser("version", help="print the version")
    commands.add_parser("notes", help="print what CHANGELOG.md says about it")
    sources = commands.add_parser("sources", help="check the version, CHANGELOG.md and the tag")
    checks = commands.add_parser("check", help="check them and the files of a folder, each with its proof")
    for command in (sources, checks):
        command.add_argument("--tag", help="the git tag that is being released")
    parts = commands.add_parser("parts", help="write a list of parts (SBOM, CycloneDX) beside each file")
    for command in (checks, parts):
        command.add_argument("folder", type=Path, nargs="?", default=Path("dist"))
    packages = commands.add_parser("packages", help="copy the packages of one project, and nothing else, to a folder")
    packages.add_argument("folder", type=Path)
    packages.add_argument("project", choices=["pdum-nvenc", "pdum-nvenc-sim"])
    packages.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    proof = commands.add_parser("proof", help="write the proof of a file; scripts that build and check one do this")
    proof.add_argument("file", type=Path)
    proof.add_argument("--passed", action="append", default=[], metavar="WHAT=RESULT", required=True)
    proof.add_argument("--built-with", action="append", default=[], metavar="NAME=VERSION")
    return made


def pairs(texts: list[str]) -> dict[str, str]:
    bad = [text for text in texts if "=" not in text]
    if bad:
        raise SystemExit(f"release.sh: expected NAME=VALUE, got {bad[0]!r}")
    return dict(text.split("=", 1) for text in texts)


def files_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SystemExit(f"release.sh: expected a folder with wheels, got {folder}")
    return sorted(path for path in folder.iterdir() if not path.name.endswith(BESIDE))


def copy_packages(folder: Path, project: str, target: Path) -> None:
    """PyPI takes packages alone, and those of one project at a time."""
    chosen = [path for path in files_of(folder) if path.name.startswith(project.replace("-", "_") + "-")]
    if not chosen:
        raise SystemExit(f"release.sh: {folder} has no package of {project}")
    target.mkdir(parents=True, exist_ok=True)
    for path in chosen:
        shutil.copy2(path, target)
        print(path.name)


def main(arguments: list[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    if given.command == "version":
        print(version())
    elif given.command == "notes":
        print(newest_section()[2])
    elif given.command == "parts":
        for path in files_of(given.folder):
            try:
                print(write_document(path).name)
            except ValueError as error:
                raise SystemExit(f"release.sh: {path.name} {error}") from None
    elif given.command == "packages":
        copy_packages(given.folder, given.project, given.to)
    elif given.command == "proof":
        if not given.file.is_file():
            raise SystemExit(f"release.sh: expected a file, got {given.file}")
        print(write_proof(given.file, pairs(given.passed), pairs(given.built_with)).name)
    else:
        return report(given)
    return 0


def report(given: argparse.Namespace) -> int:
    """Says what keeps a release back; 1 if anything does."""
    on_sources = given.command == "sources"
    found = list(problems_of_sources(given.tag) if on_sources else problems(given.folder, given.tag))
    for problem in found:
        print(f"release.sh: {problem}", file=sys.stderr)
    if not found:
        print("The sources are ready." if on_sources else f"{len(files_of(given.folder))} files are ready.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
