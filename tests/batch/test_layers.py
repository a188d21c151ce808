"""Layers of settings: which one overrides which, where a value comes from, and what errors say."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdum.nvenc import EncoderConfig, InvalidConfig
from pdum.nvenc._batch.layers import (
    PROFILES,
    commented_file,
    config_path,
    layer,
    merge,
    profile_names,
    read_config,
    resolve,
    settings_table,
)
from pdum.nvenc._batch.settings import NOT_OF_A_BATCH, BatchSettings, checked, default_of, names

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "codec": st.sampled_from(["auto", "h264", "hevc"]),
    "preset": st.sampled_from([f"p{number}" for number in range(1, 8)]),
    "quality": st.integers(1, 51),
    "audio": st.sampled_from(["copy", "none", 128_000]),
    "engines": st.one_of(st.just("auto"), st.integers(1, 8)),
    "keep_bigger": st.booleans(),
    "lookahead": st.integers(0, 31),
    "include": st.sampled_from([("*.mkv",), ("*.mp4", "*.mov")]),
}
some_values = st.fixed_dictionaries({}, optional=VALUES)


def config_file(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


@given(layers=st.lists(some_values, max_size=4))
def test_the_last_layer_that_sets_a_value_has_it(layers: list[dict[str, Any]]) -> None:
    resolved = merge([layer(values, f"layer {number}") for number, values in enumerate(layers)])
    for name in VALUES:
        setting = [(number, values[name]) for number, values in enumerate(layers) if name in values]
        if setting:
            assert getattr(resolved.settings, name) == setting[-1][1]
            assert resolved.origins[name] == f"layer {setting[-1][0]}"
        else:
            assert getattr(resolved.settings, name) == default_of(name)
            assert resolved.origins[name] == "built-in"


@pytest.mark.parametrize(
    ("layers", "quality", "cq"),
    [
        ([{"cq": 20}], 28, 20),
        ([{"quality": 33}, {"cq": 20}], 28, 20),
        ([{"cq": 20}, {"quality": 33}], 33, 0),
        ([{"cq": 20}, {"preset": "p1"}, {"cq": 21}], 28, 21),
        ([{"quality": 33}, {"cq": 0}], 28, 0),
    ],
)
def test_the_last_layer_decides_between_quality_and_cq(layers: list[dict[str, Any]], quality: int, cq: int) -> None:
    resolved = merge([layer(values, f"layer {number}") for number, values in enumerate(layers)])
    assert (resolved.settings.quality, resolved.settings.cq) == (quality, cq)
    assert {resolved.origins["quality"], resolved.origins["cq"]} > {"built-in"} or (quality, cq) == (28, 0)


@pytest.mark.parametrize("name", names())
def test_each_default_passes_its_own_check(name: str) -> None:
    assert checked(name, default_of(name)) == default_of(name)


def test_defaults_are_those_that_the_issue_names() -> None:
    settings = resolve(read_config()).settings
    assert (settings.quality, settings.multipass, settings.lookahead, settings.bframes) == (28, "full", 28, 3)
    assert settings.spatial_aq is settings.temporal_aq is settings.adaptive_b is True
    assert (settings.audio, settings.destination, settings.codec) == ("copy", "compressed", "auto")


def test_a_file_a_profile_and_the_command_line(tmp_path: Path) -> None:
    path = config_file(
        tmp_path,
        """
[defaults]
quality = 30
preset = "p6"

[profiles.screen]
preset = "p2"

