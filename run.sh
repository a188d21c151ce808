#!/usr/bin/env bash
# Makes .venv and installs this package into it at the first use, then runs pdum-nvenc with the arguments given.
#
#   ./run.sh                       demo: short test clips, encoded with whatever this machine has
#   ./run.sh encode -r ~/Videos    any other command; ./run.sh --help lists them
#
# A Debian or Ubuntu with python3 (3.10 or newer) and a C++ compiler is enough; no GPU and no driver is needed. Run as
# root, it installs what is missing of these. PYTHON chooses which Python to make .venv with.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=$here/.venv
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { printf '%s\n' "$*" >&2; }

# What happens meanwhile: the seconds and the last line of a log. In a terminal it is one line that changes, else a line
# every half minute.
follow() {
    local what=$1 log=$2 began=$SECONDS next=$((SECONDS + 30)) last
    while kill -0 $$ 2>/dev/null; do
        last=$(tail -n 1 "$log" | tr -d '\r' | sed 's/^ *//' | cut -c-70)
        if [[ -t 2 ]]; then
            printf '\r\033[K%s … %d s  %s' "$what" $((SECONDS - began)) "$last" >&2
        elif ((SECONDS >= next)); then
            say "$what … $((SECONDS - began)) s  $last"
            next=$((SECONDS + 30))
        fi
        sleep 0.5
    done
}

# Runs a command and shows that it goes on. Its output is shown only if it fails.
work() {
    local what=$1 log status=0 began=$SECONDS
    shift
    log=$(mktemp)
    [[ -t 2 ]] || say "$what ..."
    follow "$what" "$log" &
    # shellcheck disable=SC2064 # as they are now
    trap "rm -f '$log'; kill $! 2>/dev/null || true" EXIT
    "$@" >"$log" 2>&1 || status=$?
    kill $! 2>/dev/null && wait $! 2>/dev/null || true
    [[ -t 2 ]] && printf '\r\033[K' >&2
    ((status == 0)) || { cat "$log" >&2; say "$what failed."; exit 1; }
    say "$what: done in $((SECONDS - began)) s."
    rm -f "$log"
    trap - EXIT
}

require_tools() {
    local missing=()
    command -v "${CXX:-g++}" >/dev/null || missing+=(g++)
    "$python" -c 'import ensurepip, os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
        2>/dev/null || missing+=(python3-dev python3-venv)
    ((${#missing[@]})) || return 0
    if ((EUID == 0)) && command -v apt-get >/dev/null; then
        export DEBIAN_FRONTEND=noninteractive
        work 'Reading the lists of packages' apt-get update -q
        work "Installing ${missing[*]}" apt-get install -q -y --no-install-recommends "${missing[@]}"
        return
    fi
    say "Missing: sudo apt-get install ${missing[*]}"
    exit 1
}

# What is installed has to be this source: anything that a build depends on, by time and size.
state() { (cd "$here" && stat -c '%n %Y %s' pyproject.toml CMakeLists.txt && find src third_party -type f ! -name '*.so' ! -path '*/__pycache__/*' -printf '%p %T@ %s\n' | sort) | sha256sum; }

install() {
    python=${PYTHON:-python3}
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { say "$python is missing or older than 3.10."; exit 1; }
    require_tools
    say 'Installing pdum.nvenc into .venv. That takes some minutes at the first use.'
    [[ -x $venv/bin/python ]] || work 'Making .venv' "$python" -m venv "$venv"
    work 'Downloading and building' "$venv/bin/python" -m pip install --progress-bar off "${here}[all]"
    state >"$venv/.run"
}

if [[ ! -x $venv/bin/pdum-nvenc || ! -f $venv/.run || $(<"$venv/.run") != "$(state)" ]]; then
    # test.sh makes the same .venv with an editable installation, which always is this source.
    if [[ -x $venv/bin/pdum-nvenc && -f $venv/.built ]] && "$venv/bin/python" -c 'import av, rich, textual' 2>/dev/null; then
        :
    else
        install
    fi
fi
(($#)) || set -- demo
# How this script was called, for messages that tell what to type next.
export PDUM_NVENC_PROGRAM=$0
[[ $0 == */* ]] || PDUM_NVENC_PROGRAM="bash $0"
exec "$venv/bin/pdum-nvenc" "$@"
