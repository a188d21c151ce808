"""The size of each wheel in a folder, packed as it is downloaded and unpacked as it is installed."""

from __future__ import annotations

import argparse
import zipfile
from pathlib import Path

from measuring import Figure, machine, save

KB = 1000
WHEELS = Path(__file__).resolve().parents[1] / "wheelhouse"


def sizes(wheel: Path) -> dict[str, float]:
    with zipfile.ZipFile(wheel) as archive:
        members = {member.filename: member.file_size for member in archive.infolist()}
    native = sum(size for name, size in members.items() if name.endswith(".so"))
    return {
        "wheel": wheel.stat().st_size / KB,
        "unpacked": sum(members.values()) / KB,
        "native module": native / KB,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=WHEELS, help="(%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    given = parser.parse_args()
    wheels = sorted(given.folder.glob("*.whl"))
    if not wheels:
        raise SystemExit(f"Expected wheels in {given.folder}, got none. Build them with ./build-wheel.sh.")
    print(machine())
    figures = []
    for wheel in wheels:
        name, found = "-".join(wheel.stem.split("-")[0:1] + wheel.stem.split("-")[2:]), sizes(wheel)
        print(f"{name:<60}", ", ".join(f"{what} {size:.0f} KB" for what, size in found.items()))
        figures += [Figure(name, what, "KB", [size]) for what, size in found.items()]
    save(given.json, "wheel_sizes", figures)


if __name__ == "__main__":
    main()
