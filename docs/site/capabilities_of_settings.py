"""The capability that each setting needs, read from the table that the encoder itself checks."""

from __future__ import annotations

import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "cpp" / "session" / "gpu_limits.cpp"
DEMAND = re.compile(r'\{[^"{}]+, "(?P<setting>\w+)(?P<value>=[^"]+)?",\s+Capability::(?P<capability>\w+)')
SIZES = {
    "width": ("min_width", "max_width", "max_macroblocks"),
    "height": ("min_height", "max_height", "max_macroblocks"),
    "max_width": ("max_width", "max_macroblocks"),
    "max_height": ("max_height", "max_macroblocks"),
    "intra_refresh_count": ("intra_refresh",),
}
"""Settings that the encoder checks outside of its table, or by another name."""


def capabilities_of_settings() -> dict[str, dict[str, list[str]]]:
    """``{"chroma": {"yuv444": ["'444'"], "yuv422": ["'422'"]}, …}``: values without which nothing is needed."""
    found: dict[str, dict[str, list[str]]] = {name: {one: [] for one in needed} for name, needed in SIZES.items()}
    for demand in DEMAND.finditer(SOURCE.read_text()):
        values = found.setdefault(demand["setting"], {}).setdefault(demand["capability"], [])
        if demand["value"]:
            values.append(demand["value"].removeprefix("="))
    return found


def cell(setting: str) -> str:
    """What the table of settings shows; a dash if every encoder has it."""
    needed = capabilities_of_settings().get(setting, {})
    return "<br>".join(_shown(name, values) for name, values in needed.items()) or "–"


def _shown(capability: str, values: list[str]) -> str:
    return f"`{capability}`" + (f" for {', '.join(f'`{value}`' for value in values)}" if values else "")
