"""Each test has its own machines: earlier answers are forgotten, and no thread is left."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pdum.nvenc._machine import availability as _availability
from pdum.nvenc._machine import capabilities as _capabilities
from pool_tasks import threads_of_pools


@pytest.fixture(autouse=True)
def _machine_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("PDUM_NVENC_ENGINES", raising=False)
    for known in (_availability._reasons, _capabilities._found):
        known.clear()
    yield
    gc.collect()
    assert threads_of_pools() == []
    for known in (_availability._reasons, _capabilities._found):
        known.clear()
