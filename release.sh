#!/usr/bin/env bash
# What a release needs besides its wheels. `./release.sh --help` lists the commands; docs/releasing.md tells the order.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PYTHONPATH=$here${PYTHONPATH:+:$PYTHONPATH} exec "${PYTHON:-python3}" -m release "$@"
