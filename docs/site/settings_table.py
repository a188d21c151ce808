"""The page of all settings, from the tests that show each one in the driver's structs."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

sys.path.insert(0, str(ROOT / "docs" / "site"))

from capabilities_of_settings import cell  # noqa: E402

from control.rows import Row  # noqa: E402
from control.test_fields import TABLE  # noqa: E402
from pdum.nvenc import EncoderConfig  # noqa: E402

HEAD = """# Settings

The fields of `EncoderConfig`, which are also keywords of `NvencEncoder` and `VideoWriter`. Their meaning is in
[the documentation of `EncoderConfig`](python.md#pdum.nvenc.EncoderConfig).

- **NVENC field**: the members of `NV_ENC_INITIALIZE_PARAMS` that change with the setting. `config.` stands for
  `encodeConfig`, `rc.` for its `rcParams`, and `codec.` for its `encodeCodecConfig`.
- **Capability**: what a GPU needs for the setting. `pdum.nvenc.capabilities()` shows what yours has, under the same
  names. A dash means that every encoder has the setting.
- **Since**: the first version of NVENC's interface that has the setting. 12.1 needs driver 530, and 13.0 needs
  driver 570.
- **Tested with**: the codecs with which the tests read the setting back from the driver's structs.

The table is generated from these tests (`tests/control/test_fields.py`) and from the encoder's own table of
capabilities (`src/cpp/session/gpu_limits.cpp`).

| setting | default | NVENC field | capability | since | tested with |
|---|---|---|---|---|---|
"""

LATE = {("tuning", "uhq")}
"""Settings that need a later version themselves, so that what stands beside them does not."""

OUTSIDE = {
    "codec": "`encodeGUID`",
    "gpu_id": "`device` of `NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS`",
    "cuda_context": "`device` of `NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS`",
    "extra_output_delay": "none: it is how many frames this package leaves in the encoder",
    "copy": "none: it decides whether `nvEncRegisterResource` gets your frame",
}
"""Settings that are in none of the fields that the table of tests compares."""


def settings_page() -> str:
    return HEAD + "\n".join(_row(field) for field in dataclasses.fields(EncoderConfig)) + "\n"


def _row(field: dataclasses.Field[object]) -> str:
    rows = [row for row in TABLE if field.name in row.given]
    default = "required" if field.default is dataclasses.MISSING else f"`{field.default!r}`"
    codecs = ", ".join(_codecs(rows)) or "all"
    cells = (f"`{field.name}`", default, _members(rows, field.name), cell(field.name), _since(rows, field.name), codecs)
    return f"| {' | '.join(cells)} |"


def _members(rows: Iterable[Row], name: str) -> str:
    """What a setting alone changes, and what changes with others if it never stands alone."""
    rows = list(rows)
    if not rows:
        return OUTSIDE[name]
    alone = [row for row in rows if set(row.given) == {name}] or rows
    members = dict.fromkeys(re.sub(r"\[\d+\]", "[]", member) for row in alone for member in row.told)
    shown = [f"`{member}`" for member in members]
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "")


def _since(rows: list[Row], name: str) -> str:
    """The first version, and which values and codecs need a later one."""
    first = min((row.since for row in rows), default="12.1")
    known = [row for row in rows if row.since == first]
    later: dict[str, list[str]] = {}
    for row in (row for row in rows if row.since != first and not row.over.items() & LATE):
        if row.given[name] not in [one.given[name] for one in known]:
            later.setdefault(row.since, []).append(f"`{row.given[name]!r}`")
        elif _codec(row) not in _codecs(known):
            later.setdefault(row.since, []).append(_codec(row))
    return "; ".join([first, *(f"{since} for {', '.join(dict.fromkeys(new))}" for since, new in later.items())])


def _codecs(rows: Iterable[Row]) -> list[str]:
    found = {_codec(row) for row in rows}
    return [codec for codec in ("h264", "hevc", "av1") if codec in found]


def _codec(row: Row) -> str:
    return str({**row.over, **row.given}.get("codec", "h264"))
