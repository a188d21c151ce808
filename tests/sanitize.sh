#!/usr/bin/env bash
# Runs the tests marked `sanitize` on builds of the module and of the simulated driver under AddressSanitizer with
# UndefinedBehaviorSanitizer, then under ThreadSanitizer. Needs what ./test.sh has set up.
#
#   tests/sanitize.sh [address|thread] [arguments of pytest]     both when none is named
#
# Python itself is not instrumented: the sanitizers' run-time libraries are preloaded into it. ThreadSanitizer still sees
# its locks, the GIL among them, and with them what they guard in our code.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ROOT=$PWD
JOBS=${JOBS:-$(nproc)}
export PATH=$ROOT/.venv/bin:$PATH

case ${1:-} in
    address | thread) KINDS=("$1"); shift ;;
    *) KINDS=(address thread) ;;
esac

# Compiled in half the time of -O2 -g. The reports still have functions and lines, and less is optimised away.
OPTIMISED=(-DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g1 -DNDEBUG")
# Eight files are compiled as one, which saves a good part of the time, and shows where two files mean different things
# by the same name.
TOGETHER=(-DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=8)

configure_and_build() { # source, build folder, options
    local source=$1 folder=$2
    shift 2
    [[ -f $folder/build.ninja ]] ||
        cmake -S "$source" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo "${OPTIMISED[@]}" "${TOGETHER[@]}" "$@" >/dev/null
    cmake --build "$folder" -j "$JOBS" >"$folder/build.log" 2>&1 || { tail -n 40 "$folder/build.log"; return 1; }
}

# An environment that sees all packages of .venv but takes pdum.nvenc from the sanitized build.
make_environment() { # folder
    local folder=$1 packages
    rm -rf "$folder/site" "$folder/venv"
    mkdir -p "$folder/site"
    cp -r "$ROOT/src/pdum" "$folder/site/"
    cp "$folder"/module/_nvenc*.so "$folder/site/pdum/nvenc/"
    python -m venv --without-pip "$folder/venv"
    packages=$(echo "$folder"/venv/lib/python3*/site-packages)
    printf '%s\n' "$folder/site" "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" >"$packages/sanitize.pth"
}

run_time_library() { g++ -print-file-name="$1"; }

# ThreadSanitizer's shadow memory collides with the most random of address layouts.
fixed_layout() { if setarch -R true 2>/dev/null; then setarch -R "$@"; else "$@"; fi; }

export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$ROOT/tests/tsan.supp

# What a sanitizer says goes to files: pytest has taken a worker's stderr, and it is lost with a worker that dies.
write_reports_to() { # folder
    rm -rf "$1"
    mkdir -p "$1"
    export ASAN_OPTIONS=$ASAN_OPTIONS:log_path=$1/report
    export UBSAN_OPTIONS=$UBSAN_OPTIONS:log_path=$1/report
    export TSAN_OPTIONS=$TSAN_OPTIONS:log_path=$1/report
}

show_reports() { # folder
    local report found=
    for report in "$1"/report.*; do
        [[ -s $report ]] || continue
        found=yes
        printf '== what the sanitizer of process %s said\n' "${report##*.}"
        head -n 120 "$report"
    done
    [[ $found ]] || echo '== no sanitizer has said anything: if a worker died, something else has ended it'
}

run_tests() { # kind, folder, arguments of pytest
    local kind=$1 folder=$2 preload status=0 ignored=(--ignore=tests/gpu)
    shift 2
    # The sweep over failures has one thread, and takes minutes more under ThreadSanitizer.
    [[ $kind != thread ]] || ignored+=(--ignore=tests/test_faults.py)
    preload=$(run_time_library libstdc++.so)
    if [[ $kind == address ]]; then
        preload=$(run_time_library libasan.so):$(run_time_library libubsan.so):$preload
    else
        preload=$(run_time_library libtsan.so):$preload
    fi
    write_reports_to "$folder/reports"
    NVSIM_DIR=$folder/driver PDUM_SANITIZER=$kind fixed_layout \
        env LD_PRELOAD="$preload" "$folder/venv/bin/python" -m pytest -p no:cacheprovider -m "sanitize and not slow" --timeout 900 "${ignored[@]}" -n "$JOBS" "$@" ||
        status=$?
    ((status == 0)) || show_reports "$folder/reports"
    return "$status"
}

for kind in "${KINDS[@]}"; do
    echo "== $kind sanitizer"
    folder=$ROOT/build/sanitize/$kind
    with=$kind
    [[ $kind != address ]] || with=address,undefined
    configure_and_build tests/driver "$folder/driver" -DNVSIM_SANITIZE="$with"
    configure_and_build . "$folder/module" -DPDUM_SANITIZE="${with/,/;}" -DPDUM_WERROR=ON -DPython_EXECUTABLE="$ROOT/.venv/bin/python"
    make_environment "$folder"
    run_tests "$kind" "$folder" "$@"
done
