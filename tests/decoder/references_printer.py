"""What the decoder's bookkeeping of references says, from a program that has nothing else of the module in it.

It is built with AddressSanitizer and UndefinedBehaviorSanitizer.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from test_turnstile import in_a_fixed_layout

from loud import need_program

Records = Iterable[tuple[str, bytes]]
"""See references_printer.cpp."""
PARTS = ("bit_reader", "nal_units", "hevc_headers", "hevc_references", "h264_headers", "h264_references")
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover", "-D_GLIBCXX_ASSERTIONS"]


def build(root: Path, program: Path) -> None:
    sources = [root / "src" / "cpp" / "decoder" / f"{part}.cpp" for part in PARTS]
    command = [need_program("g++", "g++"), "-std=c++17", "-Wall", "-Wextra", "-Werror", *SANITIZERS]
    command += [f"-I{root / 'src' / 'cpp'}", *map(str, sources), str(root / "tests" / "references_printer.cpp")]
    subprocess.run([*command, "-o", str(program)], check=True, timeout=600)


class Printer:
    """Takes one stream after the other."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def answers(self, records: Records, codec: str = "hevc") -> list[tuple[int, ...]]:
        """For each picture: affected, losses, heals."""
        records = [("N", b""), *records]
        process = self._running_for(codec)
        assert process.stdin is not None
        assert process.stdout is not None
        for letter, data in records:
            process.stdin.write(letter.encode() + len(data).to_bytes(4, "little") + data)
        process.stdin.flush()
        lines = [process.stdout.readline().split() for letter, _ in records if letter == "D"]
        assert all(lines), "the program has ended: a sanitizer tells why on stderr"
        return [tuple(map(int, line)) for line in lines]

    def _running_for(self, codec: str) -> subprocess.Popen[bytes]:
        if codec not in self._running:
            command = [*in_a_fixed_layout(), str(self._program), codec]
            self._running[codec] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._running[codec]

    def end(self) -> None:
        for process in self._running.values():
            process.communicate(timeout=60)
            assert process.returncode == 0
