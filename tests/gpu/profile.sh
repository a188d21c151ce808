#!/usr/bin/env bash
# Records a short run on a machine with a CUDA GPU under Nsight Systems: NVTX ranges beside CUDA's calls and kernels. The
# encoder is simulated. Run tests/gpu/run.sh first, which builds the package and the simulated encoder.
#
#   tests/gpu/profile.sh [FOLDER]    the recording goes there (build/gpu-results)
#
# NSYS              nsys, if it is not in PATH
# PDUM_GPU_PYTHON   another Python than python3, with CuPy
set -euo pipefail
cd "$(dirname "$0")/../.."

results=${1:-build/gpu-results}
nsys=${NSYS:-$(command -v nsys || ls /opt/nvidia/nsight-*/*/host/target-linux-x64/nsys 2>/dev/null | tail -n 1)}
[[ -n $nsys ]] || { echo 'nsys is missing: install Nsight Systems, or name it with NSYS'; exit 1; }
mkdir -p "$results"
export PYTHONPATH="$PWD/build/gpu-site${PYTHONPATH:+:$PYTHONPATH}"
export LD_LIBRARY_PATH="$PWD/build/gpu-driver/encode${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export NVSIM_CONFIG='{"gpus": [{"like": "RTX 4090", "name": "engine", "engines": 1, "fps_1080p": 60}], "backend": "echo", "strict": false}'

"$nsys" --version
# One that has no importer leaves a .qdstrm, which a complete Nsight Systems of the same version imports.
"$nsys" profile --trace=nvtx,cuda --sample=none --cpuctxsw=none --force-overwrite true --output "$results/rendered" \
    "${PDUM_GPU_PYTHON:-python3}" tests/gpu/profiled.py "$results/rendered.mp4"
rm -f "$results/rendered.mp4"
if [[ ! -f $results/rendered.nsys-rep ]]; then xz -f -T0 "$results/rendered.qdstrm" || true; fi
ls -l "$results"/rendered*
