"""Packs the PTX of all kernels into C++ source, each kernel as a text of its own: a driver compiles only what is used.

usage: embed.py rgb_to_yuv.ptx output.cpp
"""

from __future__ import annotations

import re
import sys
from itertools import accumulate
from pathlib import Path

ARGUMENT = re.compile(r"\.param \.align (\d+) \.b8 \w+_param_0\[(\d+)\]")
ENTRY = re.compile(r"^\.visible \.entry (\w+)\(.*?^\}$", re.MULTILINE | re.DOTALL)

SOURCE = """\
// Made by src/cuda/embed.py from {name}.
#include <array>
#include <string_view>

#include "colour/colour_kernels.hpp"
#include "colour/packed_text.hpp"

namespace pdum::nvenc {{
namespace {{

// The host passes a kernel the bytes of this struct: it must be laid out as it was when the PTX was made.
static_assert(sizeof(ColourKernelArgument) == {size} && alignof(ColourKernelArgument) == {alignment});

struct Kernel {{
    std::string_view name;
    size_t begin;  // in the unpacked text
    size_t end;
}};

constexpr std::array<Kernel, {count}> kernels{{{{
{kernels}
}}}};

constexpr std::array<unsigned char, {packed_size}> packed{{
{packed}
}};

}}  // namespace

std::string kernel_ptx(std::string_view name) {{
    for (const Kernel& kernel : kernels) {{
        if (kernel.name == name) return unpack(packed.data(), kernel.end).substr(kernel.begin);
    }}
    return {{}};
}}

}}  // namespace pdum::nvenc
"""

SHORTEST_COPY = 12  # colour/packed_text.cpp has the same number
CANDIDATES = 16  # earlier places that are compared; more make the text hardly smaller


def split(ptx: str) -> dict[str, str]:
    """Each kernel with the head of the file before it. Nothing else may stand between kernels: it would be lost."""
    first = ENTRY.search(ptx)
    if first is None:
        raise SystemExit("no kernel in this text")
    head = ptx[: first.start()]
    kernels = {match[1]: head + match[0] + "\n" for match in ENTRY.finditer(ptx)}
    left_over = ENTRY.sub("", ptx[first.start() :]).strip()
    if left_over:
        raise SystemExit(f"what is this between the kernels: {left_over[:200]}")
    return kernels


def argument_block(kernels: dict[str, str]) -> tuple[int, int]:
    """Alignment and size in bytes of the one argument that all kernels take."""
    blocks = {tuple(map(int, block)) for text in kernels.values() for block in ARGUMENT.findall(text)}
    if len(blocks) != 1 or any("_param_1" in text for text in kernels.values()):
        raise SystemExit(f"the kernels have to take one argument of one layout; these take {sorted(blocks)}")
    ((alignment, size),) = blocks
    return alignment, size


def without_indentation(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines()) + "\n"


def number(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    head = bytearray()
    while value > 127:
        head.append(value & 127 | 128)
        value >>= 7
    return bytes([*head, value])


def common_length(data: bytes, earlier: int, here: int) -> int:
    length = 0
    while here + length < len(data) and data[earlier + length] == data[here + length]:
        length += 1
    return length


def pack(data: bytes) -> bytes:
    """The form that colour/packed_text.cpp unpacks: in turn, new bytes and a copy of what came before."""
    packed = bytearray()
    places: dict[bytes, list[int]] = {}
    start = here = 0
    while here < len(data):
        candidates = places.get(data[here : here + SHORTEST_COPY], [])[-CANDIDATES:]
        length, earlier = max(((common_length(data, place, here), place) for place in candidates), default=(0, 0))
        if length >= SHORTEST_COPY:
            packed += number(here - start) + data[start:here] + number(length - SHORTEST_COPY) + number(here - earlier)
        end = here + max(length, 1)
        for place in range(here, end):
            places.setdefault(data[place : place + SHORTEST_COPY], []).append(place)
        here = end
        start = end if length >= SHORTEST_COPY else start
    return bytes(packed + number(len(data) - start) + data[start:])


def as_source(name: str, ptx: str) -> str:
    kernels = split(ptx)
    alignment, size = argument_block(kernels)
    texts = {key: without_indentation(text) for key, text in kernels.items()}
    ends = list(accumulate(map(len, texts.values())))
    rows = [f'    {{"{key}", {end - len(texts[key])}, {end}}},' for key, end in zip(texts, ends, strict=True)]
    packed = pack("".join(texts.values()).encode("ascii"))
    lines = [", ".join(map(str, packed[i : i + 24])) for i in range(0, len(packed), 24)]
    return SOURCE.format(
        name=name, count=len(kernels), kernels="\n".join(rows), alignment=alignment, size=size,
        packed_size=len(packed), packed=",\n".join(lines),
    )  # fmt: skip


def main() -> None:
    ptx, output = map(Path, sys.argv[1:])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(as_source(ptx.name, ptx.read_text()))


if __name__ == "__main__":
    main()
