"""The page of all settings, from the tests that show each one in the driver's structs."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from control.rows import Row  # noqa: E402
from control.test_fields import ELSEWHERE, TABLE  # noqa: E402
from pdum.nvenc import EncoderConfig  # noqa: E402

HEAD = """# Settings

The fields of `EncoderConfig`, which are also keywords of `NvencEncoder` and `VideoWriter`. What each one means is in
[its documentation](python.md#pdum.nvenc.EncoderConfig).

*NVENC* are the members of `NV_ENC_INITIALIZE_PARAMS` that change with the setting: `config.` stands for `encodeConfig`,
`rc.` for its `rcParams`, and `codec.` for its `encodeCodecConfig`. *Since* is the first interface version that has it.
*Codecs* are those with which the tests read the setting back from the driver's structs. The table is generated from
these tests (`tests/control/test_fields.py`).

| setting | default | NVENC | since | codecs |
|---|---|---|---|---|
"""


def settings_page() -> str:
    return HEAD + "\n".join(_row(field) for field in dataclasses.fields(EncoderConfig)) + "\n"


def _row(field: dataclasses.Field[object]) -> str:
    rows = [row for row in TABLE if field.name in row.given]
    default = "required" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
    since = min((row.since for row in rows), default="12.1")
    cells = (f"`{field.name}`", default, _members(rows, field.name), since, ", ".join(_codecs(rows)) or "all")
    return f"| {' | '.join(cells)} |"


def _members(rows: Iterable[Row], name: str) -> str:
    """What a setting alone changes, and what changes with others if it never stands alone."""
    rows = list(rows)
    if not rows:
        return f"another call of the driver (`{ELSEWHERE[name]}`)"
    alone = [row for row in rows if set(row.given) == {name}] or rows
    members = dict.fromkeys(re.sub(r"\[\d+\]", "[]", member) for row in alone for member in row.told)
    shown = [f"`{member}`" for member in members]
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")


def _codecs(rows: Iterable[Row]) -> list[str]:
    found = {str({**row.over, **row.given}.get("codec", "h264")) for row in rows}
    return [codec for codec in ("h264", "hevc", "av1") if codec in found]
