#!/usr/bin/env bash
# Everything that wants a CUDA GPU, in one go: builds the package and the simulated encoder, runs the GPU tests, then the
# benchmarks with the real libcuda, and prints a summary. For a machine with a CUDA GPU, a compiler and Python with CuPy,
# PyTorch and pytest; PyAV and PyNvVideoCodec are measured where they are installed. No network is used. The simulated
# encoder takes x264 and x265 where their headers are: CMAKE_PREFIX_PATH names other places than the compiler's own.
#
#   tests/gpu/run.sh                 all of it, in about five minutes
#   tests/gpu/run.sh -k zero_copy    arguments go to pytest; no benchmarks then
#
# PDUM_GPU_PYTHON   another Python than python3
# PDUM_RESULTS      where the whole output of each part goes (build/gpu-results)
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PDUM_GPU_PYTHON:-python3}
site=build/gpu-site
results=${PDUM_RESULTS:-build/gpu-results}
export NVSIM_DIR=$PWD/build/gpu-driver
mkdir -p "$results" build
failed=()

# Without an index: everything that the build needs is there or the machine has it already.
build() {
    "$python" -m pip install --no-build-isolation --no-deps --upgrade --target "$site" \
        --config-settings=build-dir=build/gpu .
    cmake -S tests/driver -B "$NVSIM_DIR"
    cmake --build "$NVSIM_DIR" -j "$(nproc)"
}
build >"$results/build.txt" 2>&1 || { tail -50 "$results/build.txt"; exit 1; }

part() { # name, command: its output is shown and kept, and its failure does not stop the rest
    local name=$1
    shift
    printf '\n== %s\n' "$name"
    "$@" 2>"$results/$name.err" | tee "$results/$name.txt" || { failed+=("$name"); tail -5 "$results/$name.err"; }
}

tests_by_file() { # of a JUnit report
    "$python" - "$1" <<'PROGRAM'
import sys
import xml.etree.ElementTree as tree
from collections import Counter, defaultdict

counts = defaultdict(Counter)
for case in tree.parse(sys.argv[1]).iter("testcase"):
    outcomes = {child.tag for child in case} & {"failure", "error", "skipped"}
    counts[case.get("classname").split(".")[-1]][outcomes.pop() if outcomes else "passed"] += 1
for name, outcome in sorted(counts.items()):
    print(f"{name:<24}", ", ".join(f"{number} {what}" for what, number in sorted(outcome.items())))
print(f"{'together':<24}", ", ".join(f"{number} {what}" for what, number in sorted(sum(counts.values(), Counter()).items())))
PROGRAM
}

machine=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader)
export PDUM_NO_SKIPS=1 PYTHONPATH="$PWD/$site:$PWD/tests${PYTHONPATH:+:$PYTHONPATH}"
report=$results/tests.xml
tests=(tests/gpu)
if (($(nvidia-smi --list-gpus | wc -l) < 2)); then
    echo "one GPU: the tests that need two are left out"
    tests+=(--ignore tests/gpu/test_two_gpus.py)
fi
part tests "$python" -m pytest "${tests[@]}" -q --tb=short -p no:cacheprovider --junitxml="$report" "$@"
if (($# == 0)); then
    part benchmarks "$python" -m benchmarks --gpu --json "$results/figures.json"
fi

printf '\n== summary: %s, %s\n' "$machine" "$(date -u +%Y-%m-%d)"
[[ ! -f $report ]] || tests_by_file "$report"
if ((${#failed[@]})); then
    echo "FAILED: ${failed[*]}"
    exit 1
fi
echo "all parts passed; whole outputs in $results"
