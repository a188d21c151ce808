"""One Chromium for all tests of a process that need a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser.chromium import Chromium


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