[profiles."my own".encoder]
bit_depth = 10
""",
    )
    plain = resolve(read_config(path))
    assert (plain.settings.quality, plain.settings.preset) == (30, "p6")
    assert plain.origins["quality"] == f"{path}:3 [defaults]"
    screen = resolve(read_config(path), "screen", {"audio": "none"})
    assert (screen.settings.quality, screen.settings.preset, screen.settings.audio) == (26, "p2", "none")
    assert screen.origins["quality"] == "built-in profile screen"
    assert screen.origins["preset"] == f"{path}:7 [profiles.screen]"
    assert screen.origins["audio"] == "command line"
    own = resolve(read_config(path), "my own", {"encoder": {"level": "5.1"}})
    assert own.settings.encoder == {"bit_depth": 10, "level": "5.1"}
    assert own.origins["encoder.bit_depth"] == f"{path}:10 [profiles.my own]"
    assert ("encoder.level", '"5.1"', "command line") in settings_table(own)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[defaults]\n\nqualty = 3", ["config.toml:3:", "'qualty'", "'quality'"]),
        ("[default]\nquality = 3", ["config.toml:1:", "[default]", "'defaults'"]),
        ("[profiles.screen]\ncodek = 'av1'", ["config.toml:2:", "'codek'", "'codec'"]),
        ("[defaults]\nquality = 99", ["config.toml:2:", "quality=99", "1 to 63"]),
        ("[defaults]\nlossless = 'yes'", ["config.toml:2:", "'yes'", "true or false"]),
        ("[defaults]\npreset = 4", ["config.toml:2:", "4"]),
        ("[defaults.encoder]\nbit_dept = 10", ["'bit_dept'", "'bit_depth'", "config.toml:1:"]),
        ("[defaults.encoder]\ncq = 10", ["'cq'", "the setting cq"]),
        ("[defaults]\ncq = 99", ["config.toml:2:", "cq=99", "63"]),
        ("[defaults]\nquality = 20\ncq = 20", ["quality", "cq", "conflict", "[defaults]"]),
        ("[defaults\nquality = 3", ["config.toml", "line 1"]),
        ("defaults = 3", ["[defaults]", "3"]),
        ("profiles = 3", ["profiles", "3"]),
        ("presets = 3", ["presets", "3"]),
        ("[defaults]\ntarget = 'psnr=40'", ["psnr=40", "xpsnr"]),
        ("[defaults]\naudio = '3'", ["'3'", "'128k'"]),
        ("[defaults]\ninclude = '*.mkv'", ["'*.mkv'", "list"]),
        ("[defaults]\ncq = 60", ["cq=60", "51"]),
        ('[defaults]\ncq = 20\ntarget = "ssim=0.9"', ["cq", "target", "conflict"]),
        ("[defaults]\nlossless = true\ntarget = 'ssim=0.9'", ["lossless", "target", "config.toml:2", "config.toml:3"]),
    ],
)
def test_the_error_of_a_wrong_file_names_the_place(tmp_path: Path, text: str, told: list[str]) -> None:
    path = config_file(tmp_path, text)
    with pytest.raises(InvalidConfig) as caught:
        resolve(read_config(path))
    for word in told:
        assert word in str(caught.value)


def test_the_error_of_an_unknown_profile_names_the_nearest_and_all(tmp_path: Path) -> None:
    config = read_config(config_file(tmp_path, "[profiles.mine]\nquality = 20"))
    with pytest.raises(InvalidConfig, match=r"'archival'.*mine"):
        resolve(config, "archive")
    assert profile_names(config) == [*PROFILES, "mine"]


def test_options_that_conflict_are_named_as_they_are_typed(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"^--in-place and --output conflict\. "):
        resolve(read_config(), None, {"in_place": True, "destination": str(tmp_path)})
    with pytest.raises(InvalidConfig, match=r"^--quality and --cq conflict\. The first looks the same"):
        resolve(read_config(), None, {"quality": 28, "cq": 20})
    path = config_file(tmp_path, "[defaults]\nlossless = true")
    with pytest.raises(InvalidConfig, match=rf"^lossless \({path}:2 \[defaults\]\) and --target conflict\. "):
        resolve(read_config(path), None, {"target": "ssim=0.9"})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="config init"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(InvalidConfig, match=r"cannot be read: .*Is a directory\.$") as caught:
        read_config(tmp_path)
    assert "Errno" not in str(caught.value)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidConfig, match="cannot be read"):
        read_config(tmp_path / "bytes.toml")


def test_xdg_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert config_path() == tmp_path / ".config" / "pdum-nvenc" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "x"))
    assert config_path() == tmp_path / "x" / "pdum-nvenc" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert config_path() == tmp_path / ".config" / "pdum-nvenc" / "config.toml"
    assert not read_config().exists


@pytest.mark.parametrize("name", PROFILES)
def test_each_profile_of_the_package_resolves_to_an_encoder(name: str) -> None:
    from pdum.nvenc._batch.supported_settings import supported_settings

    settings = resolve(read_config(), name).settings
    fields_of_encoder = supported_settings(settings, []).encoder
    EncoderConfig.of({"width": 1280, "height": 720, "codec": "hevc", **fields_of_encoder})


def test_the_file_that_init_writes_changes_nothing_and_names_everything(tmp_path: Path) -> None:
    path = config_file(tmp_path, commented_file())
    assert resolve(read_config(path)).settings == BatchSettings()
    # Without its comment signs, it sets what is the default anyway.
    text = path.read_text()
    settings = "\n".join(
        line.removeprefix("# ") for line in text.splitlines() if " = " in line or line.lstrip("# ").startswith("[")
    )
    path.write_text(settings)
    config = read_config(path)
    assert set(names()) - {"encoder"} <= set(config.defaults.values)
    assert {name: value for name, value in config.defaults.values.items() if not name.startswith("encoder.")} == {
        name: default_of(name) for name in names() if name != "encoder"
    }
    assert list(config.profiles) == list(PROFILES)


def test_settings_that_files_refuse_are_fields_of_an_encoder() -> None:
    assert set(NOT_OF_A_BATCH) <= set(EncoderConfig.names())
    assert all(field.metadata["help"] for field in fields(BatchSettings))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("audio", "128k", 128_000),
        ("audio", "96", 96_000),
        ("audio", "96000", 96_000),
        ("quality", "27.5", 27.5),
        ("quality", "28", 28),
        ("gpu", "1,0,1", (1, 0)),
        ("gpu", "all", "all"),
        ("engines", "2", 2),
        ("engines", "auto", "auto"),
        ("codec", "H265", "hevc"),
        ("codec", "av1_nvenc", "av1"),
        ("target", "xpsnr=42.0", "xpsnr=42"),
    ],
)
def test_values_as_they_stand_on_a_command_line(name: str, text: str, value: Any) -> None:
    assert checked(name, text) == value


@pytest.mark.parametrize(
    "fields",
    [
        {"bit_depth": 10},
        {"profile": "high"},
        {"profile": "main10", "bit_depth": 10},
        {"tier": "high"},
        {"lookahead_level": 1},
        {"temporal_filter": True},
        {"tuning": "ll"},
        {"max_bitrate": 8_000_000},
        {"b_ref_mode": "middle"},
        {"level": "5.1"},
        {"weighted_prediction": True},
    ],
)
def test_fields_of_an_encoder_that_some_batch_could_use(fields: dict[str, Any]) -> None:
    assert checked("encoder", fields) == fields


@pytest.mark.parametrize("fields", [{"profile": "highest"}, {"level": "77"}, {"bit_depth": 9}, {"b_ref_mode": "some"}])
def test_fields_that_no_batch_could_use(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig):
        checked("encoder", fields)


def test_the_earlier_name_of_a_setting_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[defaults]\noutput = 'small'\n")
    resolved = resolve(read_config(path))
    assert resolved.settings.destination == "small"
    assert resolved.origins["destination"].startswith(f"{path}:2")
    assert resolve(read_config(path), None, {"destination": "/elsewhere"}).settings.destination == "/elsewhere"


def test_the_earlier_name_of_the_table_of_profiles_is_still_read(tmp_path: Path) -> None:
    path = config_file(tmp_path, "[presets.mine]\nquality = 20\n[profiles.other]\nquality = 21\n")
    config = read_config(path)
    assert profile_names(config) == [*PROFILES, "mine", "other"]
    mine = resolve(config, "mine")
    assert (mine.settings.quality, mine.origins["quality"]) == (20, f"{path}:2 [presets.mine]")
    path.write_text("[presets.mine]\nquality = 20\n[profiles.mine]\nquality = 21\n")
    with pytest.raises(InvalidConfig, match=r"config.toml:1: \[presets.mine\] and \[profiles.mine\] conflict"):
        read_config(path)


def test_the_earlier_option_is_understood() -> None:
    from pdum.nvenc._cli.parser import make_parser

    for option in ("-o", "--destination", "--output"):
        assert make_parser().parse_args(["encode", option, "there", "a.mkv"]).destination == "there"
