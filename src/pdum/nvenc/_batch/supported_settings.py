"""A batch's settings, without those that a GPU of this machine does not support. A notice names each of those."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._config.quality_scale import cq_for
from .._config.settings import auto_codecs
from .._config.targets import Target
from .._errors import UnsupportedFeature
from .._files.scores import require_scores
from .._machine.capabilities import Capabilities
from .settings import BatchSettings, default_of

if TYPE_CHECKING:
    from ..events import EngineInfo


@dataclass(frozen=True, kw_only=True)
class SupportedSettings:
    """The arguments of ``FileSettings``, with notices of the settings that were left out."""

    kind: str
    """The kind of the engines: ``"nvenc"`` or ``"software"``."""
    codec: str
    encoder: Mapping[str, Any]
    quality: float | None = None
    """None: ``encoder`` has the encoder's own ``cq``, or is lossless."""
    notices: tuple[str, ...] = ()

    @property
    def usual_codec(self) -> str:
        """The codec of most files: with ``"auto"``, a file that it cannot keep gets another one."""
        return self._auto()[0] if self.codec == "auto" else self.codec

    def _auto(self, depth: int = 8) -> tuple[str, ...]:
        return auto_codecs(self.kind, depth, lossless=self.encoder.get("tuning") == "lossless")

    @property
    def usual_cq(self) -> float | None:
        """The encoder's own ``cq``; None if it is lossless."""
        if self.quality is None:
            return self.encoder.get("cq")
        return cq_for(self.quality, self.usual_codec, self.kind)

    @property
    def quality_text(self) -> str:
        """What decides the quality, as ``"28 = hevc cq 22.4"`` or ``"lossless"``."""
        scale = "" if self.quality is None else f"{self.quality:g} = "
        return "lossless" if self.usual_cq is None else f"{scale}{self.usual_codec} cq {self.usual_cq:g}"

    @property
    def table(self) -> dict[str, Any]:
        """All settings by name, for a report."""
        quality = {} if self.quality is None else {"quality": self.quality_text}
        lossless = {"lossless": True} if self.usual_cq is None else {}
        return {"codec": self.usual_codec, **quality, **lossless, **self.encoder}

    @property
    def sentence(self) -> str:
        """What the files become, in words for the output."""
        where = "in software" if self.kind == "software" else "on NVENC"
        alpha = " with alpha" if self.encoder.get("alpha") else ""
        deep = self._auto(depth=10)[0] if self.codec == "auto" else self.codec
        other = "" if deep == self.usual_codec else f" ({deep} for sources of 10 bits)"
        label = "" if self.quality is None else "quality "
        codec = f"{self.usual_codec}{alpha} {where}{other}"
        return f"Codec: {codec}, preset {self.encoder['preset']}, {label}{self.quality_text}."


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A GPU that takes part, and its capabilities by codec."""

    gpu_id: int
    name: str
    codecs: Mapping[str, Capabilities]


def gpus_of(settings: BatchSettings) -> list[Gpu]:
    """The GPUs that the settings select and that can encode; none if the settings ask for software."""
    from .._machine.capabilities import capabilities
    from .._machine.devices import devices

    if settings.engine == "software":
        return []
    wanted = settings.gpu
    return [
        Gpu(gpu_id=one.gpu_id, name=one.name, codecs=capabilities(one.gpu_id))
        for one in devices()
        if one.can_encode and (isinstance(wanted, str) or one.gpu_id in wanted)
    ]


def gpus_of_cluster(engines: Sequence[EngineInfo]) -> list[Gpu]:
    """The GPUs of a cluster's engines; none if they are software."""
    from .._machine.node_capabilities import capabilities_of

    found = {(one.node, one.gpu_id): one for one in engines if one.gpu_id is not None}
    return [
        Gpu(gpu_id=one.gpu_id or 0, name=f"{one.gpu_name} in {one.node}", codecs=capabilities_of(one))
        for one in found.values()
    ]


def supported_settings(settings: BatchSettings, gpus: Sequence[Gpu]) -> SupportedSettings:
    """Raises UnsupportedFeature for a requested codec or lossless coding that a GPU does not support.

    Several GPUs may encode parts of one video, so a setting that one of them lacks is left out for all.
    """
    if settings.target:
        require_scores(Target.of(settings.target).metric)
    if settings.keeps_alpha:
        _require_alpha(gpus)
    if not gpus:
        return SupportedSettings(
            kind="software", codec=settings.codec, encoder=_software_encoder(settings), quality=_quality(settings)
        )
    codec = _codec(settings, gpus)
    if settings.lossless:
        lacking = [gpu for gpu in gpus if not gpu.codecs[codec].lossless]
        if lacking:
            raise UnsupportedFeature(
                f"{_names_of(lacking)} cannot encode lossless {codec}. Choose another codec (-c) or GPU (--gpu), "
                "or use --engine software."
            )
    left_out = dict(_left_out(settings, codec, gpus))
    notices = tuple(f"{reason}; ignored: {name}." for name, (_, reason) in left_out.items())
    return SupportedSettings(
        kind="nvenc",
        codec=codec,
        encoder=_encoder(settings, {key: value for key, (value, _) in left_out.items()}),
        quality=_quality(settings),
        notices=notices,
    )


