"""Names of files as a terminal may be given them: whatever a name holds, it stays on its line and moves nothing."""

from __future__ import annotations

import os
from typing import Any

SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(name: str | os.PathLike[str] | Any) -> str:
    """Control characters, what changes the direction of writing and bytes that are no UTF-8 become escapes."""
    return "".join(map(_shown, str(name)))


def _shown(character: str) -> str:
    if character in SHORT:
        return SHORT[character]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character == " " or character.isprintable():
        return character
    # Joiners are in emoji of several parts and in Persian and Indian scripts.
    if character in "\u200c\u200d\ufe0f":
        return character
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"
