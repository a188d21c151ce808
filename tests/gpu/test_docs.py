"""The documentation's snippets for a GPU, with real CuPy arrays and streams."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import pytest

from gpu.library import EncodeLibrary
from snippets import PAGES, snippets

PAGES_TO_RUN = [page for page in PAGES if any(snippet.needs_gpu for snippet in snippets(page))]


@pytest.mark.parametrize("page", PAGES_TO_RUN, ids=lambda page: page.name)
def test_snippets_of(
    page: Path, engine: EncodeLibrary, abi: str, cupy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "snippet"}
    for snippet in snippets(page):
        if snippet.needs_gpu:
            snippet.run(namespace)
    namespace.clear()
    gc.collect()
