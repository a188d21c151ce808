#!/usr/bin/env bash
# The benchmarks of a single encoder and of very many jobs that need no GPU, one after another, each with its medians and
# quartiles, in one output. Takes about half an hour on a quiet machine of two cores; the load at each one's start is in
# its first line.
#
#   benchmarks/run_all.sh            the figures of benchmarks/README.md
#   benchmarks/run_all.sh --quick    a tenth of the work, to see that all of it runs
#
# PYTHON         the Python that has the package, PyAV and PyNvVideoCodec (.venv/bin/python, else python3)
# PDUM_RESULTS   where each output and all samples (JSON) are kept (build/benchmarks/results)
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
if [[ -z ${PYTHON:-} && -x .venv/bin/python ]]; then python=.venv/bin/python; fi
results=${PDUM_RESULTS:-build/benchmarks/results}
mkdir -p "$results"
failed=()

run() { # name of a benchmark, its arguments
    local name=$1
    shift
    printf '\n== %s.py %s\n' "$name" "$*"
    "$python" "benchmarks/$name.py" "$@" --json "$results/$name.json" 2>"$results/$name.err" |
        tee "$results/$name.txt" || { failed+=("$name"); tail -5 "$results/$name.err"; }
}

echo "$(date -u +%Y-%m-%d), $(uname -sm), $(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg), the driver is simulated"
if [[ ${1:-} == --quick ]]; then
    run import_time --rounds 5
    run client_cost --frames 300 --rounds 2
    run zero_copy --frames 500 --rounds 2
    run memory --frames 50000 --sessions 1000
    run create_destroy --sessions 5000
    run turns --questions 30 --rounds 2
    run many_jobs --quick --rounds 1
    run batch_plan --quick --rounds 1
    run writer --frames 500 --rounds 2
    run writer_engines --only L4 --repeats 1 --seconds 1
    run pipeline --sizes 720p --frames 30 --rounds 2
else
    run import_time
    run client_cost
    run zero_copy
    run memory
    run create_destroy
    run turns
    run many_jobs
    run batch_plan
    run writer
    run writer_engines
    run pipeline
fi

if ((${#failed[@]})); then
    printf '\nFAILED: %s\n' "${failed[*]}"
    exit 1
fi
printf '\nall ran; outputs and samples in %s\n' "$results"
