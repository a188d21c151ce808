"""The batch tool on a disk that is really full, and again with free space, in a separate mount namespace.

python full_disk_runner.py FOLDER KIBIBYTES ARGUMENT...: mounts a disk of that size over FOLDER/compressed, runs
`pdum-nvenc encode --json` with the arguments on FOLDER, and again on a disk that has grown. Prints a JSON object a run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from clips import command, files_in

CANNOT_MOUNT = 77


def encode(folder: Path, disk: Path, arguments: list[str]) -> None:
    done = subprocess.run(
        command("encode", "--json", *arguments, folder), capture_output=True, text=True, timeout=120, check=False
    )
    told = {"code": done.returncode, "events": done.stdout, "said": done.stderr, "files": sorted(files_in(disk))}
    print(json.dumps(told), flush=True)


def main() -> int:
    folder, size, arguments = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    disk = folder / "compressed"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", disk], check=False).returncode != 0:
        return CANNOT_MOUNT
    encode(folder, disk, arguments)
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
    encode(folder, disk, arguments)
    subprocess.run(["cp", "-a", disk, folder / "kept"], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
