"""Takes a wheel of pdum-nvenc-sim apart; exits with 1 and lists its errors, or says that it is good."""

from __future__ import annotations

import platform
import re
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

SYSTEM_LIBRARIES = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"}
SYSTEM_LIBRARIES |= {"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libgcc_s.so.1"}
MACHINES = {"x86_64": 62, "aarch64": 183}  # as ELF calls them
DRIVER = {
    "full/libcuda.so.1": "cu",
    "full/libnvidia-encode.so.1": "NvEncodeAPI",
    "full/libnvidia-ml.so.1": "nvml",
    "full/libnvcuvid.so.1": "cuvid",
    "encode/libnvidia-encode.so.1": "NvEncodeAPI",
}


def machine_of(library: Path) -> int:
    """The number of its processor, as ELF has them."""
    (number,) = struct.unpack_from("<H", library.read_bytes(), 18)
    return int(number)


def lines_of(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def problems_of_library(path: Path, prefix: str, machine: str) -> Iterator[str]:
    if MACHINES.get(machine) != machine_of(path):
        yield f"{path.name} is not for {machine}"
    dynamic = "\n".join(lines_of("readelf", "-d", str(path)))
    if f"[{path.name}]" not in dynamic.partition("SONAME")[2].partition("\n")[0]:
        yield f"{path.name} has another SONAME"
    needed = set(re.findall(r"\(NEEDED\).*\[(.+)\]", dynamic))
    yield from (f"{path.name} needs {name}" for name in sorted(needed - SYSTEM_LIBRARIES))
    names = {line.split()[-1].split("@")[0] for line in lines_of("nm", "-D", "--defined-only", str(path))}
    others = sorted(name for name in names if not name.startswith(prefix) and name != "nvsim_control")
    if others:
        yield f"{path.name} exports {others[:5]}"
    if "nvsim_control" not in names:
        yield f"{path.name} has no nvsim_control"


def problems(wheel: Path) -> Iterator[str]:
    named = re.search(r"-py3-none-manylinux_2_\d+_(\w+)\.whl$", wheel.name)
    if not named:
        yield f"{wheel.name} is not for manylinux and every Python 3"
    machine = named[1] if named else platform.machine()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
        root = Path(folder) / "nvsim" / "driver"
        libraries = {str(path.relative_to(root)) for path in root.rglob("*.so*")}
        yield from (f"driver/{name} is missing" for name in sorted(set(DRIVER) - libraries))
        yield from (f"driver/{name} does not belong here" for name in sorted(libraries - set(DRIVER)))
        for name in sorted(libraries & set(DRIVER)):
            yield from problems_of_library(root / name, DRIVER[name], machine)


def main() -> int:
    found = list(problems(Path(sys.argv[1])))
    print("\n".join(found) or "good")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
