"""Settings without what the GPUs do not support, on machines of the simulated driver."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pdum.nvenc import EncoderConfig, NvencEncoder, UnsupportedFeature
from pdum.nvenc._batch.settings import BatchSettings
from pdum.nvenc._batch.supported_settings import SupportedSettings, gpus_of, supported_settings

from simulator import Simulator

SETTINGS = BatchSettings()
FLAGS = {"multipass", "lookahead", "spatial_aq", "temporal_aq", "bframes", "adaptive_b"}


@pytest.fixture
def supported(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Any:
    def on(settings: BatchSettings, *gpus: Any) -> SupportedSettings:
        monkeypatch.setattr("pdum.nvenc._machine.capabilities._found", {})
        with simulator.machine(gpus=list(gpus)):
            return supported_settings(settings, gpus_of(settings))

    return on


def test_a_gpu_that_has_all_gets_all(supported: Any) -> None:
    got = supported(SETTINGS, "RTX 4090")
    assert got.codec == "av1"
    assert got.notices == ()
    assert got.encoder.keys() >= FLAGS
    assert not {"cq", "bitrate", "qp"} & got.encoder.keys()
    assert (got.quality, got.usual_cq) == (28, 28)
    assert got.table["quality"] == "28 = av1 cq 28"


def test_software_is_not_given_a_default_that_it_would_ignore() -> None:
    assert "multipass" not in supported_settings(SETTINGS, []).encoder
    assert supported_settings(replace(SETTINGS, multipass="quarter"), []).encoder["multipass"] == "quarter"


@pytest.mark.parametrize(
    ("gpus", "codec"),
    [
        (["L4"], "av1"),
        (["RTX 3090"], "hevc"),
        (["RTX 4090", "RTX 3090"], "hevc"),
        ([{"name": "L4", "codecs": ["h264"]}], "h264"),
    ],
)
def test_auto_is_the_best_codec_that_all_have(supported: Any, gpus: list[Any], codec: str) -> None:
    assert supported(SETTINGS, *gpus).codec == codec


def test_auto_and_lossless_is_a_codec_that_can(supported: Any) -> None:
    assert supported(replace(SETTINGS, lossless=True), "RTX 4090").codec == "hevc"
    assert supported_settings(replace(SETTINGS, lossless=True), []).usual_codec == "hevc"


@pytest.mark.parametrize(
    ("settings", "gpus", "sentence"),
    [
        (SETTINGS, ["RTX 4090"], "Codec: av1 on NVENC, preset p4, quality 28 = av1 cq 28."),
        (replace(SETTINGS, quality=20), ["RTX 3090"], "Codec: hevc on NVENC, preset p4, quality 20 = hevc cq 20.2."),
        (replace(SETTINGS, codec="av1", quality=36), [], "Codec: av1 in software, preset p4, quality 36 = av1 cq 35."),
        (replace(SETTINGS, codec="h264", cq=23.5), [], "Codec: h264 in software, preset p4, h264 cq 23.5."),
        (replace(SETTINGS, lossless=True), ["RTX 4090"], "Codec: hevc on NVENC, preset p4, lossless."),
    ],
)
def test_a_sentence_says_what_was_chosen(
    supported: Any, settings: BatchSettings, gpus: list[Any], sentence: str
) -> None:
    got = supported(settings, *gpus) if gpus else supported_settings(settings, [])
    assert got.sentence == sentence


def test_gpus_that_do_not_take_part_do_not_count(supported: Any) -> None:
    assert supported(replace(SETTINGS, gpu=(0,)), "RTX 4090", "RTX 3090").codec == "av1"
    assert supported(replace(SETTINGS, engine="software"), "RTX 4090").codec == "auto"


@pytest.mark.parametrize(
    ("cap", "name", "left", "words"),
    [
        ("NUM_MAX_BFRAMES", "bframes", 0, "no B-frames"),
        ("SUPPORT_LOOKAHEAD", "lookahead", 0, "no lookahead"),
        ("SUPPORT_TEMPORAL_AQ", "temporal_aq", None, "no temporal AQ"),
    ],
)
def test_settings_that_a_gpu_lacks_are_left_out_with_one_notice(
    supported: Any, cap: str, name: str, left: object, words: str
) -> None:
    poor = {"name": "L4", "caps": {cap: 0}}
    got = supported(replace(SETTINGS, codec="hevc"), "RTX 4090", poor)
    assert got.encoder.get(name) == left
    assert len(got.notices) == 1
    assert words in got.notices[0]
    assert "GPU 1" in got.notices[0]
    assert "GPU 0" not in got.notices[0]


def test_fewer_b_frames_are_better_than_none(supported: Any) -> None:
    got = supported(replace(SETTINGS, codec="hevc"), {"name": "L4", "caps": {"NUM_MAX_BFRAMES": 2}})
    assert got.encoder["bframes"] == 2
    assert "no more than 2 B-frames" in got.notices[0]


@pytest.mark.parametrize(
    ("settings", "gpu", "words"),
    [
        (replace(SETTINGS, codec="av1"), "RTX 3090", "GPU 0.*cannot encode av1.*hevc or h264"),
        (
            replace(SETTINGS, lossless=True, codec="hevc"),
            {"name": "L4", "caps": {"SUPPORT_LOSSLESS_ENCODE": 0}},
            "cannot encode lossless",
        ),
    ],
)
def test_a_missing_codec_or_lossless_mode_is_an_error(
    supported: Any, settings: BatchSettings, gpu: Any, words: str
) -> None:
    with pytest.raises(UnsupportedFeature, match=words):
        supported(settings, gpu)


@pytest.mark.parametrize("gpu", ["RTX 4090", "RTX 3090", "GTX 1080", "T4", "L40S", "RTX 5090"])
@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("codec", ["auto", "h264"])
def test_an_encoder_can_be_made_of_what_comes_out(
    supported: Any, simulator: Simulator, gpu: str, lossless: bool, codec: str
) -> None:
    settings = replace(SETTINGS, lossless=lossless, codec=codec)
    got = supported(settings, gpu)
    config = EncoderConfig.of({"width": 640, "height": 360, "codec": got.codec, **got.encoder})
    with simulator.machine(gpus=[gpu]), NvencEncoder(config):
        pass
