"""Any filter graph: read as ffmpeg reads it, run over parts of a file if it may be, and refused early if it is bad."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from files.runner import pictures
from files.test_filters import assert_equal, by_ffmpeg, filtered, look, times
from media_samples import sample
from pdum.nvenc import FileTask, Filters, InvalidConfig
from pdum.nvenc._config.filter_text import Node, is_picture_by_picture, parsed
from pdum.nvenc._files.job import job_of

pytestmark = pytest.mark.one_abi

DIVIDED = [
    ("open-gop", "hflip,drawbox=x=8:y=8:w=40:h=20:color=white:t=fill"),
    ("ten-bit", " crop = 64:32:8:4 , vflip "),
    ("open-gop", "pad=w=176:h=112:x=8:y='min(8,ih)'"),
]
WHOLE = [
    ("variable-rate", "framestep=3"),
    ("open-gop", r"select='not(mod(n\,4))'"),
    ("open-gop", "split[a][b];[b]hflip[c];[a][c]hstack"),
    ("open-gop", "[in]tmix=frames=3[out]"),
    ("interlaced", "yadif=mode=send_field"),
    ("open-gop", "trim=0.4:1.2,setpts=PTS-STARTPTS"),
]


@pytest.mark.parametrize(("name", "graph"), DIVIDED)
def test_graphs_of_single_pictures_are_divided(folder: Path, tmp_path: Path, name: str, graph: str) -> None:
    told = filtered(sample(name), folder / "result.mkv", 3, vf=graph)
    assert_equal(pictures(folder / "result.mkv"), pictures(by_ffmpeg(sample(name), graph, tmp_path)))
    assert times(folder / "result.mkv") == times(sample(name))
    assert not any("One engine" in text for text in told.warnings)


@pytest.mark.parametrize(("name", "graph"), WHOLE)
def test_all_other_graphs_run_over_the_whole_file(folder: Path, tmp_path: Path, name: str, graph: str) -> None:
    task = FileTask(job_of(sample(name), folder / "planned.mkv", filters=Filters(vf=graph), segments=4))
    plan = task.prepare(4)
    assert (len(plan.ranges), plan.whole_ranges) == (1, True)
    task.abandon(keep=False)
    told = filtered(sample(name), folder / "result.mkv", vf=graph)
    wanted = by_ffmpeg(sample(name), graph, tmp_path)
    assert_equal(pictures(folder / "result.mkv"), pictures(wanted))
    assert times(folder / "result.mkv") == pytest.approx(times(wanted), abs=0.0011)
    assert any(text.startswith("One engine encodes the whole file") for text in told.warnings)


def test_the_shape_of_pixels_and_the_colour_follow_the_graph(folder: Path) -> None:
    filtered(sample("wide-pixels"), folder / "one.mp4", vf="scale=320:96,setsar=12/11")
    assert (look(folder / "one.mp4")["size"], look(folder / "one.mp4")["aspect"]) == ((320, 96), Fraction(12, 11))
    filtered(sample("wide-pixels"), folder / "all.mp4", vf="framestep=2,transpose")
    assert (look(folder / "all.mp4")["size"], look(folder / "all.mp4")["aspect"]) == ((96, 160), Fraction(11, 16))
    filtered(sample("hdr10"), folder / "sdr.mp4", vf="setparams=color_trc=bt709")
    source, found = look(sample("hdr10")), look(folder / "sdr.mp4")
    assert found["colour"].native()[1] == 1
    assert source["hdr"] != found["hdr"] == (None, None)


@pytest.mark.parametrize(
    ("graph", "told"),
    [
        ("hflop", "PyAV's FFmpeg has no filter 'hflop'. Did you mean 'hflip'?"),
        ("scale=640:nix", "do not work with this video. FFmpeg says: .*'nix'"),
        ("scale=foo=3", "FFmpeg says: scale: No such option: foo"),
        ("crop=5000:5000", "FFmpeg says: crop: Invalid too big or non positive size for width '5000'"),
        ("hqdn3d", "has no filter 'hqdn3d'. Use denoise='medium'"),
        ("atempo=2", "vf takes only video filters, but 'atempo=2' has an audio filter"),
        ("loop=-1:1:0", "gives frames without end"),
        ("split", "one input and one output, got 'split' with 1 inputs and 2 outputs"),
        ("hstack", "with 2 inputs and 1 outputs"),
        ("hflip[a];[b]vflip", "with 2 inputs and 2 outputs"),
        ("hflip,[x][y]vflip", "The filter 'vflip' in .* has fewer inputs than are linked to it"),
        ("trim=start=100", "leaves no frame of this video"),
        ("setpts=0,framestep=1", "gives frames whose times do not rise of this video"),
    ],
)
def test_a_wrong_graph_is_refused_before_anything_is_encoded(folder: Path, graph: str, told: str) -> None:
    task = FileTask(job_of(sample("open-gop"), folder / "result.mp4", codec="h264", filters=Filters(vf=graph)))
    with pytest.raises(InvalidConfig, match=told):
        task.prepare(1)
    task.abandon(keep=False)


def test_ffmpegs_messages_are_heard_in_another_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV takes the GIL for the messages of all decoders. One that is closed at that moment would never end."""
    for name in ("set_level", "Capture"):
        monkeypatch.delattr(av.logging, name)
    task = FileTask(job_of(sample("open-gop"), folder / "result.mp4", filters=Filters(vf="scale=foo=3")))
    with pytest.raises(InvalidConfig, match="FFmpeg says: scale: No such option: foo"):
        task.prepare(1)
    task.abandon(keep=False)
    monkeypatch.setattr(sys, "executable", str(folder / "nothing"))
    with pytest.raises(InvalidConfig, match='video: FFmpeg reports "Option not found"'):
        task.prepare(1)
    task.abandon(keep=False)


