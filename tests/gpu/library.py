"""The simulated encoder library by itself, as the tests on a GPU use it."""

from __future__ import annotations

import ctypes
import json
from pathlib import Path
from typing import Any


class EncodeLibrary:
    """The simulated libnvidia-encode alone, over the machine's own libcuda."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        self._library.nvsim_control.restype = ctypes.c_char_p

    def control(self, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._library.nvsim_control(json.dumps(request).encode()))
        assert "error" not in answer, answer
        return answer
