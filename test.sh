#!/usr/bin/env bash
# Makes what is missing, checks the code and runs all tests. A fresh Debian or Ubuntu with python3 (3.10 or newer) is
# enough; run as root it installs its packages, otherwise it says which are missing.
#
#   ./test.sh                 everything but what is marked slow
#   ./test.sh -m slow         the slow sweeps: every fault at every call, builds with other options, the wheel
#   ./test.sh -k reconfigure  arguments go to pytest; the linters are left out
#   ./test.sh --format        formats all sources
#
# PYTHON       which Python to make .venv with (python3)
# JOBS         how many compilers and test processes (as many as there are processors)
# PDUM_NO_SKIPS=1   a test that would be skipped fails instead
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

JOBS=${JOBS:-$(nproc)}
VENV=$PWD/.venv
export NVSIM_DIR=$PWD/build/driver
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 DEBIAN_FRONTEND=noninteractive

NEEDED_PACKAGES=(g++ python3-dev python3-venv)
TEST_PACKAGES=(
    libx264-dev libx265-dev libaom-dev libavcodec-dev ffmpeg
    gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    chromium # tests/browser: pages and files in a real browser
)

if [[ -t 1 || ${FORCE_COLOR:-} ]]; then
    BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' PLAIN=$'\e[0m'
else
    BOLD='' RED='' GREEN='' YELLOW='' PLAIN=''
fi
STEP='start' FAILED=() MISSING=()

step() { STEP=$1; printf '%s== %s%s\n' "$BOLD" "$1" "$PLAIN"; }

# Runs a check; a failure is remembered, so that the others run too.
check() { "$@" || FAILED+=("$STEP"); }

summary() {
    local status=$?
    if ((status == 0 && ${#FAILED[@]})); then status=1; fi
    if ((${#MISSING[@]})); then
        printf '%sNOT tested for want of: %s%s\n' "$YELLOW" "${MISSING[*]}" "$PLAIN"
    fi
    if ((status == 0)); then
        printf '%sPASSED%s in %d s\n' "$GREEN$BOLD" "$PLAIN" "$SECONDS"
    elif ((${#FAILED[@]})); then
        printf '%sFAILED%s after %d s:' "$RED$BOLD" "$PLAIN" "$SECONDS"
        printf ' [%s]' "${FAILED[@]}"
        printf '\n'
    else
        printf '%sFAILED%s at [%s] after %d s\n' "$RED$BOLD" "$PLAIN" "$STEP" "$SECONDS"
    fi
    exit "$status"
}
trap summary EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

hash_of() { # names and contents of all files under the paths given
    find "$@" -type f ! -path '*/__pycache__/*' ! -name '*.so' -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-32
}

# Whether the stamp says anything else than the text.
outdated() { [[ ! -f $1 || $(<"$1") != "$2" ]]; }

is_installed() { [[ $(dpkg-query -W -f '${Status}' "$1" 2>/dev/null) == 'install ok installed' ]]; }

# Python's headers and venv need no package where Python is not the distribution's own.
python_is_complete() {
    "$PYTHON" -c 'import ensurepip, sysconfig, os, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' 2>/dev/null
}

missing_packages() {
    local package
    for package in "${NEEDED_PACKAGES[@]}" "${TEST_PACKAGES[@]}"; do
        case $package in
            g++) command -v g++ >/dev/null && continue ;;
            python3-*) python_is_complete && continue ;;
        esac
        is_installed "$package" || echo "$package"
    done
}

install_packages() {
    command -v dpkg-query >/dev/null || { echo "not a Debian: looking for nothing"; return; }
    mapfile -t MISSING < <(missing_packages)
    ((${#MISSING[@]})) || return 0
    if ((EUID == 0)); then
        { apt-get update -q && apt-get install -q -y --no-install-recommends "${MISSING[@]}"; } </dev/null >/tmp/apt.$$.log 2>&1 ||
            tail -n 20 /tmp/apt.$$.log
        rm -f /tmp/apt.$$.log
        mapfile -t MISSING < <(missing_packages)
    fi
    ((${#MISSING[@]})) || return 0
    printf '%sMissing: %s\n  sudo apt-get install %s%s\n' "$YELLOW" "${MISSING[*]}" "${MISSING[*]}" "$PLAIN"
    local package
    for package in "${NEEDED_PACKAGES[@]}"; do
        [[ " ${MISSING[*]} " != *" $package "* ]] || { echo "Nothing can be built without $package."; return 1; }
    done
    echo 'The tests that need these are skipped.'
}

make_venv() {
    local wanted
    wanted=$(hash_of pyproject.toml)
    [[ -x $VENV/bin/python ]] || "$PYTHON" -m venv "$VENV"
    outdated "$VENV/.installed" "$wanted" || return 0
    "$VENV/bin/python" -m pip install -qq --upgrade pip
    "$VENV/bin/python" -m pip install -qq 'scikit-build-core>=0.11' 'pybind11>=3.0,<3.2' 'nvidia-nvtx-cu12>=12.4' 'cmake>=3.24' ninja numpy \
        --group test --group lint --group wheel
    echo "$wanted" >"$VENV/.installed"
}

build_package() {
    local wanted
    wanted=$(hash_of pyproject.toml CMakeLists.txt LICENSE third_party src/c*)$(find src/pdum -name '*.py*' ! -path '*/__pycache__*' | sort | sha256sum)
    outdated "$VENV/.built" "$wanted" || return 0
    CMAKE_BUILD_PARALLEL_LEVEL=$JOBS "$VENV/bin/python" -m pip install -qq --no-build-isolation --no-deps -e . \
        --config-settings=cmake.define.PDUM_WERROR=ON
    echo "$wanted" >"$VENV/.built"
}

build_driver() {
    [[ -f $NVSIM_DIR/build.ninja ]] ||
        cmake -S tests/driver -B "$NVSIM_DIR" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_MAKE_PROGRAM="$VENV/bin/ninja" >/dev/null
    cmake --build "$NVSIM_DIR" -j "$JOBS" >"$NVSIM_DIR/build.log" 2>&1 || { tail -n 40 "$NVSIM_DIR/build.log"; return 1; }
}

PYTHON_FOLDERS=(src packages release tests benchmarks examples third_party wheels)
cpp_files() { find src/cpp tests benchmarks -name '*.[ch]pp' -o -name '*.inl'; }

check_format() {
    local bad
    bad=$(cpp_files | xargs clang-format --dry-run 2>&1 | sed -n 's/^\([^ :]*\):.*\[-Wclang-format-violations\]$/  \1/p' | sort -u)
    [[ -z $bad ]] || { printf 'not formatted (./test.sh --format does it):\n%s\n' "$bad"; return 1; }
}

format_all() {
    cpp_files | xargs clang-format -i
    ruff check --quiet --fix "${PYTHON_FOLDERS[@]}"
    ruff format --quiet "${PYTHON_FOLDERS[@]}"
}

# Slow, so each file is looked at again only when something in src/cpp has changed.
run_clang_tidy() {
    local wanted database
    wanted=$(hash_of src/c* third_party .clang-tidy)
    outdated "$VENV/.tidied" "$wanted" || return 0
    database=$(dirname "$(ls -t build/cp*/compile_commands.json | head -n 1)")
    find src/cpp -name '*.cpp' -print0 | xargs -0 -P "$JOBS" -n 1 clang-tidy -p "$database" --quiet 2>/dev/null || return 1
    echo "$wanted" >"$VENV/.tidied"
}

run_pytest() { # the second run, for the other interface, may well find no test to run
    local status=0
    # A crashed process ends the run: pytest-xdist may wait for ever after it has replaced one.
    python -m pytest -n "$JOBS" --dist loadfile --no-loadscope-reorder --max-worker-restart 0 "$@" || status=$?
    ((status == 0 || status == 5))
}

PYTHON=${PYTHON:-python3}
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "$PYTHON is missing or older than 3.10"; exit 1; }

step 'packages'
install_packages
step 'environment'
make_venv
export PATH=$VENV/bin:$PATH
if [[ ${1:-} == --format ]]; then
    step 'format'
    format_all
    exit
fi
step 'package'
build_package
step 'simulated driver'
build_driver

if (($# == 0)); then
    step 'ruff'
    check ruff check --quiet "${PYTHON_FOLDERS[@]}"
    check ruff format --check --quiet "${PYTHON_FOLDERS[@]}"
    step 'mypy'
    check mypy --no-error-summary src/pdum packages/nvenc-sim/src/nvsim release wheels
    check mypy --no-error-summary --python-version 3.13 tests # arrays are buffers to mypy only there
    step 'clang-format'
    check check_format
    step 'clang-tidy'
    check run_clang_tidy
fi
step 'tests'
check run_pytest -m 'not slow' "$@"
step 'tests with PDUM_NVENC_ABI=12.1'
PDUM_NVENC_ABI=12.1 check run_pytest -m 'not one_abi and not slow' "$@"
