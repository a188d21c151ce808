"""``encode --alpha``: transparent videos become HEVC with alpha."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from transparent_clips import FORMS, FRAMES, alpha_in, packets_of, transparency, transparent_clip

from clips import Tool, events_of, make_clip
from loud import need_module
from simulator import Machine, Simulator

pytestmark = pytest.mark.one_abi


@pytest.fixture
def card(simulator: Simulator) -> Iterator[Machine]:
    with simulator.machine(gpus=["RTX 5090"], backend="codec") as made:
        yield made


def assert_alpha(result: Path) -> None:
    found = alpha_in(packets_of(result))
    assert len(found) == FRAMES
    for number, seen in enumerate(found):
        wanted = transparency(number)
        assert np.abs(seen[: wanted.shape[0], : wanted.shape[1]].astype(int) - wanted).mean() < 3, number


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("asked", [("--alpha",), ("--set", "alpha=7"), ("--alpha", "--set", "alpha=3")])
def test_results_are_movies_with_alpha(tool: Tool, tmp_path: Path, asked: tuple[str, ...]) -> None:
    webm = transparent_clip(tmp_path / "a.webm", FORMS["VP9"])
    rle = transparent_clip(tmp_path / "b.mov", FORMS["QuickTime RLE"])
    code, told = tool.encode(*asked, "--cq", "6", "--keep-bigger", webm, rle)
    assert code == 0, told
    assert any("Codec: hevc with alpha on NVENC" in event["message"] for event in events_of("notice", told))
    for name in ("a.mov", "b.mov"):
        assert_alpha(tmp_path / "compressed" / name)


@pytest.mark.usefixtures("card")
def test_a_file_name_chooses_the_container(tool: Tool, tmp_path: Path) -> None:
    source = transparent_clip(tmp_path / "a.mov", FORMS["PNG"])
    code, told = tool.encode("--alpha", "--cq", "6", "--keep-bigger", source, tmp_path / "b.mp4")
    assert code == 0, told
    assert_alpha(tmp_path / "b.mp4")
    code, told = tool.encode("--alpha", source, tmp_path / "b.mkv")
    assert (code, "Players do not look for alpha in Matroska. Use mov or mp4." in tool.err) == (2, True)


@pytest.mark.usefixtures("card")
def test_a_second_run_does_it_again_only_with_another_setting(tool: Tool, tmp_path: Path) -> None:
    source = transparent_clip(tmp_path / "a.mov", FORMS["PNG"])
    arguments = "-c", "hevc", "--cq", "6", "--keep-bigger", source
    tool.encode("--alpha", *arguments)
    told = tool.encode("--alpha", *arguments)[1]
    assert told[-1]["message"] == "1 file already done; skipped."
    code, told = tool.encode(*arguments)
    assert code == 0
    assert any("alpha channel, which is left out" in str(event) for event in told)
    assert alpha_in(packets_of(tmp_path / "compressed" / "a.mov")) == []


@pytest.mark.usefixtures("card")
def test_opaque_files_of_a_folder_fail_with_the_reason(tool: Tool, tmp_path: Path) -> None:
    transparent_clip(tmp_path / "a.mov", FORMS["PNG"])
    make_clip(tmp_path / "b.mov", FRAMES)
    code, told = tool.encode("--alpha", "--cq", "6", "--keep-bigger", tmp_path)
    assert code == 1
    (failed,) = events_of("job_failed", told)
    assert "b.mov: Expected a video with an alpha channel" in failed["message"]
    assert_alpha(tmp_path / "compressed" / "a.mov")
    assert not (tmp_path / "compressed" / "b.mov").exists()


@pytest.mark.usefixtures("card")
def test_a_dry_run_writes_nothing_and_refuses_the_same(tool: Tool, tmp_path: Path) -> None:
    transparent, opaque = transparent_clip(tmp_path / "a.mov", FORMS["PNG"]), make_clip(tmp_path / "b.mov", FRAMES)
    for more in ((), ("--estimate",)):
        code, told = tool.encode("--dry-run", *more, "--alpha", transparent)
        assert code == 0, tool.err
        assert told[0]["action"] == "encode"
    _, told = tool.encode("--dry-run", "--alpha", opaque)
    assert (told[0]["action"], "alpha channel" in told[0]["why"]) == ("fail", True), told
    assert not (tmp_path / "compressed").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("-c", "av1"), "--alpha and --codec conflict. Alpha is a part of HEVC."),
        (("--container", "mkv"), "--alpha and --container conflict. Players do not look for alpha in Matroska."),
        (("--engine", "software"), "--alpha and --engine conflict. The processor's encoders do not keep"),
        (("--right", "RIGHT"), "--alpha and --right conflict. Two views have no transparency."),
        (("--set", "alpha=-1"), "alpha"),
    ],
)
def test_settings_that_conflict(tool: Tool, tmp_path: Path, more: tuple[str, ...], said: str) -> None:
    source = transparent_clip(tmp_path / "a.mov", FORMS["PNG"], frames=1)
    code, _ = tool.encode(source, "--alpha", *more)
    assert (code, said in tool.err) == (2, True), tool.err


@pytest.mark.parametrize("caps", [{"SUPPORT_ALPHA_LAYER_ENCODING": 0}, None])
def test_machines_that_cannot_are_refused(tool: Tool, simulator: Simulator, tmp_path: Path, caps: object) -> None:
    source = transparent_clip(tmp_path / "a.mov", FORMS["PNG"], frames=1)
    gpus = [] if caps is None else [{"name": "RTX 5090", "caps": caps}]
    with simulator.machine(gpus=gpus, backend="codec"):
        code, _ = tool.encode(source, "--alpha")
    assert code != 0
    assert ("do not keep transparency" if caps is None else "cannot encode HEVC with alpha") in tool.err
    assert not list((tmp_path / "compressed").glob("*.mov"))


def test_a_configuration_file_may_ask_for_it(tool: Tool, simulator: Simulator, tmp_path: Path) -> None:
    source, config = transparent_clip(tmp_path / "a.mov", FORMS["PNG"]), tmp_path / "config.toml"
    config.write_text("[defaults]\nalpha = true\ncq = 6\nkeep_bigger = true\n")
    with simulator.machine(gpus=["RTX 5090"], backend="codec"):
        code, told = tool.encode("--config", config, source)
    assert code == 0, told
    assert_alpha(tmp_path / "compressed" / "a.mov")


@pytest.mark.usefixtures("card")
def test_files_at_storages(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PDUM_NVENC_SPOOL", str(tmp_path / "spool"))
    system = need_module("fsspec").filesystem("memory")
    system.store.clear()
    system.pipe_file("/in/a.webm", transparent_clip(tmp_path / "a.webm", FORMS["VP9"]).read_bytes())
    code, told = tool.encode("--alpha", "--cq", "6", "--keep-bigger", "memory://in/a.webm", "-o", "memory://out/")
    assert code == 0, told
    (tmp_path / "a.mov").write_bytes(system.cat_file("/out/a.mov"))
    assert_alpha(tmp_path / "a.mov")
    system.store.clear()
