"""The types of settings, from which editors complete, are what an encoder really takes."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any, get_args

import pytest

from pdum.nvenc import EncoderConfig, NvencEncoder
from pdum.nvenc._batch.settings import CONTAINERS, checked
from pdum.nvenc._config import choices
from pdum.nvenc._config.encoder_fields import EncoderFields, FileEncoderFields, FurtherFields, LiveFields
from pdum.nvenc._config.live_changes import LIVE
from pdum.nvenc._files.job import NOT_OF_A_FILE

pytestmark = pytest.mark.one_abi

FIELDS = {
    "codec": choices.Codec,
    "preset": choices.Preset,
    "tuning": choices.Tuning,
    "tier": choices.Tier,
    "format": choices.FrameFormat,
    "chroma": choices.Chroma,
    "rate_control": choices.RateControl,
    "multipass": choices.Multipass,
    "b_ref_mode": choices.BReferences,
    "copy": choices.CopyMode,
}
NEEDED: dict[object, dict[str, Any]] = {
    "422": {"format": "nv16"},
    "444": {"format": "yuv444"},
    "420": {"format": "nv12"},
    "constqp": {"qp": 20},
    "vbr": {"bitrate": 1_000_000},
    "cbr": {"bitrate": 1_000_000},
    "each": {"bframes": 3, "tuning": "hq"},
    "middle": {"bframes": 3, "tuning": "hq"},
    "hierarchical": {"bframes": 3, "tuning": "hq"},
}
"""The further settings that a word needs."""


DECLARED = {one.name: one.type for one in fields(EncoderConfig)}


def types_of(typed_dict: Any) -> dict[str, Any]:
    """Amounts of bits may be given as text, and are whole numbers in a configuration."""
    return {name: hint.__forward_arg__.replace("Bits", "int") for name, hint in typed_dict.__annotations__.items()}


def words_of(alias: Any) -> tuple[str, ...]:
    return get_args(get_args(alias)[0])


def test_the_fields_for_editors_are_those_of_the_configuration() -> None:
    assert types_of(EncoderFields) == DECLARED


@pytest.mark.parametrize(
    ("some", "names"),
    [
        (LiveFields, set(LIVE)),
        (FurtherFields, DECLARED.keys() - inspect.signature(NvencEncoder).parameters.keys()),
        (FileEncoderFields, DECLARED.keys() - NOT_OF_A_FILE.keys()),
    ],
)
def test_calls_that_take_some_of_the_fields(some: Any, names: set[str]) -> None:
    assert types_of(some) == {name: DECLARED[name] for name in names}


@pytest.mark.parametrize(("name", "word"), [(name, word) for name, alias in FIELDS.items() for word in words_of(alias)])
def test_every_word_that_editors_offer_is_right(name: str, word: str) -> None:
    given = {"width": 320, "height": 240, "codec": "hevc", **NEEDED.get(word, {}), name: word}
    assert getattr(EncoderConfig.from_dict(given), name) == word


def test_profiles_that_editors_offer_belong_to_a_codec() -> None:
    from pdum.nvenc._config.settings import PROFILES

    assert set(words_of(choices.Profile)) == {name for names in PROFILES.values() for name in names}


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("codec", choices.CodecOrAuto),
        ("preset", choices.Preset),
        ("audio", choices.Audio),
        ("container", choices.Container),
        ("engine", choices.EngineKind),
        ("engines", choices.Auto),
        ("segments", choices.Auto),
        ("verify", choices.Verify),
        ("multipass", choices.Multipass),
    ],
)
def test_words_of_a_batch(name: str, alias: Any) -> None:
    for word in words_of(alias):
        assert checked(name, word) == word
    if name == "container":
        assert words_of(alias) == ("auto", *CONTAINERS)
