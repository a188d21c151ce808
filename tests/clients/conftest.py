from __future__ import annotations

from pathlib import Path

import pytest

from client_run import Bench


@pytest.fixture
def bench(tmp_path: Path, nvsim_dir: Path) -> Bench:
    return Bench(tmp_path)
