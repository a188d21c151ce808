#!/usr/bin/env bash
# Builds the package and the simulated encoder, then runs the GPU tests: for a machine with a CUDA GPU, a compiler and
# Python with CuPy, PyTorch and pytest. Arguments go to pytest. PDUM_GPU_PYTHON names another Python than python3.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PDUM_GPU_PYTHON:-python3}
site=build/gpu-site
export NVSIM_DIR=$PWD/build/gpu-driver

# Without an index: everything that the build needs is there or the machine has it already.
"$python" -m pip install --quiet --no-build-isolation --no-deps --upgrade --target "$site" \
    --config-settings=build-dir=build/gpu .
cmake -S tests/driver -B "$NVSIM_DIR" >"$NVSIM_DIR.log" 2>&1 || { cat "$NVSIM_DIR.log"; exit 1; }
cmake --build "$NVSIM_DIR" -j "$(nproc)" >>"$NVSIM_DIR.log" 2>&1 || { tail -50 "$NVSIM_DIR.log"; exit 1; }

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader
export PDUM_NO_SKIPS=1 PYTHONPATH="$PWD/$site:$PWD/tests${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m pytest tests/gpu -v -p no:cacheprovider "$@"
