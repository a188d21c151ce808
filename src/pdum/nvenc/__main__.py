"""``python -m pdum.nvenc`` tells what works here; it ends with 1 where nothing can be encoded."""

import sys

from ._doctor import doctor

if __name__ == "__main__":
    diagnosis = doctor()
    print(diagnosis)
    sys.exit(0 if diagnosis.can_encode else 1)
