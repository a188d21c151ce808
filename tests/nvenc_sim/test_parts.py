"""What pdum-nvenc-sim says about the interface is what the interface's tables say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nvsim.call_names import OF_THE_FUNCTION_LIST
from nvsim.statuses import NAMES, number_of

TABLES = sorted((Path(__file__).resolve().parents[2] / "third_party" / "nvenc_abi").glob("1*.json"))


def test_statuses_are_those_of_the_interface() -> None:
    (statuses,) = [
        values for values in json.loads(TABLES[-1].read_text())["enums"].values() if "NV_ENC_SUCCESS" in values
    ]
    assert statuses == {name: number for number, name in enumerate(NAMES)}
    assert [number_of(text) for text in ("NV_ENC_ERR_GENERIC", "GENERIC", "20", "SUCCESS")] == [20, 20, 20, 0]
    with pytest.raises(ValueError, match="got 'WRONG'"):
        number_of("WRONG")


def test_calls_are_those_of_the_interface() -> None:
    names = {entry["name"] for table in TABLES for entry in json.loads(table.read_text())["function_list"]}
    assert set(OF_THE_FUNCTION_LIST) == {name for name in names if name.startswith("nvEnc")}
