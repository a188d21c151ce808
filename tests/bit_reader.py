"""Bits of headers, for tests that read what no parser at hand reads."""

from __future__ import annotations


class BitReader:
    """Numbers of a fixed width, and Exp-Golomb numbers."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data)
        self._at = 0

    def u(self, width: int) -> int:
        assert self._at + width <= len(self._bits), "the header ends before"
        self._at += width
        return int(self._bits[self._at - width : self._at] or "0", 2)

    def ue(self) -> int:
        zeros = 0
        while self.u(1) == 0:
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)
