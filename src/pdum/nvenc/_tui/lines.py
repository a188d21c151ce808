"""A list that is drawn directly from the run's state: only visible rows cost anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

Item = TypeVar("Item")
Row = TypeVar("Row", covariant=True)


class Rows(Protocol[Row]):
    """What a list shows. It may change between two pictures, and is asked for the rows that are seen alone."""

    def __len__(self) -> int: ...
    def __getitem__(self, row: int, /) -> Row: ...
    def row_of(self, key: object, /) -> int | None: ...


class FixedRows(Generic[Item]):
    """Rows of a sequence that is not long."""

    def __init__(self, items: Sequence[Item] = (), key: Callable[[Item], object] = id) -> None:
        self._items = items
        self._rows = {key(item): row for row, item in enumerate(items)}

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, row: int, /) -> Item:
        return self._items[row]

    def row_of(self, key: object, /) -> int | None:
        return self._rows.get(key)


class Lines(ScrollView, Generic[Item], can_focus=True):
    """Items, one per row, one of them chosen. The same item stays chosen while others come and go."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "move(-1000000)", "First", show=False),
        Binding("end,G", "move(1000000)", "Last", show=False),
    ]

    def __init__(
        self,
        name: str,
        draw: Callable[[Item, int], Text],
        key: Callable[[Item], object],
        *,
        empty: str = "",
        follow: bool = False,
        count: Callable[[], int] | None = None,
    ) -> None:
        """``count``: the number beside the title, if it is not that of the rows."""
        super().__init__(id=name.lower())
        self.title = name
        self._draw = draw
        self._key = key
        self._empty = empty
        self._items: Rows[Item] = FixedRows[Item]()
        self._length = 0
        """How many rows the list had at the last picture."""
        self._row = 0
        self._chosen: Item | None = None
        self._follow = follow
        self._count = count
        self._rich = Console()

    @property
    def chosen(self) -> Item | None:
        return self._chosen

    @property
    def count(self) -> int:
        return self._length if self._count is None else self._count()

    def show_items(self, items: Rows[Item]) -> None:
        was_at_end = self._follow and self._row >= self._length - 1
        self._items, self._length = items, len(items)
        last = max(0, self._length - 1)
        row = None if self._chosen is None else items.row_of(self._key(self._chosen))
        self._row = last if was_at_end else min(self._row, last) if row is None else row
        self._chosen = items[self._row] if self._length else None
        self.border_title = Text(f"{self.title} {self.count}")
        self.virtual_size = Size(self.scrollable_content_region.width, self._length)
        if was_at_end:
            self._into_view()
        self.refresh()

    def action_move(self, by: int) -> None:
        if len(self._items):
            self._row = max(0, min(len(self._items) - 1, self._row + by))
            self._chosen = self._items[self._row]
            self._into_view()
            self.refresh()

    def action_page(self, pages: int) -> None:
        self.action_move(pages * max(1, self.scrollable_content_region.height - 1))

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and len(self._items):
            self._row = 0
            self.action_move(int(self.scroll_offset.y) + offset.y)

    def _into_view(self) -> None:
        self.scroll_to_region(Region(0, self._row, 1, 1), animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        width, row = self.scrollable_content_region.width, y + int(self.scroll_offset.y)
        base = self.visual_style.rich_style
        if row >= len(self._items):
            text = Text(self._empty if not len(self._items) and y == 0 else "", Style(dim=True))
            return self._strip(text, width, base)
        is_chosen = row == self._row and self.has_focus
        background = Style(bgcolor=self.app.theme_variables.get("panel")) if is_chosen else Style()
        return self._strip(self._draw(self._items[row], width), width, base + background)

    def _strip(self, text: Text, width: int, style: Style) -> Strip:
        drawn = text.copy()
        drawn.stylize_before(text.style)
        parts = drawn.render(self._rich, end="")
        segments = [Segment(part.text, style + part.style if part.style else style) for part in parts]
        return Strip(segments).adjust_cell_length(width, style)
