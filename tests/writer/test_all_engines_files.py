"""``VideoWriter(engines="all")``: the file is the one that a single engine writes, on machines of every kind."""

from __future__ import annotations

import gc
import io
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc import EncoderFailed, InvalidConfig, VideoWriter
from pdum.nvenc._encoders.notices import SOFTWARE_ENCODES
from pdum.nvenc._writer.settings import WriterSettings
from pool_tasks import HEIGHT, WIDTH, picture, sum_of
from shared_videos import config_of

from loud import need_module
from simulator import Simulator, parse

pytestmark = pytest.mark.one_abi

THREE: list[dict[str, Any]] = [{"name": "L4", "engines": 3}]
FRAMES = 70


def write(target: Any, count: int = FRAMES, **given: Any) -> VideoWriter:
    with VideoWriter(target, **{"format": "nv12", "gop": 8, "engines": "all", **given}) as video:
        for number in range(count):
            video.write(picture(number))
    return video


def engines_in(stream: bytes) -> list[int]:
    """Of each group of pictures."""
    return [unit.engine for unit in parse(stream) if unit.is_idr]


def look(path: Path) -> tuple[Any, ...]:
    """The packets without their bytes, what is said of the stream, and the pictures."""
    av = need_module("av")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        about = bytes(stream.codec_context.extradata or b""), stream.time_base, stream.duration, stream.frames
        packets = [(one.pts, one.dts, one.duration, one.is_keyframe) for one in container.demux(stream) if one.size]
    with av.open(str(path)) as container:
        pictures = [(frame.pts, frame.to_ndarray().tobytes()) for frame in container.decode(video=0)]
    return about, packets, pictures


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("a.mp4", {}),
        ("a.mp4", {"codec": "hevc", "bframes": 2, "fragmented": True, "split_encode": "off"}),
        ("a.mkv", {"bframes": 2}),
    ],
    ids=str,
)
def test_the_file_is_that_of_one_engine(simulator: Simulator, tmp_path: Path, name: str, given: dict[str, Any]) -> None:
    given = {"rate_control": "constqp", "qp": 30, **given}
    (tmp_path / "one").mkdir()
    (tmp_path / "all").mkdir()
    with simulator.machine(gpus=THREE, backend="codec"):
        for engines in ("one", "all"):
            write(tmp_path / engines / name, engines=1 if engines == "one" else "all", **given)
    one, all_of_them = (look(tmp_path / engines / name) for engines in ("one", "all"))
    assert all_of_them == one
    assert len(one[2]) == FRAMES


def test_frames_have_their_own_times(simulator: Simulator, tmp_path: Path) -> None:
    av = need_module("av")
    path = tmp_path / "a.mp4"
    times = [number // 3 * 5 + number % 3 for number in range(60)]
    with (
        simulator.machine(gpus=THREE, backend="codec"),
        VideoWriter(path, format="nv12", gop=6, bframes=2, engines="all") as video,
    ):
        for number, pts in enumerate(times):
            video.write(picture(number), pts=pts)
    with av.open(str(path)) as container:
        assert [round(frame.time * 30) for frame in container.decode(video=0)] == times


@pytest.mark.parametrize(("engines", "used"), [("all", {0, 1, 2}), (2, {0, 1}), (8, {0, 1, 2}), (1, {0})])
def test_as_many_engines_as_asked_for(simulator: Simulator, engines: Any, used: set[int]) -> None:
    stream = io.BytesIO()
    with simulator.machine(gpus=THREE):
        write(stream, container="stream", engines=engines)
    assert set(engines_in(stream.getvalue())) == used
    assert [unit.checksum for unit in parse(stream.getvalue())] == [sum_of(number) for number in range(FRAMES)]


@pytest.mark.parametrize("machine", [["RTX 4070"], ["H100"]], ids=str)
@pytest.mark.filterwarnings(f"ignore:{SOFTWARE_ENCODES}")
def test_one_engine_or_none(simulator: Simulator, tmp_path: Path, machine: list[str]) -> None:
    """Without hardware the processor encodes, with all of its cores."""
    with simulator.machine(gpus=machine, backend="codec"):
        write(tmp_path / "a.mp4")
    assert len(look(tmp_path / "a.mp4")[2]) == FRAMES


def test_the_only_engine_is_on_another_gpu(simulator: Simulator, tmp_path: Path) -> None:
    with simulator.machine(gpus=["H100", "RTX 4070"], backend="codec"), warnings.catch_warnings():
        warnings.simplefilter("error")
        write(tmp_path / "a.mp4")
    assert len(look(tmp_path / "a.mp4")[2]) == FRAMES


def test_fewer_sessions_than_engines_are_told(simulator: Simulator, tmp_path: Path) -> None:
    machine = simulator.machine(gpus=[{**THREE[0], "session_limit": 2}], backend="codec")
    with machine, pytest.warns(RuntimeWarning, match="NVENC 2 is not used; 2 engines continue") as told:
        write(tmp_path / "a.mp4")
    assert {one.filename for one in told} == {__file__}, "the line of the caller"
    assert len(look(tmp_path / "a.mp4")[2]) == FRAMES


def test_a_failure_leaves_no_file(simulator: Simulator, tmp_path: Path) -> None:
    faults = [{"call": "nvEncLockBitstream", "nth": 30, "status": 20}]
    with (
        simulator.machine(gpus=THREE, faults=faults, check=False),
        pytest.raises(EncoderFailed, match=r"NVENC \d failed"),
    ):
        write(tmp_path / "a.mp4", 200)
    assert list(tmp_path.iterdir()) == []


def test_given_up_in_the_middle(simulator: Simulator, tmp_path: Path) -> None:
    """The machine checks that no session is left."""
    with simulator.machine(gpus=THREE):
        video = VideoWriter(tmp_path / "a.mp4", format="nv12", gop=8, engines="all")
        for number in range(50):
            video.write(picture(number))
        video.abort()
        del video
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"gop": 0}, "gop of 1 or more"),
        ({"gop": 0, "intra_refresh_period": 60, "intra_refresh_count": 10}, "intra_refresh_period.*engines=1"),
        ({"engines": "some"}, "a number of engines, or \"all\", got engines='some'"),
        ({"engines": None}, 'a number of engines, or "all", got engines=None'),
        ({"engines": True}, 'a number of engines, or "all", got engines=True'),
        ({"engines": 0}, "engines=0"),
    ],
)
def test_what_cannot_be(simulator: Simulator, tmp_path: Path, given: dict[str, Any], words: str) -> None:
    with simulator.machine(gpus=THREE), pytest.raises(InvalidConfig, match=words):
        write(tmp_path / "a.mp4", **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [24, 30, 60, 240])
