"""A report is a recording: the generator of the simulated driver can read a card's answers from it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from selftest.conftest import Report

RECORDINGS = Path(__file__).parents[1] / "driver" / "recordings"


@pytest.fixture
def generator() -> Any:
    spec = importlib.util.spec_from_file_location("recordings_of_reports", RECORDINGS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def recorded(folder: str) -> Any:
    return json.loads((RECORDINGS / folder / "rtx-3060-595.json").read_text())


def test_the_presets_of_a_report_are_those_that_its_card_was_built_from(rtx_3060: Report) -> None:
    """Ultra high quality besides, which is assumed of the simulated card."""
    told, original = rtx_3060.content["recordings"]["presets"], recorded("presets")
    assert {name: told[name] for name in original if name != "presets"} == {
        name: value for name, value in original.items() if name != "presets"
    }
    without_assumed = [preset for preset in told["presets"] if preset["tuning_name"] != "ultra_high_quality"]
    assert without_assumed == original["presets"]


def test_its_capabilities_are_those_of_the_recorded_card(rtx_3060: Report) -> None:
    (told,) = rtx_3060.content["recordings"]["capabilities"]["cards"]
    (original,) = recorded("capabilities")["cards"]
    assert told["codecs"] == original["codecs"]
    assert {name: told[name] for name in ("name", "driver", "api", "generation")} == {
        name: original[name] for name in ("name", "driver", "api", "generation")
    }
    assert set(told) == set(original)


def test_a_report_alone_builds_the_same_card(
    rtx_3060: Report, generator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_recordings = generator.presets()
    ampere = {key: answer for key, answer in generator.capabilities().items() if key[0] == "ampere"}
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "card.json").write_text(rtx_3060.text)
    names = generator.capability_names()
    monkeypatch.setattr(generator, "HERE", tmp_path)
    monkeypatch.setattr(generator, "capability_names", lambda: names)
    monkeypatch.setattr(generator, "SIMULATED", ("ampere",))
    assert {key: answer.value for key, answer in generator.capabilities().items()} == {
        key: answer.value for key, answer in ampere.items()
    }
    assert generator.presets() == {key: fields for key, fields in with_recordings.items() if key[0] != "av1"}
