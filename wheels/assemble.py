"""Puts the native files into a wheel without them. The same files give the same bytes."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
import zipfile
from pathlib import Path

from wheels.commands import run
from wheels.target import Target


def time_of_files() -> tuple[int, int, int, int, int, int]:
    """SOURCE_DATE_EPOCH, or when the last commit was made: zip files cannot say less than 1980."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct").strip()
    year, month, day, hour, minute, second = time.gmtime(max(int(epoch), 315532800))[:6]
    return year, month, day, hour, minute, second


def hash_of(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def record(files: dict[str, bytes], name: str) -> bytes:
    """The list of files that installers check."""
    rows = [f"{path},{hash_of(content)},{len(content)}\n" for path, content in files.items()]
    return ("".join(rows) + f"{name},,\n").encode()


def assemble(common: Path, native: Path, target: Target, folder: Path) -> Path:
    with zipfile.ZipFile(common) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    files |= {str(path.relative_to(native)): path.read_bytes() for path in native.rglob("*") if path.is_file()}
    (about,) = [name for name in files if name.endswith(".dist-info/WHEEL")]
    text = re.sub(r"^(Root-Is-Purelib|Tag):.*\n", "", files[about].decode(), flags=re.MULTILINE)
    files[about] = f"{text.strip()}\nRoot-Is-Purelib: false\nTag: {target.tag}\n".encode()
    listed = about.replace("WHEEL", "RECORD")
    files.pop(listed)
    files[listed] = record(files, listed)
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{'-'.join(common.name.split('-')[:2])}-{target.tag}.whl"
    write(made, files)
    return made


def write(path: Path, files: dict[str, bytes]) -> None:
    """In the order of names, the metadata last, as the specification recommends."""
    when = time_of_files()
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files, key=lambda name: (".dist-info/" in name, name)):
            entry = zipfile.ZipInfo(name, when)
            entry.external_attr = (0o755 if name.endswith(".so") else 0o644) << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, 9)
