"""``python -m pdum.nvenc`` is ``pdum-nvenc``; without arguments it is its ``doctor``."""

import sys

from ._cli import main
from ._distributions import wrong_package

if __name__ == "__main__":
    if told := wrong_package():
        sys.exit(f"pdum-nvenc: {told}")
    sys.exit(main(sys.argv[1:] or ["doctor"]))
