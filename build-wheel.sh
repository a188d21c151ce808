#!/usr/bin/env bash
# Builds manylinux wheels, checks them, and tries them on the simulated driver. docs/wheels.md describes it.
#
#   ./build-wheel.sh                               for python3, on this machine's processor
#   ./build-wheel.sh --python 3.12 --python 3.13t  for these versions
#   ./build-wheel.sh --all                         CPython 3.10 to 3.14, 3.13t and 3.14t, x86_64 and aarch64; the sdist
#   ./build-wheel.sh --no-nvtx --out dist          without ranges for profilers; its name is the same
#   ./build-wheel.sh --out dist                    where the wheels go (wheelhouse)
#   ./build-wheel.sh --help                        everything else
#
# The tools come from PyPI, into a cache outside this folder: $PDUM_WHEEL_CACHE, or ~/.cache/pdum-nvenc-wheels.
set -euo pipefail
exec "$(dirname "${BASH_SOURCE[0]}")/wheels/with_tools.sh" wheels "$@"
