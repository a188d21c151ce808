"""HTML that no text can break out of: everything except ``Markup`` is escaped, in texts and in attributes."""

from __future__ import annotations

from html import escape

from .._text import visible

EMPTY = {"meta", "rect", "path", "line", "br"}


class Markup(str):
    """Text that is already HTML."""


def text(value: object) -> Markup:
    return value if isinstance(value, Markup) else Markup(escape(visible(str(value))))


def tag(element: str, /, *children: object, **attributes: object) -> Markup:
    """An element that is valid XML, too. Attributes: ``class_`` for ``class``, ``aria_label`` for ``aria-label``."""
    written = "".join(f' {_attribute(key)}="{text(value)}"' for key, value in attributes.items() if value is not None)
    if element in EMPTY and not children:
        return Markup(f"<{element}{written}/>")
    return Markup(f"<{element}{written}>{''.join(map(text, children))}</{element}>")


def file_name(*name: str, **attributes: object) -> Markup:
    """A name, maybe in parts, whose direction of writing does not affect the text around it."""
    return tag("bdi", *name, **attributes)


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
