"""Docstrings as the site shows them: their literal blocks need no ``::`` in Markdown."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object


class LiteralBlocks(Extension):
    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            without_lone_colons = re.sub(r"(?m)^::\n\n", "", obj.docstring.value)
            obj.docstring.value = re.sub(r"(?m)::$(?=\n\n)", ":", without_lone_colons)
