"""The settings of a batch, each with its default, the check of its values, and a line of help."""

# ruff: noqa: RUF009 -- ``setting`` makes a field, as ``field`` itself does

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from .._config import alpha, quality_scale
from .._config.choices import Audio, Auto, CodecOrAuto, Container, EngineKind, Multipass, Preset, Verify
from .._config.settings import CODECS, MOST_FRAMES_AHEAD, bits, nearest, one_of, preset_number, whole
from .._config.targets import Target, byte_count
from .._config.values import LARGEST_CQ
from .._errors import InvalidConfig
from .._files.job import NOT_OF_A_FILE

if TYPE_CHECKING:
    from .._config.filters import Filters

CONTAINERS = ("mkv", "mp4", "mov")
NOT_OF_A_BATCH = {
    **NOT_OF_A_FILE,
    "width": "the source decides it; use the setting scale",
    "height": "the source decides it; use the setting scale",
    "fps": "the source decides it; use the setting fps",
    "gpu_id": "use gpu",
    "cuda_context": "it has no meaning for files",
    "codec": "use the setting codec",
    "preset": "use the setting preset",
    "cq": "use the setting cq (--cq), or quality (-q)",
    "bitrate": "files are encoded at constant quality; use quality, or max_bitrate to limit the bitrate",
    "rate_control": "files are encoded at constant quality; use quality",
    "qp": "files are encoded at constant quality; use quality",
    "copy": "the frames are the file's own",
    "stereo": "use right (--right), the video for the right eye",
}
"""Fields of EncoderConfig that the table ``encoder`` must not have."""

Check = Callable[[str, Any], Any]


def _wrong_value(name: str, value: object, wanted: str) -> InvalidConfig:
    return InvalidConfig(f"Expected {wanted}, got {name}={value!r}.")


def _names(*known: str) -> Check:
    return lambda name, value: one_of(name, value, {one: one for one in known})


def _codec(name: str, value: Any) -> str:
    """Also by the names of ffmpeg's encoders for NVENC, such as ``hevc_nvenc``."""
    known = value.lower().removesuffix("_nvenc") if isinstance(value, str) else value
    return one_of(name, known if known in ("h264", "hevc", "av1") else value, {"auto": "auto", **CODECS})


def _preset(_name: str, value: Any) -> str:
    preset_number(value)
    return str(value).lower()


def _number(least: float, most: float) -> Check:
    def check(name: str, value: Any) -> float:
        wanted = f"a number from {least:g} to {most:g}"
        try:
            number = float(value) if not isinstance(value, bool) else least - 1
        except (TypeError, ValueError):
            raise _wrong_value(name, value, wanted) from None
        if not least <= number <= most:
            raise _wrong_value(name, value, wanted)
        return int(number) if number.is_integer() else number

    return check


def _cq(name: str, value: Any) -> float:
    """0: not given. The text "0" is refused, because some users expect it to mean lossless."""
    number: float = _number(0, max(LARGEST_CQ.values()))(name, value)
    if number == 0 and isinstance(value, str):
        raise InvalidConfig(f"Expected a number above 0, got {name}={value!r}. --lossless keeps every pixel as it is.")
    return number


def _whole_number(least: int, most: int, *words: str) -> Check:
    def check(name: str, value: Any) -> int | str:
        if isinstance(value, str) and value.lower() in words:
            return value.lower()
        number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
        try:
            return whole(name, number, least=least, most=most)
        except InvalidConfig:
            wanted = f"a whole number from {least} to {most}"
            raise _wrong_value(name, value, wanted + "".join(f", or {word!r}" for word in words)) from None

    return check


def _gop(name: str, value: Any) -> int:
    try:
        return int(_whole_number(1, 100_000)(name, value))
    except InvalidConfig:
        wanted = "the number of frames from one key frame to the next, from 1 to 100000"
        advice = "A large number makes few key frames; the default is 250."
        raise InvalidConfig(f"Expected {wanted}, got {name}={value!r}. {advice}") from None


