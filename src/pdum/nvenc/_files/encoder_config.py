"""Chooses the encoder's configuration for a source, from the source, the settings and what the engine can do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._config.config import EncoderConfig
from .._config.quality_scale import DEFAULT, cq_for, rates_in
from .._config.settings import auto_codecs, codec_name, tuning_name
from .._encoders.pixel_formats import ENCODED_FORMATS
from .._encoders.software_options import takes_size
from .._errors import UnsupportedFeature
from .._media.containers import VIDEO_CODECS
from .transparency import lost_alpha

if TYPE_CHECKING:
    from .._machine.capabilities import Capabilities
    from .._media.source import Index
    from ..events import EngineInfo
    from .job import FileSettings

SECONDS_OF_A_GROUP = 5


@dataclass(frozen=True)
class Recipe:
    """One configuration for every engine, so that their parts fit together."""

    config: EncoderConfig
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class _Wanted:
    """What the source, its container and the settings ask for."""

    chroma: str
    depth: int
    lossless: bool
    codec: str
    container: str
    width: int
    height: int
    stereo: bool
    alpha: bool

    @property
    def layered(self) -> str:
        """What a second layer of HEVC is for; "" if there is none. Such streams have 8 bits and 4:2:0."""
        return "two views" if self.stereo else "alpha" if self.alpha else ""


def choose_recipe(
    index: Index, settings: FileSettings, engine: EngineInfo, container: str, on_gpu: bool, stereo: bool = False
) -> Recipe:
    """``on_gpu``: frames come from the GPU's own decoder. ``stereo``: they are pairs."""
    look, given = index.look, settings.encoder_fields
    wanted = _Wanted(
        look.chroma, look.depth, _is_lossless(given), settings.codec, container, look.width, look.height, stereo,
        settings.keeps_alpha,
    )  # fmt: skip
    codec, chroma, depth, warnings = _of_engine(wanted, engine)
    form = ENCODED_FORMATS[chroma, depth]
    if form == "yuv420" and (on_gpu or wanted.alpha):
        form = "nv12"
    rate = index.rate
    values: dict[str, Any] = {
        "width": _even(look.width, chroma, codec),
        "height": _even(look.height, chroma, codec),
        "codec": codec,
        "format": form,
        "fps": rate,
        "tuning": "hq",
        "mastering_display": look.mastering_display,
        "content_light": look.content_light,
        **({"stereo": True} if stereo else {}),
        **({"colour": look.colour} if look.colour is not None else {"colour": "unspecified"}),
        **given,
    }
    if values.get("gop") is None:
        values["gop"] = max(1, round(rate * SECONDS_OF_A_GROUP))
    if engine.kind == "nvenc":
        values["gpu_id"] = engine.gpu_id or 0
    if not rates_in(given):
        values["cq"] = cq_for(settings.quality or DEFAULT, codec, engine.kind)
    return Recipe(EncoderConfig.of(values), (*warnings, *_losses(index, engine, chroma, values)))


def _is_lossless(given: Mapping[str, Any]) -> bool:
    return tuning_name(given.get("tuning", "hq")) == "lossless"


def _even(size: int, chroma: str, codec: str) -> int:
    """Planes of full resolution may have any size; else one line or column is added."""
    return size if chroma == "444" and codec != "av1" else size + size % 2


def _of_engine(wanted: _Wanted, engine: EngineInfo) -> tuple[str, str, int, list[str]]:
    """The codec, chroma and depth, and what the result loses with them."""
    if wanted.stereo and engine.kind != "nvenc":
        raise UnsupportedFeature(
            f"{engine.label} codes one view, and right=… asks for two. Use a GPU of NVIDIA, or encode each view into a "
            "file of its own."
        )
    if wanted.alpha:
        _require_alpha_layer(engine)
    candidates = _candidates(wanted, engine.kind)
    able = [(codec, *_kept(codec, wanted, engine)) for codec in candidates if _encodes(codec, wanted, engine)]
    if not able:
        raise UnsupportedFeature(
            f"{engine.label} cannot encode {wanted.width}x{wanted.height} as {' or '.join(candidates)}"
            f"{' without loss' if wanted.lossless else ''}. "
            "Choose another codec or engine."
        )
    best = next((one for one in able if one[1:] == (wanted.chroma, wanted.depth)), able[0])
    codec, chroma, depth = best
    lost = []
    name = f"{codec} with {wanted.layered}" if wanted.layered else codec
    if chroma != wanted.chroma:
        lost.append(f"Colour is reduced from {_dotted(wanted.chroma)} to {_dotted(chroma)}: {engine.label} cannot "
                    f"encode {_dotted(wanted.chroma)} as {name}.")  # fmt: skip
    if depth != wanted.depth:
        lost.append(
            f"The depth is reduced from {wanted.depth} to {depth} bits: {engine.label} cannot encode more as {name}."
        )
    return codec, chroma, depth, lost