def test_the_usual_groups_keep_all_engines_busy(simulator: Simulator, fps: int) -> None:
    """No warning comes at the usual frame rates."""
    gpu = {"like": "L4", "name": "eight", "engines": 8}
    with simulator.machine(gpus=[gpu]), warnings.catch_warnings():
        warnings.simplefilter("error")
        with VideoWriter(io.BytesIO(), format="nv12", engines="all", fps=fps, container="stream") as video:
            video.write(picture(0))


def test_the_usual_group_of_one_engine_is_two_seconds() -> None:
    from pdum.nvenc._encoders.frame_layout import FrameLayout

    layout = FrameLayout(width=WIDTH, height=HEIGHT, format="nv12")
    gops = [
        WriterSettings(fps=60, shared=shared).encoder_config(layout, "h264", "nvenc").gop for shared in (False, True)
    ]
    assert gops == [120, 60]


@pytest.mark.parametrize("shared", [False, True])
def test_none_is_the_writers_own_group(shared: bool) -> None:
    """Also with B-frames, which have to fit in, and in place of a number in ``config``."""
    from pdum.nvenc._encoders.frame_layout import FrameLayout

    layout = FrameLayout(width=WIDTH, height=HEIGHT, format="nv12")

    def group(**given: Any) -> int | None:
        return WriterSettings(fps=1, shared=shared, **given).encoder_config(layout, "h264", "nvenc").gop

    assert group(fields={"gop": None}) == group() == 2
    assert group(fields={"gop": None, "bframes": 3}) == 4
    assert group(fields={"gop": None, "intra_refresh_period": 9, "intra_refresh_count": 3}) == 0
    numbered = config_of(gop=7, format="nv12")
    assert [group(config=numbered), group(config=numbered, fields={"gop": None})] == [7, 2]


def test_a_configuration_without_a_number_is_shared_in_usual_groups() -> None:
    from pdum.nvenc._encoders.frame_layout import FrameLayout

    layout = FrameLayout(width=WIDTH, height=HEIGHT, format="nv12")
    config = config_of(gop=None, format="nv12")
    alone, shared = [
        WriterSettings(fps=60, shared=shared, config=config).encoder_config(layout, "h264", "nvenc").gop
        for shared in (False, True)
    ]
    assert (alone, shared) == (None, 60)


@pytest.mark.slow
def test_memory_stays_the_same(simulator: Simulator) -> None:
    """100,000 frames; what four thousand need is needed from then on."""
    sizes = []
    with (
        simulator.machine(gpus=THREE, backend="null", strict=False),
        VideoWriter(Discarded(), format="nv12", gop=30, engines="all", container="stream") as video,
    ):
        for number in range(100_000):
            video.write(picture(number % 64))
            if number % 4000 == 3999:
                sizes.append(resident_bytes())
    assert max(sizes) - sizes[0] < 8 << 20, sizes


class Discarded(io.RawIOBase):
    """A file that keeps nothing."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.filterwarnings("ignore:.*:ResourceWarning")
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_a_forgotten_writer_leaves_no_session(simulator: Simulator, tmp_path: Path) -> None:
    with simulator.machine(gpus=THREE) as machine:
        video = VideoWriter(tmp_path / "a.mp4", format="nv12", gop=8, engines="all")
        for number in range(50):
            video.write(picture(number))
        assert machine.live()["sessions"] == 3
        del video
        gc.collect()
        assert machine.live().get("sessions", 0) == 0
    assert list(tmp_path.iterdir()) == []
