"""A configuration survives a dict and TOML, compares by value, and its validation names the field."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control.configs import configs, fields_of_configs
from pdum.nvenc import ContentLight, EncoderConfig, InvalidConfig, References
from pdum.nvenc._config.live_changes import LIVE

pytestmark = pytest.mark.one_abi

OFTEN = settings(max_examples=100, deadline=None)
NAMES = EncoderConfig.names()


@OFTEN
@given(config=configs())
def test_dict_and_toml_and_back(config: EncoderConfig) -> None:
    plain = config.to_dict()
    assert EncoderConfig.from_dict(plain) == config
    assert EncoderConfig.from_dict(json.loads(json.dumps(plain))) == config, "plain values alone"
    text = config.to_toml()
    again = EncoderConfig.from_toml(text)
    assert again == config
    assert again.to_toml() == text
    assert again.settings() == config.settings()
    assert again.session() == config.session()
    assert hash(again) == hash(config)
    assert pickle.loads(pickle.dumps(config)) == config
    assert config.replaced() == config


def test_a_file_of_toml(tmp_path: Path) -> None:
    path = tmp_path / "stream.toml"
    path.write_text(
        'width = 640\nheight = 480\nfps = "30000/1001"\nslices = ["rows", 4]\n[content_light]\n'
        "max_cll = 9\nmax_fall = 8\n"
    )
    config = EncoderConfig.from_toml(path)
    assert config == EncoderConfig(
        width=640, height=480, fps=(30000, 1001), slices=("rows", 4), content_light=config.content_light
    )


def test_tables_are_taken_as_they_are_in_files() -> None:
    light: Any = {"max_cll": 9, "max_fall": 8}
    lists: Any = {"l0": 2, "dpb": 4}
    made = EncoderConfig(width=64, height=64, content_light=light, references=lists)
    assert made == EncoderConfig(
        width=64, height=64, content_light=ContentLight(9, 8), references=References(l0=2, dpb=4)
    )
    unknown: Any = {"l9": 2}
    with pytest.raises(InvalidConfig, match="'l9' in references"):
        EncoderConfig(width=64, height=64, references=unknown)


def test_equal_rates_are_equal_configurations() -> None:
    rates: list[Any] = ["30000/1001", (30000, 1001), (60000, 2002), "60000/2002"]
    assert len({EncoderConfig(width=64, height=64, fps=fps) for fps in rates}) == 1
    whole: list[Any] = [25, "25", (50, 2), 25.0]
    assert len({EncoderConfig(width=64, height=64, fps=fps) for fps in whole}) == 1


def test_whole_numbers_of_numpy_are_written_as_numbers() -> None:
    config = EncoderConfig(width=np.int64(640), height=np.uint16(480), qp=(np.int32(1), 2, 3))  # type: ignore[arg-type]
    assert EncoderConfig.from_toml(config.to_toml()) == EncoderConfig(width=640, height=480, qp=(1, 2, 3))


@OFTEN
@given(fields=fields_of_configs(), more=fields_of_configs())
def test_changed_copies(fields: dict[str, Any], more: dict[str, Any]) -> None:
    """`replaced` equals the constructor with other values, and refuses the same values."""
    config = EncoderConfig(**fields)
    wanted, found = taken(lambda: EncoderConfig(**{**fields, **more})), taken(lambda: config.replaced(**more))
    assert found == wanted


def taken(build: Callable[[], EncoderConfig]) -> EncoderConfig | str:
    """The configuration, or the text of the refusal."""
    try:
        return build()
    except InvalidConfig as error:
        return str(error)


class Oddity:
    """A value of a type that no field takes."""


ODD: list[Any] = [
    1e999, -0.0, "1e999999999", "1/0", ("rows",), ("rows", 0), ("rows", "4"), np.zeros(3), np.zeros(0), np.float32(3),
    {}, set(), b"4", object, NotImplemented, 2**70,
]  # fmt: skip
WRONG = st.one_of(
    st.builds(Oddity),
    st.binary(max_size=3),
    st.text(max_size=6),
    st.floats(),
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.lists(st.integers(-2, 70), max_size=4),
    st.tuples(st.text(max_size=3), st.integers(-2, 2)),
    st.dictionaries(st.sampled_from(["max_cll", "red", "x"]), st.integers(), max_size=2),
    st.sampled_from(ODD),
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(value=WRONG)
def test_an_error_names_its_field(name: str, value: Any) -> None:
    taken_or_named(name, value)


@pytest.mark.parametrize("name", NAMES)
def test_an_error_names_its_field_for_any_value(name: str) -> None:
    for value in ODD:
        taken_or_named(name, value)


def taken_or_named(name: str, value: Any) -> None:
    """Any value of a field is accepted, or the error names the field."""
    builders: tuple[Callable[[], EncoderConfig], ...] = (
        lambda: EncoderConfig(**{"width": 640, "height": 480, name: value}),
        lambda: EncoderConfig.from_dict({"width": 640, "height": 480, name: value}),
        lambda: EncoderConfig(width=640, height=480).replaced(**{name: value}),
    )
    for build in builders:
        config = taken(build)
        if isinstance(config, str):
            assert name in config
        else:
            assert EncoderConfig.from_dict(config.to_dict()) == config, "what is taken can be kept"


# One invalid value for each field; None if every value is valid.
NEVER: dict[str, Any] = {
    **dict.fromkeys(NAMES, Oddity()),
    "cq": 0,
    "qp": (1, 2),
    "slices": ("tiles", 3),
    "fps": "fast",
    "colour": "rec709",
    "spatial_aq": 16,
    "time_code": "yes",
    "temporal_filter": 1,
    "lookahead_level": 4,
}


@pytest.mark.parametrize("name", NAMES)
def test_every_field_is_validated(name: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        EncoderConfig(**{"width": 640, "height": 480, name: NEVER[name]})
    assert name in str(caught.value)


@pytest.mark.parametrize("wrong", ["bit_rate", "with", "QP", "colour_space", ""])
def test_unknown_names(wrong: str) -> None:
    given: dict[str, Any] = {wrong: 1}
    builders: tuple[Callable[[], EncoderConfig], ...] = (
        lambda: EncoderConfig.from_dict({"width": 640, "height": 480, **given}),
        lambda: EncoderConfig.of({"width": 640, "height": 480, **given}),
        lambda: EncoderConfig(width=640, height=480).replaced(**given),
    )
    for build in builders:
        with pytest.raises(InvalidConfig) as caught:
            build()
        assert repr(wrong) in str(caught.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"mastering_display": {"redd": [0.1, 0.2]}}, ["'redd'", "mastering_display", "'red'"]),
        ({"content_light": {"max_cll": 5}}, ["content_light", "max_fall"]),
        ({"content_light": 5}, ["content_light=5"]),
        ({"colour": {"matrix": "bt708"}}, ["colour", "matrix", "bt708"]),
        ({"colour": ["bt709"]}, ["colour"]),
    ],
    ids=str,
)
def test_tables_within(table: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        EncoderConfig.from_dict({"width": 640, "height": 480, **table})
    for word in words:
        assert word in str(caught.value)


def test_documents_that_are_not_toml() -> None:
    with pytest.raises(InvalidConfig, match="not valid TOML"):
        EncoderConfig.from_toml("width = ")


def test_the_docstring_describes_every_field() -> None:
    described = str(EncoderConfig.__doc__)
    assert [name for name in NAMES if name not in described] == []


def test_the_docs_name_the_live_settings(root: Path) -> None:
    text = (root / "docs" / "rate-control.md").read_text()
    assert [name for name in LIVE if f"`{name}`" not in text] == []