@pytest.mark.parametrize(
    ("graph", "told"),
    [
        ("hflip,", "the name of a filter is missing at character 7"),
        ("[a hflip", "a '[' has no ']' at character 1"),
        ("pad=x='1", "a quote is not closed"),
        ("a b=1", "'a b' is not the name of a filter"),
        ("hflip]", "']' is not expected"),
    ],
)
def test_a_text_that_is_no_graph_is_refused_at_once(graph: str, told: str) -> None:
    with pytest.raises(InvalidConfig, match="Expected a filter graph such as") as caught:
        Filters(vf=graph)
    assert told in str(caught.value)


def test_texts_of_graphs() -> None:
    (chain,) = parsed(r" [in]pad@one=x='a,b;c':y=2\,3[out] ,  hflip")
    assert chain == [Node("pad", "x=a,b;c:y=2,3", ("in",), ("out",)), Node("hflip", "")]
    assert [len(one) for one in parsed("split[a][b];[a][b]hstack,vflip")] == [1, 2]


@pytest.mark.parametrize(
    ("graph", "is_so"),
    [
        ("hflip", True),
        ("crop=in_w-4:in_h-4", True),
        ("crop=w=40:h=40:x=n", False),
        ("rotate=a=t*PI", False),
        ("drawbox=enable='gte(t,1)'", False),
        ("fps=30", False),
        ("split[a][b];[a][b]hstack", False),
        ("vignette", False),
    ],
)
def test_which_graphs_are_of_single_pictures(graph: str, is_so: bool) -> None:
    assert is_picture_by_picture(parsed(graph)) is is_so


def test_filters_are_said_in_any_order_but_run_in_theirs(folder: Path, tmp_path: Path) -> None:
    filters: dict[str, Any] = {"vf": "hflip,reverse", "crop": "80:96:0:0", "trim": "-0.8"}
    filtered(sample("open-gop"), folder / "result.mkv", **filters)
    wanted = by_ffmpeg(sample("open-gop"), "trim=end=0.8,crop=80:96:0:0,hflip,reverse", tmp_path)
    assert_equal(pictures(folder / "result.mkv"), pictures(wanted))
