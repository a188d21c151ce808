"""One cluster for all tests that leave it as it is: two machines, with one engine and with two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.nodes import cluster_of, node

from clips import make_clip


@pytest.fixture(scope="session")
def farm(nvsim_dir: Path) -> Iterator[Any]:
    """The machines "small" and "large" with three engines together."""
    assert nvsim_dir.is_dir()
    with cluster_of(*node("small", 1), *node("large", 2)) as cluster:
        yield cluster


@pytest.fixture
def client(farm: Any) -> Iterator[Any]:
    with farm.get_client() as connected:
        yield connected


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clips") / "clip.mkv", 120, sound=True)
