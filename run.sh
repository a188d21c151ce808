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

require_tools() {
    local missing=()
    command -v "${CXX:-g++}" >/dev/null || missing+=(g++)
    "$python" -c 'import ensurepip, os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' \
        2>/dev/null || missing+=(python3-dev python3-venv)
    ((${#missing[@]})) || return 0
    if ((EUID == 0)) && command -v apt-get >/dev/null; then
        say "Installing ${missing[*]} ..."
        DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null
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
    say 'Installing pdum.nvenc into .venv: a minute or two at the first use.'
    [[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
    # The outcome is all that is to be seen of it, unless it fails.
    local log
    log=$(mktemp)
    if ! "$venv/bin/python" -m pip install -q "${here}[all]" >"$log" 2>&1; then
        cat "$log" >&2
        exit 1
    fi
    rm -f "$log"
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
exec "$venv/bin/pdum-nvenc" "$@"
