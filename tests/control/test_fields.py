"""Every field of EncoderConfig reaches the driver's struct on both interfaces, and changes nothing else there."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.driver_calls import GPU, Driver, changed
from control.rows import Row
from control.rows_coding import CODING
from control.rows_rate import LOOKAHEAD, RATE
from control.rows_stream import COLOURS, FORMATS, HDR, PROFILES, SIZES
from control.rows_structure import BFRAMES, PARTS, TUNINGS
from pdum.nvenc import EncoderConfig, UnsupportedFeature

pytestmark = pytest.mark.one_abi

TABLE = [*RATE, *LOOKAHEAD, *PROFILES, *FORMATS, *COLOURS, *HDR, *SIZES, *BFRAMES, *PARTS, *TUNINGS, *CODING]

# Fields that are not in NV_ENC_INITIALIZE_PARAMS, and the tests that cover them.
ELSEWHERE = {
    "codec": "test_config.py::test_codec",
    "gpu_id": "test_config.py::test_gpu_id",
    "cuda_context": "test_config.py::test_a_context_of_the_callers",
    "extra_output_delay": "test_config.py::test_positional_use",
    "copy": "control/test_pictures.py::test_copy_says_what_is_registered",
}


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_a_setting_reaches_the_driver(abi: str, driver: Driver, row: Row) -> None:
    gpu = {**GPU, **row.gpu}
    if abi < row.since:
        error = driver.refusal(gpu, **row.over, **row.given)
        assert isinstance(error, UnsupportedFeature)
        assert row.names in str(error)
        assert abi in str(error)
        assert row.since in str(error) + str(error.advice)
        assert "NVIDIA driver" in error.advice, "says that the driver decides"
        return
    told = changed(driver.initialized(gpu=gpu, **row.over), driver.initialized(gpu=gpu, **row.over, **row.given))
    assert told == (row.told_12_1 if abi == "12.1" and row.told_12_1 is not None else row.told)


def test_no_field_is_forgotten(root: Path) -> None:
    proven = {name for row in TABLE for name in row.given}
    assert proven | ELSEWHERE.keys() == set(EncoderConfig.names())
    assert not proven & ELSEWHERE.keys()
    for place in ELSEWHERE.values():
        file, test = place.split("::")
        assert f"def {test}(" in (root / "tests" / file).read_text(), f"{place} is gone"
