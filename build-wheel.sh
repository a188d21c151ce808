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
cd "$(dirname "${BASH_SOURCE[0]}")"

export PDUM_WHEEL_CACHE=${PDUM_WHEEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pdum-nvenc-wheels}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
TOOLS=$PDUM_WHEEL_CACHE/tools

WANTED=$(sha256sum wheels/requirements.txt wheels/compiler.txt)
if [[ ! -f $TOOLS/.installed || $(<"$TOOLS/.installed") != "$WANTED" ]]; then
    echo "== tools: wheels/requirements.txt and wheels/compiler.txt into $TOOLS"
    "${PYTHON:-python3}" -m venv --clear "$TOOLS"
    "$TOOLS/bin/python" -m pip install -qq -r wheels/requirements.txt
    "$TOOLS/bin/python" -m pip install -qq --require-hashes -r wheels/compiler.txt
    echo "$WANTED" >"$TOOLS/.installed"
fi
PATH=$TOOLS/bin:$PATH exec "$TOOLS/bin/python" -m wheels "$@"
