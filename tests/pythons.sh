#!/usr/bin/env bash
# The tests with every Python from 3.10 to 3.14 that is on this machine, or with those that are named. Each gets what is
# committed, an environment of its own and the newest packages that it can have: PyAV's newest differ between them.
#
#   tests/pythons.sh                          all that are found
#   tests/pythons.sh python3.12 -- tests/files   one of them; what follows -- goes to pytest
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHONS=()
while (($#)) && [[ $1 != -- ]]; do PYTHONS+=("$1"); shift; done
shift || true
ARGUMENTS=("${@:--q}") # any argument leaves the linters out, which are the same for all

if ((${#PYTHONS[@]} == 0)); then
    for minor in 10 11 12 13 14; do
        if "python3.$minor" -c '' 2>/dev/null; then PYTHONS+=("python3.$minor"); fi
    done
fi
((${#PYTHONS[@]})) || { echo "No Python from 3.10 to 3.14 is on the PATH."; exit 1; }

FAILED=()
for python in "${PYTHONS[@]}"; do
    version=$("$python" -c 'import platform; print(platform.python_version())')
    clone=build/pythons/$version
    printf '\n== Python %s\n' "$version"
    [[ -d $clone ]] || git clone -q . "$clone"
    git -C "$clone" fetch -q origin HEAD
    git -C "$clone" reset -q --hard FETCH_HEAD
    PYTHON=$(command -v "$python") "$clone/test.sh" "${ARGUMENTS[@]}" || FAILED+=("$version")
    "$clone/.venv/bin/python" -c 'import av; print("with PyAV", av.__version__)'
done
((${#FAILED[@]} == 0)) || { echo "FAILED: ${FAILED[*]}"; exit 1; }