def _require_alpha_layer(engine: EngineInfo) -> None:
    if engine.kind != "nvenc":
        raise UnsupportedFeature(
            f"{engine.label} does not keep transparency, and alpha asks for it. Use a GPU of NVIDIA that can, or leave "
            "out alpha to encode the colours alone."
        )
    found = _capabilities(engine)
    if "hevc" in found and not found["hevc"].alpha_layer:
        raise UnsupportedFeature(
            f"{engine.label} cannot encode HEVC with alpha (SUPPORT_ALPHA_LAYER_ENCODING is 0). Choose another GPU, or "
            "leave out alpha to encode the colours alone."
        )


def _candidates(wanted: _Wanted, kind: str) -> list[str]:
    if wanted.codec != "auto":
        return [codec_name(wanted.codec)]
    if wanted.layered:
        return ["hevc"]
    found = auto_codecs(kind, wanted.depth, wanted.lossless)
    return [codec for codec in found if codec in VIDEO_CODECS[wanted.container]]


def _encodes(codec: str, wanted: _Wanted, engine: EngineInfo) -> bool:
    if engine.kind != "nvenc":
        if not takes_size(codec, _even(wanted.width, wanted.chroma, codec), _even(wanted.height, wanted.chroma, codec)):
            return False
        return not (codec == "av1" and wanted.lossless and wanted.depth > 8)  # which SVT-AV1 does not keep exactly
    found = _capabilities(engine)
    return codec in found and (not wanted.lossless or found[codec].lossless)


def _kept(codec: str, wanted: _Wanted, engine: EngineInfo) -> tuple[str, int]:
    """The available chroma and depth that are nearest to the source's."""
    if wanted.layered:
        return "420", 8
    if engine.kind != "nvenc":
        return ("420" if codec == "av1" else wanted.chroma), wanted.depth
    can = _capabilities(engine)[codec]
    has = {"420": True, "422": can.yuv422, "444": can.yuv444}
    return (wanted.chroma if has[wanted.chroma] else "420"), (wanted.depth if can.ten_bit else 8)


def _capabilities(engine: EngineInfo) -> Mapping[str, Capabilities]:
    from .._machine.node_capabilities import capabilities_of  # which software needs not

    return capabilities_of(engine)


def _dotted(chroma: str) -> str:
    return ":".join(chroma)


def _losses(index: Index, engine: EngineInfo, chroma: str, values: Mapping[str, Any]) -> list[str]:
    """Warnings about what the source has and the result will not have."""
    look, found = index.look, []
    if not look.exact:
        found.append(f"The source's format {look.pix_fmt} is converted, which is not exact.")
    if (values["width"], values["height"]) != (look.width, look.height):
        found.append(
            f"{look.width}x{look.height} is encoded as {values['width']}x{values['height']}, with its edge repeated, "
            f"because {_dotted(chroma)} needs an even size. Players crop it again."
        )
    if look.interlaced and values.get("interlaced") is None:
        found.append(
            "The source is interlaced: each picture keeps both fields, but is not marked as interlaced. "
            "interlaced='top' or 'bottom' codes fields, on cards that can."
        )
    if look.two_views:
        found.append(
            "The source has a view for each eye (MV-HEVC); only the one that players of one view show is kept."
        )
    if not values.get("alpha"):
        found += lost_alpha(look)
    if look.captions and engine.kind == "nvenc":
        found.append("Closed captions in the video stream are lost. Software encoding keeps them.")
    if look.dynamic_hdr is not None:
        found.append(f"Dynamic HDR metadata ({look.dynamic_hdr}) is lost; what HDR10 has is kept.")
    return found
