"""Takes a wheel apart and lists its errors; exits with 0 if there are none. Needs only the standard library.

python tests/check_wheel.py dist/pdum_nvenc-0.1.0-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import struct
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path

# Everything else has to be in the wheel or opened at run time.
SYSTEM_LIBRARIES = {
    "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libgcc_s.so.1",
    "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1",
}  # fmt: skip
NEWEST_GLIBC = (2, 28)
MACHINES = {"x86_64": 62, "aarch64": 183}  # as ELF calls them
# In bytes, compressed. What is beyond has grown without anybody having looked.
LARGEST_MODULE = 600_000
LARGEST_WHEEL = 1_450_000
NAME = re.compile(
    r"pdum_nvenc-[^-]+-(cp\d+)-(cp\d+t?)-(?:manylinux2014_\w+\.)?manylinux_(\d+)_(\d+)_(x86_64|aarch64)(?:\.\w+)?\.whl"
)
PACKAGE_FILES = {
    "pdum/nvenc_command.py",
    "pdum/nvenc/__init__.py",
    "pdum/nvenc/_nvenc.pyi",
    "pdum/nvenc/events.schema.json",
    "pdum/nvenc/py.typed",
}
TABLES = {f"pdum/nvenc/interface_tables/{version}.json" for version in ("12.1", "13.0", "13.1")}
SCHEMA = "pdum/nvenc/events.schema.json"
FORBIDDEN_WORDS = (b"nvsim", b"NVSIM_CONFIG", b"simulated")
IMPORT = "import pdum.nvenc as n; from pdum.nvenc import _nvenc; print(n.__file__)"


def output_of(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def needed_libraries(library: Path) -> set[str]:
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", output_of("readelf", "-d", str(library))))


def exported_symbols(library: Path) -> set[str]:
    lines = output_of("nm", "-D", "--defined-only", str(library)).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines}


def problems_of_metadata(names: set[str], archive: zipfile.ZipFile) -> Iterator[str]:
    info = next(name.split("/")[0] for name in names if name.endswith(".dist-info/METADATA"))
    metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
    if metadata["License-Expression"] != "MIT":
        yield f"License-Expression is {metadata['License-Expression']!r}"
    if metadata.get_all("License-File") != ["LICENSE"] or f"{info}/licenses/LICENSE" not in names:
        yield "the licence file is not where PEP 639 wants it"
    if metadata["Requires-Python"] != ">=3.10":
        yield f"Requires-Python is {metadata['Requires-Python']!r}"


def problems_of_contents(names: set[str], archive: zipfile.ZipFile) -> Iterator[str]:
    yield from (f"{name} is missing" for name in sorted((PACKAGE_FILES | TABLES | {SCHEMA}) - names))
    for name in sorted(names):
        if name == "pdum/__init__.py" or not re.match(
            r"pdum/nvenc(/|_command\.py$)|pdum_nvenc-[^/]+\.dist-info/", name
        ):
            yield f"{name} does not belong here"
        if re.search(r"\.(cpp|hpp|inl|json|map)$", name) and name not in TABLES | {SCHEMA}:
            yield f"{name} is source"
        content = archive.read(name)
        if name.endswith(".dist-info/METADATA"):  # the README follows, which mentions the tests
            content = content.partition(b"\n\n")[0]
        yield from (f"{name} holds the word {word.decode()}" for word in FORBIDDEN_WORDS if word in content)


def problems_of_module(folder: Path) -> Iterator[str]:
    libraries = sorted(folder.rglob("*.so*"))
    if len(libraries) != 1 or not libraries[0].name.startswith("_nvenc."):
        yield f"libraries in the wheel: {[library.name for library in libraries]}"
    for library in libraries:
        yield from (f"needs {name}" for name in sorted(needed_libraries(library) - SYSTEM_LIBRARIES))
        exported = exported_symbols(library)
        if exported != {"PyInit__nvenc"}:
            yield f"exports {len(exported)} symbols: {sorted(exported)[:5]}"


def problems_of_name(name: re.Match[str], archive: zipfile.ZipFile) -> Iterator[str]:
    """What the wheel's name promises is what the module is, and not only for new systems."""
    _, abi, *glibc, processor = name.groups()
    if tuple(map(int, glibc)) > NEWEST_GLIBC:
        yield f"is for glibc {'.'.join(glibc)} and newer: {'.'.join(map(str, NEWEST_GLIBC))} is wanted, or older"
    for module in (entry for entry in archive.infolist() if entry.filename.endswith(".so")):
        if not module.filename.endswith(f".cpython-{abi.removeprefix('cp')}-{processor}-linux-gnu.so"):
            yield f"{module.filename} is not the name of a module for {abi} on {processor}"
        (machine,) = struct.unpack_from("<H", archive.read(module), 18)
        if machine != MACHINES[processor]:
            yield f"{module.filename} is for the processor {machine} of ELF's list, not for {processor}"


