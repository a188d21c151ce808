"""The words that settings take, as types, so that editors can complete them.

Each type also takes any string: names in upper case and long forms work too, and a wrong word is an error at run time
that lists the right ones.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Codec: TypeAlias = Literal["h264", "hevc", "av1"] | str
CodecOrAuto: TypeAlias = Literal["auto", "h264", "hevc", "av1"] | str
Preset: TypeAlias = Literal["p1", "p2", "p3", "p4", "p5", "p6", "p7"] | str
Tuning: TypeAlias = Literal["ll", "ull", "hq", "uhq", "lossless"] | str
Profile: TypeAlias = Literal["auto", "baseline", "main", "high", "high10", "high422", "high444", "main10", "rext"] | str
Tier: TypeAlias = Literal["main", "high"] | str
FrameFormat: TypeAlias = (
    Literal[
        "nv12",
        "p010",
        "yuv420",
        "yuv444",
        "yuv444_10",
        "nv16",
        "p210",
        "argb",
        "abgr",
        "ayuv",
        "argb10",
        "abgr10",
        "rgb",
    ]
    | str
)
Chroma: TypeAlias = Literal["auto", "420", "422", "444"] | str
RateControl: TypeAlias = Literal["constqp", "vbr", "cbr"] | str
Multipass: TypeAlias = Literal["off", "quarter", "full"] | str
BReferences: TypeAlias = Literal["off", "each", "middle", "hierarchical"] | str
FirstField: TypeAlias = Literal["top", "bottom"] | str
PictureStructure: TypeAlias = Literal["frame", "top", "bottom"] | str
LayerKind: TypeAlias = Literal["svc", "hierarchical"] | str
Entropy: TypeAlias = Literal["cabac", "cavlc"] | str
QpMap: TypeAlias = Literal["delta", "emphasis"] | str
Statistics: TypeAlias = Literal["picture", "rows", "blocks"] | str
PictureTypes: TypeAlias = Literal["auto", "manual"] | str
PictureType: TypeAlias = Literal["IDR", "I", "P"] | str
CopyMode: TypeAlias = Literal["auto", "never", "always"] | str
Audio: TypeAlias = Literal["copy", "none"] | str | int
Container: TypeAlias = Literal["auto", "mkv", "mp4", "mov"] | str
EngineKind: TypeAlias = Literal["auto", "nvenc", "software"] | str
Verify: TypeAlias = Literal["structure", "samples", "full"] | str
Auto: TypeAlias = Literal["auto"] | str
