"""``python -m pdum.nvenc`` is ``pdum-nvenc``; without arguments it is its ``doctor``."""

import sys

from ._cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["doctor"]))
