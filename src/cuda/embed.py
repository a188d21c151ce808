"""Turns the PTX of all kernels into C++ source: each kernel a text of its own, so that a driver compiles what is used.

usage: embed.py rgb_to_yuv.ptx output.cpp
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ARGUMENT = re.compile(r"\.param \.align (\d+) \.b8 \w+_param_0\[(\d+)\]")
ENTRY = re.compile(r"^\.visible \.entry (\w+)\(.*?^\}$", re.MULTILINE | re.DOTALL)

SOURCE = """\
// Made by src/cuda/embed.py from {name}.
#include <array>
#include <string_view>

#include "colour/colour_kernels.hpp"

namespace pdum::nvenc {{
namespace {{

// The host passes a kernel the bytes of this struct: it must be laid out as it was when the PTX was made.
static_assert(sizeof(ColourKernelArgument) == {size} && alignof(ColourKernelArgument) == {alignment});

constexpr std::array<KernelText, {count}> kernels{{{{
{kernels}
}}}};

}}  // namespace

const char* kernel_ptx(const char* name) noexcept {{
    for (const KernelText& kernel : kernels) {{
        if (std::string_view(kernel.name) == name) return kernel.ptx;
    }}
    return nullptr;
}}

}}  // namespace pdum::nvenc
"""


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


def as_source(name: str, ptx: str) -> str:
    kernels = split(ptx)
    alignment, size = argument_block(kernels)
    rows = [f'    {{"{key}", R"ptx({without_indentation(text)})ptx"}},' for key, text in kernels.items()]
    return SOURCE.format(name=name, count=len(kernels), kernels="\n".join(rows), alignment=alignment, size=size)


def main() -> None:
    ptx, output = map(Path, sys.argv[1:])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(as_source(ptx.name, ptx.read_text()))


if __name__ == "__main__":
    main()
