"""The settings of a run in a few words."""

from __future__ import annotations

from collections.abc import Mapping

CODECS = {"h264": "H.264", "hevc": "HEVC", "av1": "AV1"}


def settings_line(settings: Mapping[str, object]) -> str:
    """The codec, and what decides about quality: ``"HEVC, cq 28, p5"``. Empty if nothing is known."""
    codec = str(settings.get("codec", ""))
    rates = [f"{name} {settings[name]}" for name in ("quality", "cq", "bitrate") if settings.get(name)]
    how = "lossless" if settings.get("lossless") else rates[0] if rates else ""
    return ", ".join(filter(None, (CODECS.get(codec, codec), how, str(settings.get("preset") or ""))))
