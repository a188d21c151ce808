#!/usr/bin/env bash
# Runs a module of Python with the tools that make wheels: wheels/with_tools.sh MODULE [ARGUMENT...]
#
# The tools come from PyPI, into a cache outside this folder: $PDUM_WHEEL_CACHE, or ~/.cache/pdum-nvenc-wheels.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

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
PATH=$TOOLS/bin:$PATH exec "$TOOLS/bin/python" -m "$@"
