"""The settings that the dashboard and the report name."""

from __future__ import annotations

from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.supported_settings import supported_settings
from pdum.nvenc._cli.running import shown_settings
from pdum.nvenc._view.settings_line import settings_line


def shown(**given: object) -> dict[str, object]:
    settings = BatchSettings(engine="software", **given)  # type: ignore[arg-type]
    return shown_settings(settings, supported_settings(settings, []))


def test_a_target_takes_the_place_of_the_quality() -> None:
    assert settings_line(shown(codec="h264", quality=30)) == "H.264, quality 30, p4"
    found = shown(codec="h264", target="xpsnr=38")
    assert "quality" not in found
    assert "cq" not in found
    assert settings_line(found) == "H.264, xpsnr=38, p4"


def test_limits_are_named_only_if_there_are_any() -> None:
    assert not {"target", "max_size", "max_bitrate"} & set(shown())
    found = shown(max_size=500_000_000, max_bitrate=8_000_000)
    assert (found["max_size"], found["max_bitrate"]) == ("500 MB", "8 Mbit/s")
    assert found["audio"] == "copy"
