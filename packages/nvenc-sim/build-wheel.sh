#!/usr/bin/env bash
# Builds wheels of pdum-nvenc-sim, checks them, tries each in an empty environment, and writes its proof.
#
#   packages/nvenc-sim/build-wheel.sh [FOLDER]     for this machine's processor, into wheelhouse/ if no folder is given
#   packages/nvenc-sim/build-wheel.sh --all dist   for x86_64 and aarch64
#   packages/nvenc-sim/build-wheel.sh --help       everything else
#
# The compiler is zig's, from PyPI, which links against the glibc of 2018 on any system. The headers of x264, x265,
# libaom and libavcodec are taken from this system. With CXX=g++ that compiler is used: it takes less time, and the wheel is
# for systems as new as this one. A wheel for another processor is tried in QEMU, with Debian's Python and FFmpeg.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/../../wheels/with_tools.sh" wheels.simulated_driver --here "$PWD" "$@"
