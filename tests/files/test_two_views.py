"""Two files into one: FFmpeg shows to each eye the pictures of its file. Files that make up no pairs are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from numpy.typing import NDArray

from files.runner import HARDWARE, encode_changed, encode_ranges
from files.runner import run as run_task
from mp4_files import boxes
from pdum.nvenc import (
    EncoderPool,
    FileJob,
    FileSettings,
    Filters,
    InvalidConfig,
    Packet,
    SourceUnreadable,
    UnsupportedFeature,
    VerificationFailed,
)
from pdum.nvenc._files.right_view import PairFrames, require_pairs
from pdum.nvenc._files.task import FileTask
from pdum.nvenc._media.look import Look
from pdum.nvenc._media.source import Index
from pdum.nvenc._tasks import SharedFrames
from stereo_streams import arrays, first_layer_alone, sets_of_second_layer, views_in, with_sets

from clips import make_clip
from simulator import Simulator

pytestmark = pytest.mark.one_abi

FRAMES = 24
QP: dict[str, Any] = {"qp": 8, "gop": 6}


@pytest.fixture
def machine(simulator: Simulator) -> Iterator[Any]:
    with simulator.machine(gpus=["RTX 5090"], backend="codec") as made:
        yield made


@pytest.fixture
def eyes(tmp_path: Path) -> tuple[Path, Path]:
    left = make_clip(tmp_path / "left.mp4", FRAMES, seed=1, sound=True)
    return left, make_clip(tmp_path / "right.mkv", FRAMES, seed=2)


def luma(path: Path) -> list[NDArray[np.int16]]:
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="yuv420p")[: frame.height].astype(np.int16) for frame in file.decode(video=0)]


def assert_views(result: Path, left: Path, right: Path, frames: slice = slice(None)) -> None:
    wanted = list(zip(luma(left)[frames], luma(right)[frames], strict=True))
    found = views_in(result)
    assert len(found) == len(wanted)
    for number, (seen, wants) in enumerate(zip(found, wanted, strict=True)):
        for eye in range(2):
            off = np.abs(seen[eye][: len(wants[eye])].astype(np.int16) - wants[eye]).mean()
            other = np.abs(seen[eye][: len(wants[eye])].astype(np.int16) - wants[1 - eye]).mean()
            assert off < 3 < other, (number, eye, off, other)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_both_files_are_in_the_result(folder: Path, eyes: tuple[Path, Path], suffix: str) -> None:
    result = folder / f"both.{suffix}"
    with EncoderPool() as pool:
        told = pool.encode_file(eyes[0], result, right=eyes[1], segments=4, **QP)
    assert (told.frames, told.source_bytes) == (FRAMES, sum(eye.stat().st_size for eye in eyes))
    assert told.warnings == ()
    assert_views(result, *eyes)
    with av.open(str(result)) as file, av.open(str(eyes[0])) as source:
        assert [stream.type for stream in file.streams] == ["video", "audio"]
        assert file.streams.video[0].codec_context.codec_tag == "hvc1"
        sound = [[bytes(packet) for packet in one.demux(audio=0)] for one in (file, source)]
        assert sound[0] == sound[1]
    assert b"vexu" in result.read_bytes()


@pytest.mark.usefixtures("machine")
def test_filters_are_for_both_views(folder: Path, eyes: tuple[Path, Path]) -> None:
    with EncoderPool() as pool:
        pool.encode_file(
            *(eyes[0], folder / "both.mp4"), right=eyes[1], filters=Filters(trim="0.2-0.6", crop="160:128:16:16"), **QP
        )
    found = views_in(folder / "both.mp4")
    assert len(found) == 10
    for number, views in enumerate(found, 5):
        for eye, path in enumerate(eyes):
            wanted = luma(path)[number][16:144, 16:176]
            assert np.abs(views[eye][:128, :160].astype(np.int16) - wanted).mean() < 3, (number, eye)


@pytest.mark.usefixtures("machine")
def test_the_result_is_verified_in_full_and_keeps_the_colour(folder: Path, tmp_path: Path) -> None:
    eyes = []
    for seed, name in enumerate(("left.mp4", "right.mp4")):
        eyes.append(tmp_path / name)
        with (
            av.open(str(make_clip(tmp_path / f"plain-{name}", 12, seed=seed))) as source,
            av.open(str(eyes[-1]), "w") as file,
        ):
            stream = file.add_stream("libx264", rate=25, options={"crf": "4", "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = 192, 160, "yuv420p"
            stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
            stream.codec_context.colorspace = 1
            for frame in source.decode(video=0):
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    for suffix in ("mp4", "mov"):
        with EncoderPool() as pool:
            pool.encode_file(eyes[0], folder / f"a.{suffix}", right=eyes[1], verify="full", **QP)
        with av.open(str(folder / f"a.{suffix}")) as file:
            assert file.streams.video[0].codec_context.color_primaries == 1
        assert_views(folder / f"a.{suffix}", eyes[0], eyes[1])


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_a_source_of_two_views_keeps_one_with_a_warning(
    simulator: Simulator, folder: Path, eyes: tuple[Path, Path], tmp_path: Path, suffix: str
) -> None:
    with simulator.machine(gpus=["RTX 5090"], backend="codec"), EncoderPool() as pool:
        pool.encode_file(eyes[0], tmp_path / f"both.{suffix}", right=eyes[1], **QP)
    with EncoderPool(backend="software") as pool:
        told = pool.encode_file(tmp_path / f"both.{suffix}", folder / "one.mp4", codec="h264", **QP)
        plain = pool.encode_file(eyes[0], folder / "plain.mp4", codec="h264", **QP)
    assert [text for text in told.warnings if "a view for each eye" in text]
    assert plain.warnings == ()
    for seen, wants in zip(luma(folder / "one.mp4"), luma(eyes[0]), strict=True):
        assert np.abs(seen - wants).mean() < 3


def different(tmp_path: Path, name: str) -> Path:
    """A right view that does not go with the left one."""
    path = tmp_path / f"{name}.mp4"
    if name == "longer":
        return make_clip(path, FRAMES + 3, seed=2)
    if name == "missing":
        return path
    with av.open(str(path), "w") as file:
        rate, size = (50, (192, 160)) if name == "faster" else (25, (160, 192))
        stream = file.add_stream("libx264", rate=rate)
        stream.width, stream.height = size
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), 9 * number, np.uint8), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("longer", InvalidConfig, r"one length.*24 and 27 frames.*left\.mp4 and .*longer\.mp4"),
        ("upright", InvalidConfig, r"one size.*192x160 and 160x192"),
        ("faster", InvalidConfig, r"one frame rate.*25 and 50.*frame 1 .*20 ms"),
        ("missing", SourceUnreadable, r"missing\.mp4.*does not exist"),
    ],
)
def test_views_that_make_up_no_pairs_are_refused(
    tmp_path: Path, folder: Path, eyes: tuple[Path, Path], name: str, error: type[Exception], said: str
) -> None:
    right = different(tmp_path, name)
    with EncoderPool() as pool:
        with pytest.raises(error, match=said):
            pool.encode_file(eyes[0], folder / "both.mp4", right=right, **QP)
        assert list(folder.iterdir()) == []
        (folder / "both.mp4").write_bytes(b"old")
        with pytest.raises(error, match=said):
            pool.encode_file(eyes[0], folder / "both.mp4", right=right, **QP)
    assert (folder / "both.mp4").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"codec": "h264"}, r"right='.*right\.mkv' does not work with codec='h264'.*HEVC"),
        ({"target": "vmaf=95"}, r"does not work with target='vmaf=95'.*one view"),
        ({"max_size": 1000}, r"does not work with max_size=1000"),
        ({"in_place": True}, r"does not work with in_place=True"),
        ({"stereo": True}, r"stereo cannot be set for a file.*right=…"),
    ],
)
def test_settings_that_do_not_work_with_two_views(
    folder: Path, eyes: tuple[Path, Path], more: dict[str, Any], said: str
) -> None:
    destination = eyes[0] if "in_place" in more else folder / "a.mp4"
    with EncoderPool(backend="software") as pool, pytest.raises(InvalidConfig, match=said):
        pool.encode_file(eyes[0], destination, right=eyes[1], **more)


@pytest.mark.usefixtures("machine")
def test_places_that_do_not_work_with_two_views(folder: Path, eyes: tuple[Path, Path]) -> None:
    make_clip(folder / "right.mp4", FRAMES, seed=2)
    with EncoderPool() as pool:
        with pytest.raises(InvalidConfig, match=r"both\.mkv.*two views.*matroska"):
            pool.encode_file(eyes[0], folder / "both.mkv", right=eyes[1])
        with pytest.raises(InvalidConfig, match=r"right\.mp4 is the video for the right eye"):
            pool.encode_file(eyes[0], folder / "right.mp4", right=folder / "right.mp4")
        with pytest.raises(InvalidConfig, match="right=… works with local files only"):
            pool.encode_file(eyes[0], "memory://both.mp4", right=eyes[1])


def test_a_cluster_takes_single_files(folder: Path, eyes: tuple[Path, Path]) -> None:
    task = FileTask(FileJob(source=eyes[0], right=eyes[1], destination=folder / "a.mp4"))
    with pytest.raises(InvalidConfig, match=r"right='.*right\.mkv' does not work with a cluster"):
        task.portable()


def test_software_codes_one_view(folder: Path, eyes: tuple[Path, Path]) -> None:
    with EncoderPool(backend="software") as pool, pytest.raises(UnsupportedFeature, match=r"one view.*right=…"):
        pool.encode_file(eyes[0], folder / "a.mp4", right=eyes[1])
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("machine")
def test_a_source_of_ten_bits_becomes_one_of_eight_with_a_warning(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "ten.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx265", rate=25, options={"x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = 192, 160, "yuv420p10le"
        for number in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((160, 192, 3), 9 * number, np.uint8), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    with EncoderPool() as pool:
        told = pool.encode_file(path, folder / "a.mp4", right=path, **QP)
    assert any("from 10 to 8 bits" in text for text in told.warnings)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("changed", [0, 1])
def test_a_source_that_changes_meanwhile_is_noticed(folder: Path, eyes: tuple[Path, Path], changed: int) -> None:
    job = FileJob(source=eyes[0], right=eyes[1], destination=folder / "a.mp4", settings=FileSettings(encoder=QP))
    task = FileTask(job, "nvenc")

    def cut(frames: int) -> list[tuple[int, int]]:
        with eyes[changed].open("ab") as file:
            file.write(b"\0" * 64)
        return [(0, frames)]

    with pytest.raises(SourceUnreadable, match=rf"{eyes[changed].name} was changed"):
        run_task(task, HARDWARE, cut)
    task.abandon(keep=False)


@pytest.mark.usefixtures("machine")
def test_pieces_of_an_earlier_run_are_taken_up_only_with_the_same_right_view(
    folder: Path, tmp_path: Path, eyes: tuple[Path, Path]
) -> None:
    def job(right: Path) -> FileTask:
        settings = FileSettings(encoder=QP)
        return FileTask(
            FileJob(source=eyes[0], right=right, destination=folder / "a.mp4", settings=settings, keep_work=True),
            "nvenc",
        )

    first = job(eyes[1])
    first.prepare(1)
    encode_ranges(first, HARDWARE, [(0, 12)])
    first.abandon(keep=True)
    again = job(eyes[1])
    assert [tuple(one) for one in again.prepare(1).ranges] == [(12, FRAMES)]
    again.abandon(keep=True)
    other = job(make_clip(tmp_path / "other.mp4", FRAMES, seed=3))
    assert [tuple(one) for one in other.prepare(1).ranges] == [(0, FRAMES)]
    run_task(other, HARDWARE)
    assert_views(folder / "a.mp4", eyes[0], tmp_path / "other.mp4")


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("verify", ["samples", "full"])
@pytest.mark.parametrize("place", [1, 3, 9, FRAMES - 1])
def test_a_right_view_that_cannot_be_decoded_is_found(
    folder: Path, eyes: tuple[Path, Path], verify: str, place: int
) -> None:
    """Samples are the first packets. The left view is whole."""
    job = FileJob(
        source=eyes[0], right=eyes[1], destination=folder / "a.mp4", settings=FileSettings(encoder=QP), verify=verify
    )
    task = FileTask(job, "nvenc")
    encode_changed(task, lambda packet, _: first_layer_alone(packet.data) if packet.seq == place else packet.data)
    if verify == "samples" and place > 4:
        task.finished()
        return
    with pytest.raises(VerificationFailed, match=r"only [13] can be decoded|the views of frame"):
        task.finished()
    task.abandon(keep=False)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_a_result_has_parameter_sets_that_only_packets_have(folder: Path, eyes: tuple[Path, Path], suffix: str) -> None:
    path = folder / f"a.{suffix}"
    task = FileTask(
        FileJob(source=eyes[0], right=eyes[1], destination=path, settings=FileSettings(encoder=QP)), "nvenc"
    )

    def with_further(packet: Packet, header: bytes) -> bytes:
        return with_sets(packet.data, sets_of_second_layer(header)) if packet.keyframe else packet.data

    sets = sets_of_second_layer(encode_changed(task, with_further))
    task.finished()
    entry = ("moov", "trak", "mdia", "minf", "stbl", "stsd", "hvc1")
    (further,) = boxes(path.read_bytes(), *entry, "lhvC")
    assert [unit for units in arrays(further, 5).values() for unit in units] == sets
    assert list(arrays(boxes(path.read_bytes(), *entry, "hvcC")[0], 22)) == [32, 33, 34, 39]
    assert_views(path, *eyes)


def index(**more: Any) -> Index:
    look = Look(width=16, height=16, codec="h264", pix_fmt="yuv420p", chroma="420", depth=8, exact=True)
    look = replace(look, **{name: more.pop(name) for name in ("width", "height", "matrix") if name in more})
    made = Index(
        stream=0, time_base=Fraction(1, 25), pts=range(4), keys=(), straight=False, look=look, rate=Fraction(25),
        last_duration=1,
    )  # fmt: skip
    return replace(made, **more)


@given(
    steps=some.lists(some.integers(1, 9), min_size=1, max_size=12),
    unit=some.integers(1, 1000),
    begin=some.integers(-99, 99),
    late=some.integers(-5, 5),
    place=some.integers(0, 11),
)
def test_times_may_differ_by_less_than_half_a_frame(
    steps: list[int], unit: int, begin: int, late: int, place: int
) -> None:
    """Of two files in other time bases, one of which begins later."""
    times = list(accumulate(steps, initial=0))
    left = index(pts=times, time_base=Fraction(1, 25))
    fine = [10 * unit * time for time in times]
    fine[max(1, place % len(fine))] += late * unit
    right = index(pts=[begin + time for time in fine], time_base=Fraction(1, 250 * unit))
    if abs(late) < 5:
        require_pairs(Path("l"), left, Path("r"), right)
    else:
        with pytest.raises(InvalidConfig, match="one frame rate"):
            require_pairs(Path("l"), left, Path("r"), right)


def test_odd_sizes_and_different_turns_are_refused() -> None:
    turned = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    require_pairs(Path("l"), index(matrix=turned), Path("r"), index(matrix=turned))
    for left, right, said in (
        (index(matrix=turned), index(), "l and r are turned differently"),
        (index(width=15), index(width=15), "even size, got 15x16"),
        (index(height=15), index(height=15), "even size, got 16x15"),
    ):
        with pytest.raises(InvalidConfig, match=said):
            require_pairs(Path("l"), left, Path("r"), right)


class View:
    """The frames of one eye, which note what is asked of them."""

    def __init__(self, number: int) -> None:
        self.asked: list[Any] = []
        self.decoders = self.decoders_on_processor = self.frames_decoded = self.frames_a_round = number
        self.idle_seconds, self.is_all_begun = float(number), number > 1
        self._frames = iter(range(number, 100))

    def __next__(self) -> int:
        return next(self._frames)

    def fair_share(self, engines: int) -> int:
        return 8 // engines

    def use_decoders(self, wanted: int) -> None:
        self.asked.append(("decoders", wanted))

    def end_at(self, last: int) -> None:
        self.asked.append(("end", last))

    def close(self) -> None:
        self.asked.append("close")
        raise ZeroDivisionError


def test_decoders_of_both_views_are_steered_together() -> None:
    views = View(1), View(3)
    frames = PairFrames(*views)  # type: ignore[arg-type]
    assert isinstance(frames, SharedFrames)
    assert [next(frames), next(frames)] == [(1, 3), (2, 4)]
    assert (frames.decoders, frames.decoders_on_processor, frames.frames_a_round) == (3, 3, 3)
    assert (frames.frames_decoded, frames.idle_seconds, frames.is_all_begun) == (1, 4.0, False)
    assert frames.fair_share(2) == 2
    frames.use_decoders(2)
    frames.end_at(7)
    with pytest.raises(ZeroDivisionError):
        frames.close()
    assert [view.asked for view in views] == [[("decoders", 2), ("end", 7), "close"]] * 2