def problems_of_size(wheel: Path, archive: zipfile.ZipFile) -> Iterator[str]:
    sizes = {entry.filename: entry.compress_size for entry in archive.infolist() if entry.filename.endswith(".so")}
    sizes[wheel.name] = wheel.stat().st_size
    for name, size in sizes.items():
        limit = LARGEST_WHEEL if name == wheel.name else LARGEST_MODULE
        if size > limit:
            yield f"{name} has {size} bytes, over {limit}. If what has grown is worth it, raise the limit"


def problems_of_record(names: set[str], archive: zipfile.ZipFile) -> Iterator[str]:
    """RECORD lists every file with its hash and size."""
    (record,) = [name for name in names if name.endswith(".dist-info/RECORD")]
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(archive.read(record).decode()))}
    yield from (f"RECORD and the files differ: {name}" for name in sorted(rows.keys() ^ names))
    for name in sorted((rows.keys() & names) - {record}):
        content = archive.read(name)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        if rows[name] != [f"sha256={digest}", str(len(content))]:
            yield f"RECORD has another hash or size of {name}"


def is_for_this_python(name: re.Match[str]) -> bool:
    suffix = f".cpython-{name[2].removeprefix('cp')}-{name[5]}-linux-gnu.so"
    return bool(suffix == sysconfig.get_config_var("EXT_SUFFIX"))


def problems_of_import(wheel: Path, folder: Path) -> Iterator[str]:
    """Unpacked for a bare interpreter: the import needs no dependencies."""
    environment = folder / "venv"
    venv.create(environment, symlinks=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    command = [str(environment / "bin" / "python"), "-I", "-c", IMPORT]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)
    if result.returncode or str(packages.resolve()) not in str(Path(result.stdout.strip()).resolve()):
        yield f"import in an empty environment: {result.stdout}{result.stderr}"


def problems(wheel: Path) -> Iterator[str]:
    name = NAME.fullmatch(wheel.name)
    with tempfile.TemporaryDirectory() as temporary, zipfile.ZipFile(wheel) as archive:
        folder = Path(temporary)
        names = {name for name in archive.namelist() if not name.endswith("/")}
        yield from problems_of_metadata(names, archive)
        yield from problems_of_contents(names, archive)
        yield from problems_of_record(names, archive)
        yield from problems_of_size(wheel, archive)
        archive.extractall(folder / "wheel")
        yield from problems_of_module(folder / "wheel")
        if name is None:
            yield f"{wheel.name} has no manylinux tag"
            return
        yield from problems_of_name(name, archive)
        if is_for_this_python(name):
            yield from problems_of_import(wheel, folder)


def main() -> int:
    found = [problem for wheel in sys.argv[1:] for problem in problems(Path(wheel))]
    print("\n".join(found) or f"good: {', '.join(Path(wheel).name for wheel in sys.argv[1:])}")
    return 1 if found or len(sys.argv) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
