"""Settings as people know them from other tools: understood, or answered with the right name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pdum.nvenc import (
    EncoderConfig,
    InvalidConfig,
    InvalidFrame,
    LiveEncoder,
    NvencEncoder,
    SoftwareEncoder,
    VideoWriter,
)
from pdum.nvenc._config.settings import CODECS_ELSEWHERE, NAMES_ELSEWHERE
from pdum.nvenc._config.values import FORMATS_ELSEWHERE, OTHER_ORDERS

from simulator import Simulator

pytestmark = pytest.mark.one_abi

SIZE: dict[str, Any] = {"width": 256, "height": 144}


@pytest.mark.parametrize(
    ("given", "bits"),
    [("8M", 8_000_000), ("800k", 800_000), ("1.5m", 1_500_000), (" 2e6 ", 2_000_000), (5e6, 5_000_000)],
)
def test_amounts_of_bits(given: Any, bits: int) -> None:
    config = EncoderConfig(**SIZE, bitrate=given, max_bitrate=given, vbv_size=given, vbv_initial_delay=given)
    assert {config.bitrate, config.max_bitrate, config.vbv_size, config.vbv_initial_delay} == {bits}
    assert config == EncoderConfig.from_toml(config.to_toml())
    assert config.replaced(bitrate=given) == config


def test_a_rate_as_text_changes_a_running_encoder(simulator: Simulator) -> None:
    with simulator.machine(gpus="RTX 4090"), NvencEncoder(256, 144, bitrate="4M") as encoder:
        encoder.reconfigure(bitrate="2.5M")
        assert encoder.config is not None
        assert encoder.config.bitrate == 2_500_000
        with pytest.raises(InvalidConfig, match="bitrate=0"):
            encoder.reconfigure(bitrate="0k")


@pytest.mark.parametrize("codec", CODECS_ELSEWHERE)
def test_codecs(codec: str) -> None:
    config = EncoderConfig(**SIZE, codec=codec.upper())
    assert config.settings()["codec"] == CODECS_ELSEWHERE[codec]


@pytest.mark.parametrize("name", FORMATS_ELSEWHERE)
def test_formats(name: str) -> None:
    assert EncoderConfig(**SIZE, codec="hevc", format=name.upper()) == EncoderConfig(
        **SIZE, codec="hevc", format=FORMATS_ELSEWHERE[name]
    )


@pytest.mark.parametrize("name", OTHER_ORDERS)
def test_formats_that_have_another_order(name: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        EncoderConfig(**SIZE, format=name)
    assert OTHER_ORDERS[name] in str(caught.value)


@pytest.mark.parametrize("make", [EncoderConfig, NvencEncoder, SoftwareEncoder, EncoderConfig.of], ids=repr)
@pytest.mark.parametrize("name", NAMES_ELSEWHERE)
def test_other_names_of_settings_are_answered_with_ours(make: Any, name: str) -> None:
    given = {**SIZE, name: 1}
    with pytest.raises((TypeError, InvalidConfig)) as caught:
        make(given) if make == EncoderConfig.of else make(**given)
    assert f"It is called {NAMES_ELSEWHERE[name]!r} here." in str(caught.value)
    assert NAMES_ELSEWHERE[name] in EncoderConfig.names()


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(TypeError, match="Did you mean 'preset'"):
        EncoderConfig(**SIZE, presett="p3")  # type: ignore[call-arg]


def test_both_encoders_take_the_same_arguments(simulator: Simulator) -> None:
    arguments: tuple[Any, ...] = (256, 144, "hevc", "p4", "hq", 25, 50, "1M", 0, 0, 2, "main")
    with (
        simulator.machine(gpus="RTX 4090"),
        NvencEncoder(*arguments, bframes=1) as hardware,
        SoftwareEncoder(*arguments, bframes=1) as software,
    ):
        assert hardware.config == software.config


@pytest.mark.parametrize(
    ("arguments", "fields", "word"),
    [
        ((64,), {}, "height"),
        ((), {}, "width and height"),
        ((64, 64), {"width": 64}, "multiple values for argument 'width'"),
        (tuple(range(13)), {}, "at most 12"),
    ],
)
def test_wrong_arguments_of_the_software_encoder(arguments: Any, fields: Any, word: str) -> None:
    with pytest.raises(TypeError, match=word):
        SoftwareEncoder(*arguments, **fields)


def test_a_configuration_comes_alone() -> None:
    config = EncoderConfig(**SIZE)
    with pytest.raises(InvalidConfig, match="alone"):
        SoftwareEncoder(config, codec="hevc")  # type: ignore[call-overload]
    with pytest.raises(InvalidConfig, match="alone"):
        NvencEncoder(config, 64)  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["bitrate", "width", "codec", "bitrat"])
def test_attributes_that_an_encoder_would_not_heed_cannot_be_set(simulator: Simulator, name: str) -> None:
    answers = {
        "bitrate": "reconfigure(bitrate=",
        "width": "reconfigure(width=",
        "codec": "new encoder with codec=",
        "bitrat": "Did you mean 'bitrate'",
    }
    with simulator.machine(gpus="RTX 4090"), NvencEncoder(256, 144) as encoder:
        with pytest.raises(AttributeError) as caught:
            setattr(encoder, name, 1)
        assert answers[name] in str(caught.value)


def test_a_subclass_has_attributes_of_its_own(simulator: Simulator) -> None:
    class Mine(NvencEncoder):
        pass

    with simulator.machine(gpus="RTX 4090"), Mine(256, 144) as encoder:
        encoder.number = 3
        with pytest.raises(AttributeError, match="reconfigure"):
            encoder.bitrate = 3


@pytest.mark.parametrize("shape", [(144, 256, 3), (144, 256, 4), (3, 144, 256)])
def test_an_image_for_nv12_is_told_of_rgb(simulator: Simulator, shape: tuple[int, ...]) -> None:
    with simulator.machine(gpus="RTX 4090"), NvencEncoder(256, 144) as encoder:
        with pytest.raises(InvalidFrame, match='format="rgb"'):
            encoder.encode(np.zeros(shape, np.uint8))
        with pytest.raises(InvalidFrame) as caught:
            encoder.encode(np.zeros((144, 256, 2), np.uint8))
        assert "rgb" not in str(caught.value)


RGB = np.zeros((64, 64, 3), np.uint8)


@pytest.mark.parametrize("given", ["2M", 2e6])
def test_writers_and_live_encoders_take_rates_as_encoders_do(given: Any) -> None:
    with VideoWriter(None, backend="software", bitrate=given, max_bitrate=given) as video:
        video.write(RGB)
    rates = {"bitrate": given, "min_bitrate": given, "start_bitrate": given, "max_bitrate": given}
    with LiveEncoder(backend="software", **rates) as live:
        live.submit(RGB, 0)
        assert live.statistics.bitrate == 2_000_000


def test_writers_and_live_encoders_take_the_names_of_formats() -> None:
    with VideoWriter(None, backend="software", format="RGB24") as video:
        video.write(RGB)
    with VideoWriter(None, backend="software", format="rgb24", size=(64, 64)) as video:
        video.write(RGB.reshape(-1))
    with LiveEncoder(backend="software", format="rgb24") as live:
        assert live.submit(RGB, 0)
    with pytest.raises(InvalidConfig, match="channels reversed"):
        VideoWriter(None, backend="software", format="bgr24").write(RGB)
