"""The settings of a run in a few words."""

from __future__ import annotations

from collections.abc import Mapping

CODECS = {"h264": "H.264", "hevc": "HEVC", "av1": "AV1"}


def settings_line(settings: Mapping[str, object]) -> str:
    """The codec, what decides about quality, and the preset: ``"HEVC, quality 28, p5"``. Empty if nothing is known.

    The encoder's own number after a quality, as in ``"28 = hevc cq 22.4"``, is left out.
    """
    codec = str(settings.get("codec", ""))
    return ", ".join(filter(None, (CODECS.get(codec, codec), _quality(settings), str(settings.get("preset") or ""))))


def _quality(settings: Mapping[str, object]) -> str:
    if settings.get("lossless"):
        return "lossless"
    for name in ("target", "quality", "cq", "bitrate"):
        if settings.get(name):
            value = str(settings[name]).partition(" = ")[0]
            return value if name == "target" else f"{name} {value}"
    return ""
