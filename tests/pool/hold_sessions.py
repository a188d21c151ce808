"""Another process with encode sessions: it opens this many, says so, and closes them when its input ends."""

from __future__ import annotations

import sys

from pdum.nvenc import NvencEncoder


def main() -> None:
    held = [NvencEncoder(192, 128) for _ in range(int(sys.argv[1]))]
    print("held", flush=True)
    sys.stdin.read()
    for encoder in held:
        encoder.close()


if __name__ == "__main__":
    main()
