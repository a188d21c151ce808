"""Fields of a configuration as plain values, which JSON and TOML hold, and back."""

from __future__ import annotations

from dataclasses import MISSING, asdict, fields
from typing import Any

from .._errors import InvalidConfig
from .colour import Colour
from .film_grain import FilmGrain
from .hdr import ContentLight, MasteringDisplay
from .layers import Layers
from .references import References
from .settings import FrameRate, frame_rate, nearest

PRESETS_OWN = ("gop", "bframes", "lookahead")
"""Fields whose default is not None, so that None has to be written: as ``"preset"``, since TOML has no None."""

TABLES: dict[str, Any] = {
    "colour": Colour,
    "mastering_display": MasteringDisplay,
    "content_light": ContentLight,
    "references": References,
    "layers": Layers,
    "film_grain": FilmGrain,
}
"""Fields that are tables in TOML."""


def canonical_rate(fps: FrameRate) -> FrameRate:
    """The same form for equal rates, so that a configuration equals its copy from a file. Floats stay as they are."""
    if isinstance(fps, (int, float)):
        return fps
    from fractions import Fraction

    rate = Fraction(*frame_rate(fps))
    return rate.numerator if rate.denominator == 1 else rate


def plain(value: Any) -> Any:
    from fractions import Fraction

    if type(value) in TABLES.values():
        return {name: plain(one) for name, one in asdict(value).items() if one is not None}
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    # NumPy's whole numbers: writers of JSON and TOML do not know them.
    return int(value) if hasattr(value, "__index__") and not isinstance(value, bool) else value


def unplain(name: str, value: Any) -> Any:
    if name in PRESETS_OWN and isinstance(value, str) and value == "preset":
        return None
    if isinstance(value, dict) and name in TABLES:
        kind: Any = TABLES[name]
        known = [field.name for field in fields(kind)]
        for key in value:
            if key not in known:
                raise InvalidConfig(f"Unknown key {key!r} in {name}.{nearest(str(key), known)}")
        missing = [one.name for one in fields(kind) if one.default is MISSING and one.name not in value]
        if missing:
            raise InvalidConfig(f"{name}={value!r} needs {', '.join(missing)}, too.")
        return kind(**{key: tuple(one) if isinstance(one, list) else one for key, one in value.items()})
    return tuple(value) if isinstance(value, list) else value