def _yes_or_no(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong_value(name, value, "true or false")
    return value


def _audio(name: str, value: Any) -> str | int:
    """Bits a second, with ``k`` for thousands. Numbers below 1000 are thousands, too, as people write them."""
    if value in ("copy", "none"):
        return str(value)
    match = re.fullmatch(r"(\d{1,7})(k?)", str(value).lower()) if not isinstance(value, bool) else None
    bits = 0 if match is None else int(match[1]) * (1000 if match[2] or int(match[1]) < 1000 else 1)
    if not 6_000 <= bits <= 1_024_000:
        raise _wrong_value(name, value, "'copy', 'none' or a bitrate such as '128k'")
    return bits


def _strength(name: str, value: Any) -> bool | int:
    return value if isinstance(value, bool) else whole(name, value, least=1, most=15)


def _patterns(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, (list, tuple)) and all(isinstance(one, str) and one for one in value):
        return tuple(value)
    raise _wrong_value(name, value, "a list of patterns such as ['*.mkv']")


def _gpus(name: str, value: Any) -> str | tuple[int, ...]:
    if value == "all":
        return "all"
    many = value if isinstance(value, (list, tuple)) else [value]
    try:
        numbers = [int(part) for one in many for part in str(one).split(",") if not isinstance(one, bool)]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0:
        raise _wrong_value(name, value, "'all', a GPU's number or a list of them")
    return tuple(dict.fromkeys(numbers))


def _filter(name: str, value: Any) -> Any:
    """The value in the form in which two of them are compared."""
    from .._config.filters import Filters

    return getattr(Filters(**{name: value}), name)


def _folder(name: str, value: Any) -> str:
    if isinstance(value, PurePath):
        return str(value)
    if not isinstance(value, str) or not value:
        raise _wrong_value(name, value, "a folder's path")
    return value


def _target(name: str, value: Any) -> str:
    """``""``: none."""
    return "" if value == "" else Target.of(value, name).text


def _cluster(name: str, value: Any) -> str:
    """``""``: this machine."""
    from .._cluster.address import scheduler_address

    if not isinstance(value, str):
        raise _wrong_value(name, value, "the address of a scheduler, such as tcp://head:8786")
    if value:
        scheduler_address(value, has_tls=True)
    return value


def _path_or_nothing(name: str, value: Any) -> str:
    return "" if value == "" else _folder(name, value)


def _bitrate(name: str, value: Any) -> int:
    """0: no limit."""
    return 0 if value in ("", 0) and not isinstance(value, bool) else bits(name, value, least=1000)


def _encoder(name: str, value: Any) -> Mapping[str, Any]:
    from .._config.config import EncoderConfig

    if not isinstance(value, Mapping):
        raise _wrong_value(name, value, "a table of EncoderConfig's fields")
    known = [one for one in EncoderConfig.names() if one not in NOT_OF_A_BATCH]
    for key in value:
        if key in NOT_OF_A_BATCH:
            raise InvalidConfig(f"{key!r} cannot be set here: {NOT_OF_A_BATCH[key]}.")
        if key not in known:
            raise InvalidConfig(f"Unknown encoder setting {key!r}.{nearest(key, known)}")
    _require_possible(value)
    return dict(value)


def _require_possible(fields: Mapping[str, Any]) -> None:
    """Raises InvalidConfig if the fields work with none of the codecs, with or without a batch's usual settings."""
    from .._config.config import EncoderConfig

    usual = {"lookahead": 28, "bframes": 3, "multipass": "full", "rate_control": "vbr", "cq": 28}
    reasons: list[InvalidConfig] = []
    for others in (usual, {**usual, "bframes": 7, "lookahead": 24}, {}):
        for codec in ("hevc", "h264", "av1"):
            given = {"width": 1920, "height": 1080, "codec": codec, "tuning": "hq", **others, **fields}
            try:
                EncoderConfig.from_dict(given)
                return
            except InvalidConfig as error:
                reasons.append(error)
    raise reasons[0]


def setting(default: Any, check: Check, help_text: str) -> Any:
    metadata = {"check": check, "help": help_text}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class BatchSettings:
    """What ``pdum-nvenc encode`` does, in one object. Build it with ``layers.resolve``, which checks each value."""

    codec: CodecOrAuto = setting("auto", _codec, "auto, h264, hevc or av1")
    preset: Preset = setting("p4", _preset, "p1 (fastest) to p7 (smallest)")
    quality: float = setting(
        quality_scale.DEFAULT,
        _number(quality_scale.BEST, quality_scale.WORST),
        "1 (best) to 63, the same look for all codecs",
    )
    cq: float = setting(0, _cq, "the codec's own value (CRF) instead of quality: up to 51 (av1: 63)")
    lossless: bool = setting(False, _yes_or_no, "lossless; ignores quality and cq")
    alpha: bool = setting(False, _yes_or_no, "keep transparency, as HEVC with alpha in mov or mp4")
    target: str = setting("", _target, "the quality to reach: vmaf=N, xpsnr=N or ssim=N")
    max_size: int = setting(0, byte_count, "the largest size of each result, such as 500M")
    max_bitrate: int = setting(0, _bitrate, "the highest bitrate of each video, such as 8M")
    audio: Audio = setting("copy", _audio, "copy, none, or a bitrate such as 128k")
    container: Container = setting(
        "auto", _names("auto", *CONTAINERS), "auto (keep mkv, mp4 and mov, else mkv), mkv, mp4 or mov"
    )
    scale: str = setting("", _filter, "1080p, 1280x720, 1280x, x720 or 50%")
    fps: str = setting("", _filter, "frames a second, such as 30 or 24000/1001")
    crop: str = setting("", _filter, "auto (crops off black bars; also without a value), or W:H:X:Y, the part to keep")
    deinterlace: str = setting(
        "", _filter, "auto (pictures that are marked as interlaced; also without a value) or always"
    )
    denoise: str = setting("", _filter, "light, medium (also without a value) or strong")
    trim: str = setting("", _filter, "the part to keep, such as 0:10-1:20 or 90-")
    rotate: int = setting(0, _filter, "90, 180 or 270 degrees clockwise")
    vf: str = setting("", _filter, "any graph of FFmpeg's video filters, such as hflip,unsharp")
    engine: EngineKind = setting(
        "auto", _names("auto", "nvenc", "software", "both"), "auto, nvenc or software; with a cluster also both"
    )
    gpu: str | tuple[int, ...] = setting("all", _gpus, "all, or GPU numbers")
    engines: int | Auto = setting("auto", _whole_number(1, 256, "auto"), "number of engines to use at once")
    cluster: str = setting("", _cluster, "the scheduler of a cluster whose engines do the work: tcp://head:8786")
    tls: str = setting("", _path_or_nothing, "with cluster: the file that its scheduler was given with --tls")
    segments: int | Auto = setting("auto", _whole_number(1, 4096, "auto"), "number of parts to split each file into")
    destination: str = setting("compressed", _folder, "a folder beside each source, or a path for all results")
    right: str = setting("", _path_or_nothing, "the video for the right eye; the path is that for the left (MV-HEVC)")
    in_place: bool = setting(False, _yes_or_no, "replace each source with its result")
    keep_bigger: bool = setting(False, _yes_or_no, "keep results that are not smaller than their sources")
    smaller_than: float = setting(
        1.0, _number(0.01, 1.0), "keep a result only if it is below this share of its source's size"
    )
    overwrite: bool = setting(False, _yes_or_no, "replace existing files that pdum-nvenc did not make")
    recursive: bool = setting(False, _yes_or_no, "include subfolders")
    include: tuple[str, ...] = setting((), _patterns, "only files that match one of these patterns")
    exclude: tuple[str, ...] = setting((), _patterns, "skip files that match one of these patterns")
    verify: Verify = setting(
        "samples", _names("structure", "samples", "full"), "how to check results: structure, samples or full"
    )
    multipass: Multipass = setting("full", _names("off", "quarter", "full"), "off, quarter or full")
    lookahead: int = setting(28, _whole_number(0, MOST_FRAMES_AHEAD), "frames to look ahead; with bframes, 31 at most")
    spatial_aq: bool | int = setting(
        True, _strength, "adaptive quantisation within a picture; or a strength of 1 to 15"
    )
    temporal_aq: bool = setting(True, _yes_or_no, "adaptive quantisation over time")
    bframes: int = setting(3, _whole_number(0, MOST_FRAMES_AHEAD), "B-frames in a row")
    adaptive_b: bool = setting(True, _yes_or_no, "use B-frames only if they help")
    gop: int = setting(250, _gop, "frames between key frames")
    encoder: Mapping[str, Any] = setting({}, _encoder, "any other field of EncoderConfig")

    @property
    def keeps_alpha(self) -> bool:
        """Whether results have their sources' transparency. The encoder's field may also be its share of the bits."""
        return alpha.native(self.encoder.get("alpha", self.alpha)) is not None

    @property
    def filters(self) -> Filters:
        from .._config.filters import FILTERS, Filters

        return Filters(**{name: getattr(self, name) for name in FILTERS})


RENAMED = {"output": "destination"}
"""Earlier names of settings, which configuration files and calls may still use."""


def names() -> list[str]:
    return [one.name for one in fields(BatchSettings)]


def default_of(name: str) -> Any:
    one = BatchSettings.__dataclass_fields__[name]
    return one.default if one.default is not MISSING else {}


def help_of(name: str) -> str:
    return str(BatchSettings.__dataclass_fields__[name].metadata["help"])


def checked(name: str, value: Any) -> Any:
    """The value as BatchSettings holds it. Raises InvalidConfig for one that cannot be right, or an unknown name."""
    name = RENAMED.get(name, name)
    if name not in BatchSettings.__dataclass_fields__:
        known = names()
        raise InvalidConfig(f"Unknown setting {name!r}.{nearest(name, known)}")
    return BatchSettings.__dataclass_fields__[name].metadata["check"](name, value)
