#!/usr/bin/env bash
# Runs the tests under conditions that no test may depend on: three times beside busy processes, five times in random
# order. The random orders shuffle all tests, so fixtures of modules are made far more often, and a run takes longer.
#
#   tests/stress.sh               three runs beside eight busy processes, then five random orders
#   tests/stress.sh 1 2           one busy run and two random orders
#   tests/stress.sh 0 1 -k pool   the further arguments go to pytest
#
# BUSY   how many busy processes (8)
# SEED   the first of the random orders (the number of this day)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

BUSY_RUNS=${1:-3} SHUFFLED_RUNS=${2:-5}
shift $(($# < 2 ? $# : 2))
SEED=${SEED:-$(date +%Y%m%d)}
BUSY_PIDS=() FAILED=()

stop_busy() { ((${#BUSY_PIDS[@]} == 0)) || kill "${BUSY_PIDS[@]}" 2>/dev/null || true; }
trap stop_busy EXIT

for ((run = 1; run <= BUSY_RUNS; run++)); do
    for ((i = 0; i < ${BUSY:-8}; i++)); do
        (while :; do :; done) &
        BUSY_PIDS+=($!)
    done
    printf '\n== busy run %d of %d\n' "$run" "$BUSY_RUNS"
    ./test.sh -q "$@" || FAILED+=("busy run $run")
    stop_busy
    BUSY_PIDS=()
done
for ((run = 0; run < SHUFFLED_RUNS; run++)); do
    printf '\n== random order, seed %d\n' "$((SEED + run))"
    ./test.sh -q --shuffle "$((SEED + run))" "$@" || FAILED+=("seed $((SEED + run))")
done
((${#FAILED[@]} == 0)) || { printf 'FAILED: %s\n' "${FAILED[*]}"; exit 1; }
