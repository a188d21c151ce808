"""Refuses to release what is not proven, or does not fit together."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

from release.proof import NOT_RUN, ROOT, SUFFIX, commit_of, digest, read_proof
from release.version import newest_section, version

WHEEL = re.compile(
    r"(?P<name>pdum_nvenc(_sim)?)-(?P<version>[^-]+)-(?P<python>[^-]+)-(?P<abi>[^-]+)-(manylinux2014_\w+\.)?"
    r"manylinux_2_(?P<glibc>\d+)_(?P<machine>x86_64|aarch64)(\.manylinux\w+)*\.whl"
)
SDIST = re.compile(r"pdum_nvenc-(?P<version>.+)\.tar\.gz")
NEWEST_GLIBC = 28  # Debian 10, RHEL 8, Ubuntu 20.04 and later
LARGEST = {"pdum_nvenc": 1_450_000, "pdum_nvenc_sim": 4_000_000}
PYTHONS = ("cp310", "cp311", "cp312", "cp313", "cp314")
BESIDE = (SUFFIX, ".cdx.json")


def problems_of_sources(tag: str | None, root: Path = ROOT) -> Iterator[str]:
    """`tag` is the git tag that is being released, if any."""
    wanted = version(root)
    described, date, text = newest_section(root)
    if described != wanted:
        yield f"CHANGELOG.md begins with {described}, but the version is {wanted}"
    if tag is not None and tag != f"v{wanted}":
        yield f"the tag is {tag}, but the version is {wanted}: expected v{wanted}"
    try:
        datetime.date.fromisoformat(date)
    except ValueError:
        yield f"CHANGELOG.md has no date for {described}: expected (YYYY-MM-DD), got ({date})"
    if not text:
        yield f"CHANGELOG.md says nothing about {described}"


def problems_of_file(path: Path, commit: str) -> Iterator[str]:
    """What is wrong with a file and its proof, if this commit is checked out. The texts begin after the file's name."""
    try:
        proof = read_proof(path)
    except ValueError as error:
        yield str(error)
        return
    if (proof.file, proof.sha256, proof.size) != (path.name, digest(path), path.stat().st_size):
        yield "is not the file that was proven: its name, size or hash differs"
    if proof.commit != commit:
        yield f"was made from {proof.commit[:12]}, and not from the commit that is checked out"
    if proof.changed:
        yield "was made from sources that were not committed"
    if not proof.passed:
        yield "passed nothing"
    for what, result in proof.passed.items():
        if result.startswith(NOT_RUN):
            yield f"was not tried: {what}: {result}"


def problems_of_name(path: Path, wanted: str) -> Iterator[str]:
    found = WHEEL.fullmatch(path.name) or SDIST.fullmatch(path.name)
    if found is None:
        yield "is no file of a release: expected manylinux wheels of pdum-nvenc and pdum-nvenc-sim, and the sdist"
        return
    if found["version"] != wanted:
        yield f"has version {found['version']}, but the version is {wanted}"
    if path.suffix != ".whl":
        return
    if int(found["glibc"]) > NEWEST_GLIBC:
        yield f"needs glibc 2.{found['glibc']}: expected 2.{NEWEST_GLIBC} or older"
    if path.stat().st_size > LARGEST[found["name"]]:
        yield f"has {path.stat().st_size:,} bytes: expected {LARGEST[found['name']]:,} at most"


def missing_files(names: set[str]) -> Iterator[str]:
    """What a complete release has besides these files, on x86-64."""
    wheels = [found for name in names if (found := WHEEL.fullmatch(name))]
    have = {(found["name"], found["abi"]) for found in wheels if found["machine"] == "x86_64"}
    wanted = [("pdum_nvenc", python) for python in PYTHONS] + [("pdum_nvenc_sim", "none")]
    yield from (f"no wheel of {name} for {python} on x86_64" for name, python in wanted if (name, python) not in have)
    if not any(SDIST.fullmatch(name) for name in names):
        yield "no sdist of pdum_nvenc"


def problems(folder: Path, tag: str | None = None, root: Path = ROOT) -> Iterator[str]:
    """Everything that keeps the files of a folder from being released."""
    yield from problems_of_sources(tag, root)
    if not folder.is_dir():
        yield f"{folder} is no folder"
        return
    files = sorted(path for path in folder.iterdir() if not path.name.endswith(BESIDE))
    commit = commit_of(root)
    for path in files:
        found = [*problems_of_name(path, version(root)), *problems_of_file(path, commit)]
        yield from (f"{path.name} {problem}" for problem in found)
    yield from missing_files({path.name for path in files})
