"""The cross compiler: zig's clang, with old glibc, for both processors.

What throws in the module must be unwound by the same library that ends threads: glibc's pthread_exit takes
libgcc_s.so.1. zig would link its own unwinder, whose data is laid out differently, so the module links libgcc_s.so.1,
which manylinux allows. Its place is taken by a stand-in that has the same names, for the linker alone.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from wheels.commands import cache, run
from wheels.target import GLIBC, Target

UNWINDER = {
    "GCC_3.0": [
        "DeleteException", "ForcedUnwind", "GetDataRelBase", "GetGR", "GetIP", "GetLanguageSpecificData",
        "GetRegionStart", "GetTextRelBase", "RaiseException", "Resume", "SetGR", "SetIP",
    ],
    "GCC_3.3": ["Backtrace", "FindEnclosingFunction", "GetCFA", "Resume_or_Rethrow"],
    "GCC_4.2.0": ["GetIPInfo"],
}  # fmt: skip
# Small: what nothing calls is left out. zig compiles its C++ library once for each kind of optimisation, so what CMake
# tries is of the same kind, or not linked.
TOOLCHAIN = """\
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR {architecture})
set(CMAKE_CXX_COMPILER "{compiler}")
set(CMAKE_CXX_FLAGS_INIT "-Os -ffunction-sections -fdata-sections")
set(CMAKE_MODULE_LINKER_FLAGS_INIT "-s -Wl,--gc-sections {unwinder}")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-s -Wl,--gc-sections {unwinder}")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY NEVER)
"""


def zig(target: Target, folder: Path, glibc: str = GLIBC) -> Path:
    """A program that compiles C++ for the target, and for systems with this glibc or a newer one."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "c++"
    zig_home = cache("zig")
    command = f'"{sys.executable}" -m ziglang c++ -target {target.triplet}.{glibc}'
    program.write_text(f'#!/bin/sh\nZIG_GLOBAL_CACHE_DIR="{zig_home}" exec {command} "$@"\n')
    program.chmod(0o755)
    return program


def stand_in(compiler: Path, library: Path) -> None:
    """libgcc_s.so.1 with empty functions of the right names and versions."""
    script = ""
    previous = ""
    for version, names in UNWINDER.items():
        listed = " ".join(f"_Unwind_{name};" for name in names)
        script += f"{version} {{ global: {listed}{'' if previous else ' local: *;'} }}{previous};\n"
        previous = f" {version}"
    versions = library.with_suffix(".map")
    versions.write_text(script)
    source = library.with_suffix(".cpp")
    functions = [f'extern "C" void _Unwind_{name}() {{}}\n' for names in UNWINDER.values() for name in names]
    source.write_text("".join(functions))
    options = ["-Os", "-shared", "-nostdlib", f"-Wl,-soname,{library.name}", f"-Wl,--version-script={versions}"]
    run(compiler, *options, source, "-o", library)


def cmake_options(target: Target) -> list[str]:
    """What makes CMake compile for the target."""
    folder = cache("compiler", target.architecture)
    compiler = zig(target, folder)
    library = folder / "libgcc_s.so.1"
    if not library.exists():
        stand_in(compiler, library)
    toolchain = folder / "toolchain.cmake"
    toolchain.write_text(TOOLCHAIN.format(architecture=target.architecture, compiler=compiler, unwinder=library))
    options = [f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", "-DCMAKE_BUILD_TYPE=MinSizeRel"]
    if shutil.which("ccache"):
        options.append("-DCMAKE_CXX_COMPILER_LAUNCHER=ccache")
    return options


def jobs() -> str:
    return os.environ.get("JOBS") or str(os.cpu_count() or 1)
