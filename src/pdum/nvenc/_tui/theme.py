"""The dashboard's colours, dark and light."""

from __future__ import annotations

from textual.theme import Theme

from .._view.draw import Palette

DARK = Theme(
    name="pdum-dark",
    dark=True,
    primary="#5eead4",
    secondary="#7dd3fc",
    accent="#5eead4",
    foreground="#d7dee8",
    background="#0d1117",
    surface="#131a23",
    panel="#1d2733",
    success="#4ade80",
    warning="#facc15",
    error="#f87171",
)
LIGHT = Theme(
    name="pdum-light",
    dark=False,
    primary="#0f766e",
    secondary="#0369a1",
    accent="#0f766e",
    foreground="#1f2933",
    background="#f3f5f8",
    surface="#ffffff",
    panel="#e2e8f0",
    success="#15803d",
    warning="#a16207",
    error="#b91c1c",
)
PALETTES = {
    True: Palette(
        good="#4ade80",
        marginal="#facc15",
        bigger="#f87171",
        unknown="#d7dee8",
        error="bold #f87171",
        warning="#facc15",
        info="#d7dee8",
        dim="#5b6878",
        accent="#5eead4",
        strong="bold #ffffff",
    ),
    False: Palette(
        good="#15803d",
        marginal="#a16207",
        bigger="#b91c1c",
        unknown="#1f2933",
        error="bold #b91c1c",
        warning="#a16207",
        info="#1f2933",
        dim="#94a3b8",
        accent="#0f766e",
        strong="bold #000000",
    ),
}
CSS = """
Screen { background: $background; layout: vertical; }
#head { height: 2; padding: 0 1; background: $surface; }
#gpus { height: auto; max-height: 50%; scrollbar-size-vertical: 1; scrollbar-color: $panel;
        scrollbar-background: $background; }
.gpu { height: auto; border: round $panel; border-title-color: $primary; border-title-style: bold;
       border-subtitle-color: $secondary; padding: 0 1; text-wrap: nowrap; text-overflow: clip; }
.tight .gpu { border: none; }
#tabs { height: 1; padding: 0 1; display: none; background: $surface; }
.tabbed #tabs { display: block; }
#lists { height: 1fr; grid-size: 2 2; grid-columns: 1fr 1fr; grid-rows: 3fr 2fr; layout: grid; }
.tabbed #lists { layout: vertical; }
Lines { border: round $panel; border-title-color: $foreground; background: $background; padding: 0 1;
        scrollbar-size-vertical: 1; scrollbar-color: $panel; scrollbar-background: $background; }
Lines:focus { border: round $primary; border-title-color: $primary; border-title-style: bold; }
.tabbed Lines { display: none; height: 1fr; }
.tabbed Lines.current { display: block; }
Footer { background: $surface; }
Toast { width: 46; max-width: 80%; }
#box { width: 76; max-width: 95%; height: auto; max-height: 90%; border: round $primary; background: $surface;
       padding: 1 2; border-title-color: $primary; border-title-style: bold; }
Box { align: center middle; background: $background 60%; }
"""
