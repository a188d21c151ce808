"""A second layer of HEVC, for transparency or for the right eye: what it does not work with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

EncoderConfig = Any  # a module above this one, which calls it


def contradictions(config: EncoderConfig, asked: str, others: Sequence[tuple[str, object]] = ()) -> Iterator[str]:
    """``asked``: the setting that wants the layer. ``others``: more that it excludes, each with whether it is there."""
    settings = config.settings()
    for name, is_there in (
        ("bit_depth", settings["bit_depth"] != 8),
        ("chroma", settings["chroma"] != "420"),
        ("weighted_prediction", config.weighted_prediction),
        ("split_encode", settings["split_encode"] not in (None, "off")),
        ("monochrome", config.monochrome),
        ("layers", config.layers is not None),
        *others,
    ):
        if is_there:
            yield f"{asked} does not work with {name}={getattr(config, name)!r}. Leave one out."
