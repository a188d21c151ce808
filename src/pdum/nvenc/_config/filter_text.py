"""Reads the text of a filter graph as FFmpeg writes it: ``scale=640:360,hflip`` or ``split[a],[a]hflip[b];…``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .._errors import InvalidConfig

PICTURE_BY_PICTURE = frozenset(
    (
        *("avgblur", "bilateral", "boxblur", "cas", "chromanr", "chromashift", "colorbalance", "colorchannelmixer"),
        *(
            "colorcontrast",
            "colorcorrect",
            "colorlevels",
            "colormatrix",
            "colorspace",
            "colortemperature",
            "convolution",
        ),
        *(
            "copy",
            "crop",
            "curves",
            "deband",
            "deblock",
            "delogo",
            "dilation",
            "drawbox",
            "drawgrid",
            "edgedetect",
            "eq",
        ),
        *("erosion", "exposure", "fillborders", "format", "gblur", "hflip", "hue", "huesaturation", "lenscorrection"),
        *("limiter", "lut", "lut1d", "lut3d", "lutrgb", "lutyuv", "median", "monochrome", "negate", "nlmeans"),
        *("noformat", "null", "pad", "pixelize", "rgbashift", "rotate", "scale", "setdar", "setparams", "setrange"),
        *("setsar", "shear", "sobel", "swapuv", "tonemap", "transpose", "unsharp", "vflip", "vibrance", "zscale"),
    )
)
"""Filters that make each picture from one picture alone."""
OF_TIME = re.compile(r"(?<![\w.])(?:(?:n|t|pts|pos|pkt_pos|time|random|ld|st)(?![\w.=])|enable)", re.IGNORECASE)
"""The names in an expression whose values differ from picture to picture."""
SPACE = " \t\r\n"


@dataclass(frozen=True)
class Node:
    """One filter of a graph, with the labels of its links."""

    name: str
    arguments: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


Chain = list[Node]


def parsed(text: str) -> list[Chain]:
    """The chains of a graph. Raises InvalidConfig if the text is not a graph."""
    return _Reader(text).chains()


def is_picture_by_picture(chains: list[Chain]) -> bool:
    """Whether the graph certainly makes each picture from one picture alone, whatever its number is."""
    nodes = chains[0]
    return len(chains) == 1 and all(
        node.name in PICTURE_BY_PICTURE and not node.inputs and not node.outputs and not OF_TIME.search(node.arguments)
        for node in nodes
    )


class _Reader:
    """A place in the text."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def chains(self) -> list[Chain]:
        chains: list[Chain] = [[]]
        while True:
            chains[-1].append(self._node())
            mark = self._next()
            if not mark:
                return chains
            if mark == ";":
                chains.append([])
            elif mark != ",":
                raise self._wrong(f"{mark!r} is not expected")
            self._at += 1

    def _node(self) -> Node:
        inputs = self._labels()
        start = self._at
        while self._at < len(self._text) and self._text[self._at] not in "=,;[]":
            self._at += 1
        name = self._text[start : self._at].strip(SPACE).partition("@")[0]
        if not re.fullmatch(r"\w+", name):
            raise self._wrong(
                "the name of a filter is missing" if not name else f"{name!r} is not the name of a filter"
            )
        arguments = ""
        if self._next() == "=":
            self._at += 1
            arguments = self._arguments()
        return Node(name, arguments, inputs, self._labels())

    def _labels(self) -> tuple[str, ...]:
        found = []
        while self._next() == "[":
            end = self._text.find("]", self._at)
            if end < 0:
                raise self._wrong("a '[' has no ']'")
            found.append(self._text[self._at + 1 : end].strip(SPACE))
            self._at = end + 1
        return tuple(found)

    def _arguments(self) -> str:
        """The text without one level of quotes and backslashes. The filter itself removes the other level."""
        made = ""
        while self._at < len(self._text) and self._text[self._at] not in ",;[]":
            char = self._text[self._at]
            self._at += 1
            if char == "'":
                end = self._text.find("'", self._at)
                if end < 0:
                    raise self._wrong("a quote is not closed")
                made += self._text[self._at : end]
                self._at = end + 1
            elif char == "\\" and self._at < len(self._text):
                made += self._text[self._at]
                self._at += 1
            else:
                made += char
        return made.strip(SPACE)

    def _next(self) -> str:
        """The next character that is not a space; empty at the end."""
        while self._at < len(self._text) and self._text[self._at] in SPACE:
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _wrong(self, what: str) -> InvalidConfig:
        return InvalidConfig(
            f"Expected a filter graph such as 'hflip,gblur=sigma=2', got {self._text!r}: {what} at character "
            f"{min(self._at, len(self._text)) + 1}."
        )
