#!/usr/bin/env bash
# Makes rgb_to_yuv.ptx, which the package ships, from rgb_to_yuv.cu; needs nvcc. An argument names another output.
# nvcc states the newest version that it knows and the oldest GPU that it can still compile for; the kernels need much
# less: PTX 5.0 and Maxwell, which every driver with an encoder's interface of 12.1 or later compiles, for every GPU
# since. ptxas then checks that no instruction is newer than what is stated.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=${1:-$here/rgb_to_yuv.ptx}
nvcc=${NVCC:-nvcc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$here" # no path of this machine in the text
"$nvcc" -ptx -std=c++17 -O3 -arch=compute_75 rgb_to_yuv.cu -o "$work/new.ptx"
# The pragma says which bytes of a load are used: advice to newer compilers, an error to older ones.
sed -e '/^\/\//d' -e '/^[[:space:]]*\/\//d' -e '/^[[:space:]]*$/d' -e '/\.pragma "used_bytes_mask/d' \
    -e 's/^\.version .*/.version 5.0/' -e 's/^\.target .*/.target sm_50/' -e 's/[[:space:]]*$//' \
    "$work/new.ptx" >"$output"
"$nvcc" -cubin -arch=sm_75 "$output" -o "$work/checked.cubin"
