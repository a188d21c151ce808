"""Opens one NVENC session by PyNvVideoCodec for each job of a JSON list, and encodes a few grey pictures in it.

[{"width", "height", "options": {}}, …]
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import PyNvVideoCodec

PICTURES = 2


def encode(job: dict[str, Any]) -> None:
    picture = np.full((job["height"] * 3 // 2, job["width"]), 128, np.uint8)
    encoder: Any = PyNvVideoCodec.CreateEncoder(job["width"], job["height"], "NV12", True, **job["options"])
    for _ in range(PICTURES):
        encoder.Encode(picture)
    encoder.EndEncode()


if __name__ == "__main__":
    for one in json.loads(sys.argv[1]):
        encode(one)
