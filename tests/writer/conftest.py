"""Each test gets the notices that come once in a process, has its own machine, and leaves no thread behind."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest

from pdum.nvenc._encoders import opening
from pdum.nvenc._encoders.notices import SOFTWARE_ENCODES
from pdum.nvenc._machine import availability, capabilities

TOLD = f"ignore:{SOFTWARE_ENCODES}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/writer/" in str(item.path):
            item.add_marker(pytest.mark.filterwarnings(TOLD))


@pytest.fixture(autouse=True)
def _nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(opening, "_said", set())
    monkeypatch.delenv("PDUM_NVENC_ENGINES", raising=False)
    for known in (availability._reasons, capabilities._found):
        known.clear()
    yield
    for known in (availability._reasons, capabilities._found):
        known.clear()
    gc.collect()
    left = [one.name for one in threading.enumerate() if one.name in ("pdum.nvenc writer", "pdum.nvenc frames")]
    assert left == []


@pytest.fixture(autouse=True)
def _forgotten_machines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has its own machine."""
    monkeypatch.delenv("PDUM_NVENC_ENGINES", raising=False)
    for known in (availability._reasons, capabilities._found):
        known.clear()
    yield
    for known in (availability._reasons, capabilities._found):
        known.clear()