def _require_alpha(gpus: Sequence[Gpu]) -> None:
    if not gpus:
        raise UnsupportedFeature(
            "The processor's encoders do not keep transparency. Leave out --alpha to encode the colours alone, or use "
            "a machine with a GPU of NVIDIA."
        )
    lacking = [gpu for gpu in gpus if "hevc" in gpu.codecs and not gpu.codecs["hevc"].alpha_layer]
    if lacking:
        raise UnsupportedFeature(
            f"{_names_of(lacking)} cannot encode HEVC with alpha. Choose another GPU (--gpu), or leave out --alpha to "
            "encode the colours alone."
        )


def _codec(settings: BatchSettings, gpus: Sequence[Gpu]) -> str:
    known = (
        ["hevc"] if settings.right or settings.keeps_alpha else auto_codecs("nvenc")
    )  # which alone has layers for it
    common = [codec for codec in known if all(codec in gpu.codecs for gpu in gpus)]
    if settings.codec == "auto" and settings.container == "mov":
        common = [codec for codec in common if codec != "av1"]
    if settings.codec == "auto" and common:
        lossless = [codec for codec in common if all(gpu.codecs[codec].lossless for gpu in gpus)]
        return lossless[0] if settings.lossless and lossless else common[0]
    if settings.codec in common:
        return settings.codec
    wanted = "any codec" if settings.codec == "auto" else settings.codec
    lacking = [gpu for gpu in gpus if settings.codec not in gpu.codecs]
    raise UnsupportedFeature(
        f"{_names_of(lacking)} cannot encode {wanted}, and all GPUs in use must. "
        f"Choose {' or '.join(common) or 'one GPU (--gpu)'}, or use --engine software."
    )


def _left_out(settings: BatchSettings, codec: str, gpus: Sequence[Gpu]) -> Iterator[tuple[str, tuple[Any, str]]]:
    """The settings that some GPU does not support, each with its replacement and the reason."""

    def lacking(name: str) -> str:
        return f"{_names_of([gpu for gpu in gpus if not gpu.codecs[codec][name]])} has no {{}} for {codec}"

    most = min(gpu.codecs[codec].max_b_frames for gpu in gpus)
    if settings.bframes > most:
        yield "bframes", (most, lacking("max_b_frames").format("B-frames") if not most else _few(codec, gpus, most))
    if settings.lookahead and not all(gpu.codecs[codec].lookahead for gpu in gpus):
        yield "lookahead", (0, lacking("lookahead").format("lookahead"))
    if settings.temporal_aq and not all(gpu.codecs[codec].temporal_aq for gpu in gpus):
        yield "temporal_aq", (None, lacking("temporal_aq").format("temporal AQ"))


def _few(codec: str, gpus: Sequence[Gpu], most: int) -> str:
    few = [gpu for gpu in gpus if gpu.codecs[codec].max_b_frames == most]
    return f"{_names_of(few)} has no more than {most} B-frames for {codec}"


def _names_of(gpus: Sequence[Gpu]) -> str:
    return " and ".join(f"GPU {gpu.gpu_id} ({gpu.name})" for gpu in gpus)


def _quality(settings: BatchSettings) -> float | None:
    return None if settings.lossless or settings.cq else settings.quality


def _software_encoder(settings: BatchSettings) -> dict[str, Any]:
    """Without multipass, which no software codec has, unless it is asked for: then a notice says that it is ignored."""
    encoder = _encoder(settings, {})
    if settings.multipass == default_of("multipass"):
        encoder.pop("multipass", None)
    return encoder


def _encoder(settings: BatchSettings, instead: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of EncoderConfig. The preset decides those that are None."""
    fields: dict[str, Any] = {
        "preset": settings.preset,
        "tuning": "lossless" if settings.lossless else "hq",
        "gop": settings.gop,
        "lookahead": settings.lookahead,
        "bframes": settings.bframes,
        "spatial_aq": settings.spatial_aq,
        "temporal_aq": settings.temporal_aq,
        **instead,
    }
    if settings.lossless:
        fields |= {"spatial_aq": None, "temporal_aq": None, "lookahead": 0, "bframes": 0}
    else:
        fields |= {"cq": settings.cq or None, "multipass": settings.multipass}
    if _has_named_layers(settings) and settings.bframes == default_of("bframes"):
        fields["bframes"] = 0  # which such streams never have
    if settings.right:  # two views have neither
        fields |= {name: 0 for name in ("bframes", "lookahead") if fields[name] == default_of(name)}
    if settings.alpha:
        fields["alpha"] = True
    fields |= settings.encoder
    if fields["bframes"] and fields["lookahead"]:
        fields.setdefault("adaptive_b", settings.adaptive_b)
    return {name: value for name, value in fields.items() if value is not None}


def _has_named_layers(settings: BatchSettings) -> bool:
    """Whether the encoder's own fields ask for temporal layers, as a number or as a table of TOML."""
    layers = settings.encoder.get("layers")
    kind = layers.get("kind") if isinstance(layers, Mapping) else getattr(layers, "kind", None)
    return layers is not None and kind in (None, "svc")
