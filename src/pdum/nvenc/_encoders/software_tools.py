"""A configuration's tools of the codec, as the software codecs' own options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TABLES: dict[str, dict[str, str]] = {
    "libx264": {
        "aud": "aud",
        "filler_data": "filler",
        "transform_8x8": "8x8dct",
        "constrained_intra": "constrained-intra",
    },
    "libx265": {"aud": "aud", "constrained_intra": "constrained-intra"},
    "libsvtav1": {},
}
"""Settings that are on or off, and what each codec calls them."""


def tool_options(codec: str, settings: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """The codec's own options for the given settings, and the settings that it has no equivalent for."""
    options: dict[str, str] = {}
    unmapped: list[str] = []
    for name in ("aud", "filler_data", "transform_8x8", "constrained_intra"):
        if settings[name] is None:
            continue
        if name in TABLES[codec]:
            options[TABLES[codec][name]] = "1" if settings[name] else "0"
        else:
            unmapped.append(name)
    if settings["references"] is not None:
        _references(codec, settings["references"], options, unmapped)
    if settings["tiles"] is not None:
        names = ("tile-columns", "tile-rows")
        options |= {name: str(count.bit_length() - 1) for name, count in zip(names, settings["tiles"], strict=True)}
    unmapped += [
        name for name in ("layers", "film_grain", "monochrome", "interlaced", "alpha") if settings[name] is not None
    ]
    if settings["single_slice_refresh"] is not None:
        unmapped.append("single_slice_refresh")
    if settings["entropy"] is not None:
        options["cabac"] = "1" if settings["entropy"] == "cabac" else "0"
    if settings["deblocking"] == "within_slices":
        unmapped.append("deblocking")
    elif settings["deblocking"] is not None:
        options["no-deblock"] = "0" if settings["deblocking"] == "on" else "1"
    if settings["sample_aspect"] is not None and codec == "libsvtav1":
        unmapped.append("sample_aspect")
    if settings["chroma_qp_offset"] is not None:
        _chroma(codec, settings["chroma_qp_offset"], options, unmapped)
    return options, unmapped


def _references(codec: str, counts: tuple[int, int, int], options: dict[str, str], unmapped: list[str]) -> None:
    """x264 and x265 have one number for the list and for the pictures that are kept."""
    if codec == "libsvtav1":
        unmapped.append("references")
        return
    options["ref"] = str(counts[0] or counts[2] or counts[1])
    unmapped += ["references.l1"] * bool(counts[1])


def _chroma(codec: str, offsets: tuple[int, int], options: dict[str, str], unmapped: list[str]) -> None:
    cb, cr = offsets
    if codec == "libx265":
        options |= {"cbqpoffs": str(cb), "crqpoffs": str(cr)}
    elif codec == "libsvtav1":
        unmapped.append("chroma_qp_offset")  # it has such options, and ignores them
    else:
        options["chroma-qp-offset"] = str(cb)
        unmapped += ["chroma_qp_offset of Cr"] * (cb != cr)
