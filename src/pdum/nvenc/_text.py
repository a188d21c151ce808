"""Values as people read them: sizes, times, and file names, which may contain any character."""

from __future__ import annotations

import unicodedata

CONTROL_PICTURES = 0x2400
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
# These reverse the direction of the rest of a line, so that a name could look like another one.
DIRECTIONS = {*"\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}
GOOD, MARGINAL = 0.9, 1.0


def error_text(error: BaseException) -> str:
    """What went wrong, in words: the message without the number that Python puts before the system's words."""
    words = getattr(error, "strerror", None)
    if not isinstance(words, str) or not words:
        return str(error) or type(error).__name__
    name = getattr(error, "filename", None)
    return words if name is None else f"{name}: {words}"


def visible(text: str) -> str:
    """The text on one line, without characters that control a terminal or a browser."""
    return text if text.isascii() and text.isprintable() else "".join(map(_visible_character, text))


def one_line(text: str) -> str:
    """A message of several lines as one."""
    return visible(" ".join(text.split()))


def _visible_character(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(CONTROL_PICTURES + code)
    if code == 0x7F:
        return "\u2421"
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if character in DIRECTIONS or unicodedata.category(character) in {"Cc", "Cs", "Cn", "Zl", "Zp"}:
        return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return character


def size(count: float) -> str:
    """Three digits and a unit: ``"1.23 GB"``, ``"45.6 MB"``, ``"789 B"``, ``"-12 kB"``."""
    sign, count = ("-" if count < 0 else ""), abs(count)
    for unit in UNITS:
        if count < 999.5 or unit == UNITS[-1]:
            break
        count /= 1000
    digits = 0 if unit == "B" or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{sign}{count:.{digits}f} {unit}"


def duration(seconds: float | None) -> str:
    """``"0:07"``, ``"12:34"``, ``"1:02:03"``, ``"3.2 d"``; a dash if it is not known."""
    if seconds is None or seconds != seconds or seconds in (float("inf"), float("-inf")):
        return "–"
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours / 24:.1f} d"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def change(ratio: float | None) -> str:
    """How much smaller a result is than its source: ``"-75 %"``, ``"+3 %"``; ``"12×"`` if it is that much bigger."""
    if ratio is None:
        return "–"
    if ratio >= 10:
        return f"{ratio:.0f}×" if ratio < 1000 else ">999×"
    percent = round((ratio - 1) * 100)
    if percent == 0 and ratio != 1:
        return f"{(ratio - 1) * 100:+.1f} %"
    return f"{percent:+d} %" if percent else "0 %"


def verdict(ratio: float | None) -> str:
    """``"good"``, ``"marginal"`` or ``"bigger"``, each with its colour; ``"unknown"`` if the sizes are not known."""
    if ratio is None:
        return "unknown"
    return "good" if ratio < GOOD else "marginal" if ratio < MARGINAL else "bigger"


def rate(value: float, unit: str) -> str:
    """``"812 fps"``, ``"13.5×"``: one decimal for small numbers."""
    digits = 0 if value >= 99.5 else 1
    return f"{value:.{digits}f}{unit}"


def count(number: int, one: str, many: str | None = None) -> str:
    """``"1 file"``, ``"2 files"``, ``"1,234 files"``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
