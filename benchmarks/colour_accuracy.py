"""How many codes of the RGB kernels are not the correctly rounded ones, over all matrices, ranges and sitings.

    python benchmarks/colour_accuracy.py [--rows 216] [--json FILE]

The kernels' source is compiled as C++ and runs on the processor, as in the tests, and is compared with their reference
in float64. A GPU gives the same codes, bit for bit: ``tests/gpu/test_colour.py`` checks that.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import product
from pathlib import Path

from measuring import Figure, machine, save

# In place of this folder, which has a colour of its own.
sys.path[0] = str(Path(__file__).resolve().parents[1] / "tests")

from colour import reference  # noqa: E402
from colour.cases import Arrangement, deviation, make_image, make_output  # noqa: E402
from colour.emulator import Emulator  # noqa: E402

WIDTH, SEED = 1920, 7
TYPES = {"u8": "uint8", "f16": "float16", "f32": "float32"}
FORMS = {"nv12": "NV12", "p010": "P010", "yuv444": "4:4:4 of 8 bits", "yuv444_10": "4:4:4 of 10 bits"}


def one_off(emulator: Emulator, kind: str, form: str, rows: int) -> float:
    """Codes beside the correctly rounded one, of a million. The script ends if one is further away."""
    inexact = total = 0
    for matrix, full_range, siting in product(reference.MATRICES, (False, True), reference.SITINGS):
        case = Arrangement(WIDTH, rows, kind, form=form, matrix=matrix, full_range=full_range, siting=siting)
        image, output = make_image(case, SEED), make_output(case)
        emulator.convert(case, image, output)
        found = deviation(case, image, output)
        if found.worst > 1:
            raise SystemExit(f"A code of {case} is {found.worst} away from the right one.")
        inexact, total = inexact + found.inexact, total + found.total
    return 1e6 * inexact / total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=216, help="of each image (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    given = parser.parse_args()
    print(machine("numpy"))
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        emulator = Emulator(Path(folder))
        for (kind, row), (form, column) in product(TYPES.items(), FORMS.items()):
            figures.append(Figure(row, column, "codes of a million", [one_off(emulator, kind, form, given.rows)]))
            print(f"{row} to {column}: {figures[-1].samples[0]:.0f} of a million codes are one off", flush=True)
    save(given.json, "colour_accuracy", figures, "numpy")


if __name__ == "__main__":
    main()
