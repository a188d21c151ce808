"""Converts text subtitles to the codec that another container has for them."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

from .av import import_av
from .containers import SUBTITLE_CODECS

TEXTS = ("subrip", "srt", "text", "ass", "ssa", "mov_text", "webvtt")
FIELDS_BEFORE_TEXT = 8  # of an ASS event in Matroska
OVERRIDES = re.compile(r"\{[^}]*\}")
TAGS = re.compile(r"</?[a-zA-Z][^>]*>")


@dataclass(frozen=True)
class TextConversion:
    """Converts from one text codec to another."""

    source: str
    codec: str

    def packets(self, packet: Any, made: Any) -> tuple[Any, ...]:
        text = self.text(bytes(packet))
        if not text:
            return ()
        data = text.encode()
        converted = import_av().Packet(struct.pack(">H", len(data)) + data if self.codec == "mov_text" else data)
        converted.stream = made
        converted.pts, converted.dts, converted.time_base = packet.pts, packet.pts, packet.time_base
        converted.duration = packet.duration
        converted.is_keyframe = True
        return (converted,)

    def text(self, data: bytes) -> str:
        """The text without styles."""
        if self.source == "mov_text":
            size = int.from_bytes(data[:2], "big")
            return data[2 : 2 + size].decode(errors="replace")
        text = data.decode(errors="replace")
        if self.source in ("ass", "ssa"):
            text = text.split(",", FIELDS_BEFORE_TEXT)[-1]
            text = OVERRIDES.sub("", text).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
        return TAGS.sub("", text).strip("\r\n")


def text_conversion(stream: Any, container: str) -> TextConversion | None:
    """None if the stream is not text, or the container has no text codec that we can write."""
    if stream.type != "subtitle" or stream.codec_context is None or container not in SUBTITLE_CODECS:
        return None
    name = stream.codec_context.name
    return TextConversion(name, SUBTITLE_CODECS[container]) if name in TEXTS else None
