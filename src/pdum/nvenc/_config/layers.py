"""Temporal layers: pictures that a receiver may leave out, since those of lower layers do not refer to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .._errors import InvalidConfig
from . import choices
from .settings import codec_name, one_of, shown, whole
from .values import switch

MOST_LAYERS = 8
"""As many as H.264's and HEVC's headers can count. Cards have fewer."""

EncoderConfig = Any  # a module above this one, which calls it


@dataclass(frozen=True, repr=False)
class Layers:
    """How many temporal layers a stream has, and how it tells them apart.

    With three, every second picture is in the highest layer, and every fourth in the lowest. ``Packet.temporal_layer``
    is the layer of each one.

    Args:
        count: 2 to 8; today's cards have up to 4.
        kind: ``"svc"``: the stream names the layer of each picture, and there are no B-frames. ``"hierarchical"``
            (H.264): pictures refer to each other in the same way, or B-frames do, but the stream does not tell.
        prefixes: a prefix NAL unit, which names the layer, before each slice (H.264).
        scalability_info: a message that describes all layers, on every IDR (H.264).
    """

    count: int
    kind: choices.LayerKind = "svc"
    prefixes: bool = True
    scalability_info: bool = False

    def __repr__(self) -> str:
        return shown(self)

    def __post_init__(self) -> None:
        whole("layers.count", self.count, 2, MOST_LAYERS)
        object.__setattr__(self, "kind", one_of("layers.kind", self.kind, {one: one for one in KINDS}))
        switch("layers.prefixes", self.prefixes)
        switch("layers.scalability_info", self.scalability_info)


KINDS = ("svc", "hierarchical")


def grouped(value: Layers | int | None) -> Layers | None:
    """Of a configuration's ``layers``, which may be the count alone."""
    if value is None or isinstance(value, Layers):
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidConfig(f"Expected a number of layers or Layers(count, …), got layers={value!r}.")
    return Layers(value)


def native(value: Layers | int | None) -> tuple[int, bool, bool, bool] | None:
    layers = grouped(value)
    if layers is None:
        return None
    return layers.count, layers.kind == "svc", layers.prefixes, layers.scalability_info


def contradictions(config: EncoderConfig, may_have_b_frames: bool) -> Iterator[str]:
    layers: Layers | None = config.layers
    if layers is None:
        return
    codec, is_svc = codec_name(config.codec), layers.kind == "svc"
    if codec != "h264":
        yield from _of_h264(config, layers)
    if not is_svc and (layers.scalability_info or not layers.prefixes):
        yield f"layers={layers} describes layers that the stream does not tell apart. Use kind='svc'."
    if is_svc and may_have_b_frames:
        yield (
            f"layers={layers} does not work with bframes={config.bframes}: only streams without B-frames have such "
            "layers. Give bframes=0, or in H.264 kind='hierarchical'."
        )
    if config.picture_types.lower() == "manual":
        yield f"layers={layers} does not work with picture_types='manual': the driver chooses each picture's layer."
    if config.long_term_references:
        yield (
            f"layers={layers} does not work with long_term_references={config.long_term_references}: only pictures of "
            "the lowest layer could be kept, and the driver chooses which ones those are."
        )
    least = 2 * (layers.count - 2)
    for name, kept in _kept(config):
        if kept < least:
            yield f"layers={layers} does not work with {name}={kept}: {least} pictures have to be kept. Give that many."


def _of_h264(config: EncoderConfig, layers: Layers) -> Iterator[str]:
    asked = {"kind='hierarchical'": layers.kind != "svc", "prefixes=False": not layers.prefixes}
    for name, is_asked in {**asked, "scalability_info=True": layers.scalability_info}.items():
        if is_asked:
            yield f"layers={layers} does not work with codec={config.codec!r}: {name} is for H.264. Leave it out."


def _kept(config: EncoderConfig) -> Iterator[tuple[str, int]]:
    """Settings that say how many pictures are kept."""
    if config.references is not None and config.references.dpb is not None:
        yield "references.dpb", config.references.dpb
    if config.reference_frames is not None:
        yield "reference_frames", config.reference_frames
