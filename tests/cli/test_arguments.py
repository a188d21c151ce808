"""Wrong arguments: one line, which names the right one; and arguments by the names that other tools have for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pdum.nvenc import NoEncoder
from pdum.nvenc._cli.argument_errors import ALIASES, ELSEWHERE, TARGETS
from pdum.nvenc._cli.parser import make_parser
from pdum.nvenc._encoders.notices import SOFTWARE_ENCODES, software_notice

from clips import Tool, make_clip
from simulator import Simulator

pytestmark = pytest.mark.one_abi


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["Missing COMMAND: pdum-nvenc encode, for example. See pdum-nvenc --help."]),
        (["encod", "a.mkv"], ["Unknown command 'encod'", "'encode'"]),
        (["enc", "a.mkv"], ["Unknown command 'enc'", "'encode'"]),
        (["frobnicate"], ["Unknown command 'frobnicate'", "--help"]),
        (["bogus"], ["Unknown command 'bogus'. See pdum-nvenc --help."]),
        (["."], ["Unknown command '.'", "pdum-nvenc encode ."]),
        (["encode"], ["Missing PATH: pdum-nvenc encode PATH. See", "--help"]),
        (["encode", "--qualty", "30", "."], ["Unknown option --qualty", "Did you mean --quality?"]),
        (["encode", "--qualty=30"], ["Unknown option --qualty", "Did you mean --quality?"]),
        (["encode", "--xyzzy", "."], ["Unknown option --xyzzy", "pdum-nvenc encode --help"]),
        (["encode", "--bogus", "."], ["Unknown option --bogus. See pdum-nvenc encode --help."]),
        (["encode", "--preest", "."], ["Did you mean --preset?"]),
        (["config"], ["Missing ACTION: pdum-nvenc config init, for example. See"]),
        (["encode", "-q", "99", "."], ["--quality: Expected a number from 1 to 63, got '99'."]),
        (["encode", "-q"], ["--quality needs a value."]),
        (["encode", "--cq", "0", "."], ["--cq: Expected a number above 0, got '0'. --lossless"]),
        (["encode", "--crf", "60", "-c", "hevc", "."], ["Expected a cq up to 51 for codec='hevc', got cq=60."]),
        (["encode", "-q", "28", "--cq", "24", "."], ["--quality and --cq conflict."]),
        (["encode", "-c", "vp9", "."], ["--codec: Unknown codec 'vp9'. Expected one of auto, h264"]),
        (["encode", "-p", "archival", "."], ["--preset", "p1", "archival is a profile: -P archival"]),
        (["encode", "--preset", "slow", "."], ["--preset", "'slow'", "p7"]),
        (["encode", "--dry-run=yes", "."], ["--dry-run takes no value, got 'yes'."]),
        (["encode", "--in", "."], ["--in could be any of", "--include"]),
        (["encode", "--vmaf", "101", "."], ["--vmaf: Expected 'vmaf=95' (10 to 99.5)", "got 'vmaf=101'."]),
        (["encode", "--max-size", "much", "."], ["--max-size: Expected a size such as '500M'", "got 'much'."]),
        (["encode", "--max-bitrate", "8X", "."], ["--max-bitrate: Expected a number of bits", "got '8X'."]),
        (["encode", "--max-size", "5M", "--lossless", "."], ["--lossless and --max-size conflict."]),
        (
            ["encode", "--max-bitrate", "5M", "--set", "max_bitrate=6M", "."],
            ["--max-bitrate and --set max_bitrate conflict."],
        ),
        (["encode", "--set", "bitrate=5M", "."], ["bitrate", "constant quality", "max_bitrate"]),
        (["encode", "--set", "rate_control=cbr", "."], ["rate_control", "constant quality"]),
        (
            ["encode", "--spatial-aq", "many", "."],
            ["--spatial-aq: Expected on, off or a strength of 1 to 15, got 'many'."],
        ),
        (["watch", ".", "other"], ["Unexpected argument 'other'"]),
        (["watch", "--every", "x", "."], ["--every: Expected seconds from 0 to 86400, got 'x'."]),
        (["config", "shw"], ["Unknown command 'shw'", "'show'"]),
        (["completion", "tcsh"], ["Expected one of bash, zsh, fish, got 'tcsh'."]),
        (["bench", "--frames", "x"], ["--frames: Expected a number, got 'x'."]),
        (["doctor", "--bitrate", "3"], ["Unknown option --bitrate."]),
        *((["encode", option, "."], [f"Unknown option {option}: "]) for option in ELSEWHERE),
    ],
)
def test_a_wrong_argument_is_told_in_one_line(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out = tool(*arguments)
    assert (code, out) == (2, "")
    assert tool.err.startswith("pdum-nvenc: ")
    assert tool.err.count("\n") == 1
    for one in words:
        assert one in tool.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("option", "alias"), [(one, alias) for one, many in ALIASES.items() for alias in many])
def test_names_of_other_tools_work(option: str, alias: str) -> None:
    values = {"--cq": "22", "--engines": "2", "--max-size": "500M", "--max-bitrate": "8M"}
    value = [values[option]] if option in values else []
    wanted = make_parser().parse_args(["encode", option, *value, "a.mkv"])
    assert make_parser().parse_args(["encode", alias, *value, "a.mkv"]) == wanted


@pytest.mark.parametrize(("option", "metric"), list(TARGETS.items()))
def test_a_metric_may_be_an_option(option: str, metric: str) -> None:
    wanted = make_parser().parse_args(
        ["encode", "--target", f"{metric}=0.9" if metric == "ssim" else f"{metric}=40", "."]
    )
    assert make_parser().parse_args(["encode", option, "0.9" if metric == "ssim" else "40", "."]) == wanted


def test_paths_may_come_before_and_after_options() -> None:
    given = make_parser().parse_args(["encode", "a.mkv", "-c", "hevc", "b.mkv", "-r", "--", "-c.mkv"])
    assert (given.paths, given.codec, given.recursive) == (["a.mkv", "b.mkv", "-c.mkv"], "hevc", True)


@pytest.mark.parametrize("flag", ["-V", "-v", "--version"])
def test_version(tool: Tool, flag: str) -> None:
    code, out = tool(flag)
    assert code == 0
    assert out.startswith("pdum-nvenc ")


def test_quiet_is_quiet_and_names_what_failed(tool: Tool, tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mkv", 4)
    given = ("encode", "--quiet", "--engine", "software", "-c", "h264", "-p", "p1")
    assert tool(*given, tmp_path) == (0, "")
    assert tool.err == ""
    assert tool(*given, tmp_path) == (0, "")
    assert tool.err == ""
    (tmp_path / "bad.mkv").write_bytes(b"no video")
    assert tool(*given, tmp_path) == (1, "")
    assert tool.err.startswith(f"pdum-nvenc: {tmp_path / 'bad.mkv'}: Not a readable video")
    assert tool.err.count("\n") == 1


def test_the_notice_of_software_is_one_short_line(
    tool: Tool, simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdum.nvenc._machine.availability._reasons", {})
    make_clip(tmp_path / "a.mkv", 4)
    with simulator.machine(gpus=["H100"]):
        code, out = tool("encode", "-c", "h264", "-p", "p1", tmp_path)
        assert code == 0
        assert out.splitlines().count(software_notice(NoEncoder(""))) == 1
        _, out = tool("encode", "--overwrite", "--engine", "software", "-c", "h264", "-p", "p2", tmp_path)
    assert SOFTWARE_ENCODES not in out, "who asks for software knows it"
