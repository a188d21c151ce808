"""The diagrams of the documents: as their script draws them, legible at a phone's width, and true to what they say."""

from __future__ import annotations

import importlib.util
import sys
from html import escape
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from browser.chromium import Chromium

pytestmark = pytest.mark.one_abi

PHONE = 360
SPILLS = """
[...document.images].map(image => new DOMParser().parseFromString(image.dataset.text, "image/svg+xml"))
  .flatMap(parsed => {
    const svg = document.body.appendChild(document.importNode(parsed.documentElement, true));
    const area = box => ({x: box.x, y: box.y, right: box.x + box.width, bottom: box.y + box.height});
    const within = (inner, outer) => inner.x >= outer.x && inner.right <= outer.right;
    const boxes = [...svg.querySelectorAll("rect")].map(one => area(one.getBBox()));
    return [...svg.querySelectorAll("text")].filter(one => {
      const text = area(one.getBBox());
      const middle = (text.y + text.bottom) / 2;
      const around = boxes.filter(box => box.y < middle && middle < box.bottom
        && box.x < (text.x + text.right) / 2 && (text.x + text.right) / 2 < box.right);
      return !around.every(box => within(text, box));
    }).map(one => one.textContent);
  })
"""
"""Words that are wider than a box that they stand in."""


@pytest.fixture(scope="module")
def script(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_diagrams", root / "docs" / "make_diagrams.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_diagrams"] = module
    spec.loader.exec_module(module)
    return module


def test_the_files_are_what_the_script_draws(script: ModuleType) -> None:
    for name, text in script.diagrams():
        assert (script.IMAGES / name).read_text() == text, f"{name}: run python docs/make_diagrams.py"


def test_nothing_is_loaded_and_both_modes_have_colours(script: ModuleType) -> None:
    for _, text in script.diagrams():
        svg = ElementTree.fromstring(text)
        assert svg.get("aria-label")
        assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "prefers-color-scheme:dark" in text


def test_words_fit_into_their_boxes(script: ModuleType, tmp_path: Path) -> None:
    images = "".join(f'<img data-text="{escape(text)}">' for _, text in script.diagrams())
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body style='margin:0'>{images}")
    with Chromium(tmp_path) as browser, browser.page(page.as_uri(), PHONE, 700) as shown:
        assert shown.evaluate(SPILLS) == []
        assert shown.evaluate("document.querySelectorAll('svg text').length") > 30
        sizes = shown.evaluate("[...document.querySelectorAll('svg')].map(one => one.viewBox.baseVal.width)")
    assert set(sizes) == {PHONE}, "a phone shows each as large as it is drawn"


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 6))
def test_dividing_keeps_the_work_and_never_takes_longer(files: list[int], engines: int) -> None:
    module = sys.modules["make_diagrams"]
    for bars in (module.as_they_come(files, engines), module.divided(files, engines)):
        for file, work in enumerate(files):
            assert sum(end - start for _, one, start, end in bars if one == file) == pytest.approx(work)
        for engine in range(engines):
            own = sorted((start, end) for one, _, start, end in bars if one == engine)
            assert all(before[1] <= after[0] + 1e-9 for before, after in pairwise(own))
    best = sum(files) / engines
    assert module.ends(module.divided(files, engines)) <= best + module.WORTH_DIVIDING
