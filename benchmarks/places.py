"""The places for figures on pages of docs that are written by hand.

    <!-- figures: NAME -->
    ...
    <!-- end of figures -->

What is between both lines is a part's, and made from the results. The rest of the page has no measured figure.
"""

from __future__ import annotations

import re
from collections.abc import Callable

PLACE = re.compile(r"(?<=<!-- figures: )(?P<name>\w+)(?P<begin> -->\n).*?(?=<!-- end of figures -->)", re.DOTALL)


def names(page: str) -> list[str]:
    """Of the parts that have a place there."""
    return [found["name"] for found in PLACE.finditer(page)]


def fill(page: str, figures_of: Callable[[str], str]) -> str:
    """The page with the figures of today in all its places."""
    return PLACE.sub(lambda found: f"{found['name']}{found['begin']}\n{figures_of(found['name'])}\n", page)


def without_figures(page: str) -> str:
    """What is written by hand."""
    return fill(page, lambda _: "")
