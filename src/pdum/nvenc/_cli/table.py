"""Tables on a terminal, with rich if it is installed, and plain columns in pipes for other programs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Any

from .._text import visible


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = rich_table(titles, rows) if sys.stdout.isatty() else None
    if table is None:
        print("\n".join(plain_lines(titles, rows)))
        return
    from rich.console import Console

    Console().print(table)


def rich_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    """None without rich."""
    try:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text
    except ModuleNotFoundError:
        return None
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(one)) for one in row))
    return table


def plain_lines(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    shown = [list(titles), *([visible(one) for one in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(titles))]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = ["  ".join(one.ljust(size) for one, size in zip(row, widths, strict=True)).rstrip() for row in shown]
    return lines if width is None else [line[:width] for line in lines]
