"""Frames in, a file out: on the processor, with real codecs and containers, read back by FFmpeg."""

from __future__ import annotations

import io
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from pdum.nvenc import (
    ContentLight,
    DriverNotFound,
    EncoderClosed,
    EncoderConfig,
    FolderMissing,
    InvalidConfig,
    InvalidFrame,
    NoEncoder,
    VideoWriter,
)
from pdum.nvenc._config.quality_scale import cq_for
from pdum.nvenc._encoders.notices import SOFTWARE_ENCODES
from pdum.nvenc._writer.settings import WriterSettings
from video_frames import HEIGHT, WIDTH, close_to, colour_of, hidden_files, look, noise, rgb

from simulator import Simulator

pytestmark = pytest.mark.one_abi

FRAMES = 6


def write(target: Any, frames: Any = None, **more: Any) -> VideoWriter:
    with VideoWriter(target, **{"backend": "software", **more}) as video:
        for frame in [rgb(number) for number in range(FRAMES)] if frames is None else frames:
            video.write(frame)
    return video


def seconds(count: int, fps: Fraction = Fraction(30)) -> list[float]:
    return [float(number / fps) for number in range(count)]


@pytest.mark.parametrize(
    ("name", "more", "codec"),
    [
        ("a.mp4", {}, "h264"),
        ("a.mp4", {"codec": "hevc", "tuning": "hq", "bframes": 2}, "hevc"),
        ("a.mp4", {"codec": "av1"}, "av1"),
        ("a.mov", {"fps": "30000/1001"}, "h264"),
        ("a.mkv", {"bframes": 2, "fps": 25}, "h264"),
        ("a.webm", {}, "av1"),
        ("a.ts", {}, "h264"),
        ("a.m4v", {"fragmented": True}, "h264"),
        ("a.ivf", {}, "av1"),
        ("a.h265", {}, "hevc"),
    ],
)
def test_three_lines_write_a_playable_file(tmp_path: Path, name: str, more: dict[str, Any], codec: str) -> None:
    video = write(tmp_path / name, **more)
    found = look(tmp_path / name)
    assert (found.codec, found.size) == (codec, (WIDTH, HEIGHT))
    assert found.numbers() == list(range(FRAMES))
    if name != "a.h265":
        fps = Fraction(more.get("fps", 30))
        origin = found.times[0]
        assert np.allclose([float(time - origin) for time in found.times], seconds(FRAMES, fps), atol=0.0011)
    assert (video.frames, video.dropped) == (FRAMES, 0)
    assert [path.name for path in tmp_path.iterdir()] == [name]


KINDS: dict[str, Any] = {
    "channels last": lambda picture: picture,
    "channels first": lambda picture: picture.transpose(2, 0, 1),
    "floats": lambda picture: picture.astype(np.float32) / 255,
    "halves": lambda picture: (picture / 255).astype(np.float16),
    "doubles": lambda picture: picture / 255,
    "four channels": lambda picture: np.dstack([picture, picture[..., :1]]),
    "flipped twice": lambda picture: picture[::-1][::-1],
    "PIL": Image.fromarray,
    "PyAV": lambda picture: av.VideoFrame.from_ndarray(picture, format="rgb24"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_frames_of_every_kind_become_the_same_video(kind: str) -> None:
    with VideoWriter(None, backend="software") as video:
        for number in range(3):
            video.write(KINDS[kind](rgb(number)))
    assert look(video.read()).numbers() == [0, 1, 2]


def test_colours_are_right() -> None:
    colours = [(250, 10, 10), (10, 250, 10), (10, 10, 250), (128, 128, 128)]
    pictures = [np.full((HEIGHT, WIDTH, 3), colour, np.uint8) for colour in colours]
    with VideoWriter(None, backend="software", quality=95) as video:
        for picture in pictures:
            video.write(picture)
    assert all(close_to(*pair) for pair in zip(look(video.read()).colours, colours, strict=True))


def test_batches_are_written_picture_by_picture() -> None:
    batch = np.stack([rgb(number) for number in range(5)])
    for frames in ([batch], [batch[:2], batch[2], batch[3:]], [batch.transpose(0, 3, 1, 2)]):
        with VideoWriter(None, backend="software") as video:
            for frame in frames:
                video.write(frame)
        assert look(video.read()).numbers() == [0, 1, 2, 3, 4]
        assert video.frames == 5


def test_other_formats_need_their_name() -> None:
    grey = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
    with VideoWriter(None, backend="software") as video:
        with pytest.raises(InvalidFrame, match='format="nv12"'):
            video.write(grey)
        video.write(rgb(0))
    with VideoWriter(None, backend="software", format="nv12") as video:
        video.write(grey)
        video.write(grey[None])
    found = look(video.read())
    assert found.size == (WIDTH, HEIGHT)
    assert close_to(found.colours[1], (130, 130, 130))


def test_flat_bytes_need_the_size() -> None:
    with VideoWriter(None, backend="software", format="nv12", size=(WIDTH, HEIGHT)) as video:
        video.write(bytes(np.full(WIDTH * HEIGHT * 3 // 2, 90, np.uint8)))
        video.write(memoryview(np.full(WIDTH * HEIGHT * 3 // 2, 90, np.uint8)))
    assert look(video.read()).size == (WIDTH, HEIGHT)


def test_another_size_or_format_is_refused_and_the_video_goes_on() -> None:
    with VideoWriter(None, backend="software") as video:
        video.write(rgb(0))
        for wrong in (rgb(1, WIDTH + 2), np.zeros((4, HEIGHT, WIDTH + 4), np.uint8)):
            with pytest.raises(InvalidFrame, match=r"Expected a frame of 64x48 \(rgb\), as the first one, got .*scale"):
                video.write(wrong)
        video.write(rgb(1))
    assert look(video.read()).numbers() == [0, 1]
    video = VideoWriter(None, backend="software", size=(32, 32))
    with pytest.raises(InvalidFrame, match=r"Expected a frame of 32x32, as size says, got 64x48"):
        video.write(rgb(0))


def test_times_of_their_own() -> None:
    times = [1000.0, 1000.25, 1000.375, 1001.5]
    for name, values in (("time", times), ("pts", [70, 77, 80, 114])):
        with VideoWriter(None, backend="software", fps=28, bframes=2) as video:
            for number, value in enumerate(values):
                video.write(rgb(number), **{name: value})  # type: ignore[arg-type]
        found = look(video.read())
        wanted = [value - values[0] for value in values]
        wanted = wanted if name == "time" else [value / 28 for value in wanted]
        assert np.allclose([float(one - found.times[0]) for one in found.times], wanted, atol=2e-5)


def test_times_have_to_rise() -> None:
    with VideoWriter(None, backend="software") as video:
        video.write(rgb(0), time=1.0)
        with pytest.raises(
            InvalidConfig, match=r"Expected a time after time=1.0, that of the last frame, got time=0.5"
        ):
            video.write(rgb(1), time=0.5)
        with pytest.raises(InvalidConfig, match=r"either pts or time"):
            video.write(rgb(1), time=2.0, pts=3)
        with pytest.raises(InvalidConfig, match=r"number of seconds, got time=nan"):
            video.write(rgb(1), time=float("nan"))
        with pytest.raises(InvalidConfig, match="A batch has no time"):
            video.write(np.stack([rgb(1)] * 2), time=2.0)
        video.write(rgb(1), time=1.5)
        video.write(rgb(2))
    found = look(video.read())
    assert np.allclose([float(one - found.times[0]) for one in found.times], [0, 0.5, 0.5 + 1 / 30], atol=2e-5)


def test_any_file_like_object_is_taken() -> None:
    class OnlyWrite:
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: Any) -> int:
            taken = bytes(data)[:1000]  # as a socket or a pipe may
            self.data += taken
            return len(taken)

    plain, seekable, stream = OnlyWrite(), io.BytesIO(), OnlyWrite()
    write(plain)
    more: dict[str, Any] = {"container": "stream", "tuning": "ll", "quality": 100}
    write(stream, [noise(number) for number in range(3)], **more)
    assert stream.data == write(None, [noise(number) for number in range(3)], **more).read()
    write(seekable)
    for data in (plain.data, seekable.getvalue()):
        assert look(data).numbers() == list(range(FRAMES))
    assert not seekable.closed
    mkv = io.BytesIO()
    write(mkv, container="mkv")
    assert "matroska" in look(mkv.getvalue()).container
    with pytest.raises(InvalidConfig, match="binary file, got a text file"):
        VideoWriter(io.StringIO())
    with pytest.raises(InvalidConfig, match="a path, a binary file that can be written to, or None, got a int"):
        VideoWriter(7)


def test_without_a_target_the_bytes_come_out() -> None:
    chunks = []
    with VideoWriter(None, backend="software", gop=2, fps=2, tuning="ll") as video:
        for number in range(8):
            video.write(rgb(number))
            chunks.append(video.read())
    chunks += list(video)
    assert look(b"".join(chunks)).numbers() == list(range(8))
    assert list(video) == []
    assert video.read() == b""
    stream = write(None, container="stream").read()
    assert stream.startswith(b"\0\0\0\1")
    with pytest.raises(InvalidConfig, match=r"VideoWriter\(None\)"):
        write(io.BytesIO()).read()


def test_nothing_has_the_name_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"the old one")
    with VideoWriter(path, backend="software", gop=1) as video:
        for number in range(4):
            video.write(rgb(number))
            assert path.read_bytes() == b"the old one"
    assert look(path).numbers() == [0, 1, 2, 3]
    assert hidden_files(tmp_path) == []


def test_a_file_that_a_killed_writer_left_is_kept(tmp_path: Path) -> None:
    left = tmp_path / ".a.mp4.part.mp4"
    left.write_bytes(b"to be repaired")
    write(tmp_path / "a.mp4")
    assert left.read_bytes() == b"to be repaired"
    assert look(tmp_path / "a.mp4").numbers() == list(range(FRAMES))


# Settings


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("a.avi", {}, ".ivf, got 'a.avi'."),
        ("film", {}, "Expected a name that ends with .mp4, .m4v"),
        ("a.webm", {"codec": "h264"}, "holds only av1"),
        ("a.mkv", {"fragmented": True}, "only .mp4 and .m4v have fragments"),
        ("a.mp4", {"container": "mkv"}, "container='mkv' does not work with a path"),
        ("a.mp4", {"quality": 101}, "from 0 (worst) to 100 (best)"),
        ("a.mp4", {"quality": "best"}, "from 0 (worst) to 100 (best)"),
        ("a.mp4", {"quality": 50, "bitrate": 1}, "quality=50 does not work with bitrate"),
        ("a.mp4", {"quality": 50, "cq": 20}, "quality=50 does not work with cq"),
        ("a.mp4", {"quality": 50, "tuning": "lossless"}, "tuning='lossless'"),
        ("a.mp4", {"fps": 0}, "fps=0"),
        ("a.mp4", {"drop": "newest"}, "Unknown drop 'newest'. Expected one of none, oldest"),
        ("a.mp4", {"backend": "gpu"}, "Unknown backend"),
        ("a.mp4", {"statistics": "rows"}, "statistics has no effect here"),
        ("a.mp4", {"reconstruction": True}, "reconstruction has no effect here"),
        ("a.mp4", {"queue_frames": 0}, "queue_frames=0"),
        ("a.mp4", {"on_error": "ignore"}, "Unknown on_error"),
        ("a.mp4", {"codec": "vp9"}, "Unknown codec"),
        ("a.mp4", {"engines": 2.5}, "engines"),
    ],
)
def test_wrong_settings_are_errors_at_once(tmp_path: Path, name: str, more: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        VideoWriter(tmp_path / name, **more)
    assert words in str(caught.value)


def test_unknown_arguments_offer_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'bitrat'. Did you mean 'bitrate'\?"):
        VideoWriter(None, bitrat=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"takes no width: the first frame has it"):
        VideoWriter(None, width=64)  # type: ignore[call-arg]


def test_folders_and_names(tmp_path: Path) -> None:
    with pytest.raises(FolderMissing, match=r"does not exist\. Create it first"):
        VideoWriter(tmp_path / "none" / "a.mp4")
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(InvalidConfig, match="is a folder"):
        VideoWriter(str(tmp_path / "a.mp4"))


def test_quality_and_bitrate_change_the_size() -> None:
    noise = [np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for number in range(6)]
    for codec in ("h264", "av1"):
        sizes = [len(write(None, noise, codec=codec, quality=quality).read()) for quality in (95, 60, 20)]
        assert sizes[0] > sizes[1] > sizes[2]
        assert len(write(None, noise, codec=codec).read()) == sizes[1]
    assert len(write(None, noise, bitrate=100_000).read()) < len(write(None, noise, bitrate=3_000_000).read())


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("kind", ["nvenc", "software"])
def test_quality_is_the_scale_of_files_turned_round(codec: str, kind: str) -> None:
    from pdum.nvenc._encoders.frame_layout import FrameLayout

    layout = FrameLayout(width=WIDTH, height=HEIGHT, format="rgb")
    config = EncoderConfig(width=WIDTH, height=HEIGHT, format="rgb", tuning="hq")
    for quality, of_files in ((100, 1), (60, 25.8), (0, 63)):
        for settings in (WriterSettings(quality=quality), WriterSettings(quality=quality, config=config)):
            assert settings.encoder_config(layout, codec, kind).cq == cq_for(of_files, codec, kind)


def test_software_gets_its_own_cq_for_a_quality() -> None:
    def bytes_of(**rate: float) -> bytes:
        return write(None, [noise(number) for number in range(3)], codec="hevc", container="stream", **rate).read()

    same = bytes_of(quality=60)
    assert same == bytes_of(cq=cq_for(25.8, "hevc", "software")) != bytes_of(cq=cq_for(25.8, "hevc", "nvenc"))


def test_a_whole_configuration_may_be_given() -> None:
    config = EncoderConfig(width=WIDTH, height=HEIGHT, codec="hevc", format="rgb", fps=10, qp=20, tuning="hq")
    with VideoWriter(None, backend="software", config=config) as video:
        for number in range(3):
            video.write(rgb(number))
    found = look(video.read())
    assert (found.codec, found.numbers()) == ("hevc", [0, 1, 2])
    assert np.allclose([float(one) for one in found.times], [0, 0.1, 0.2], atol=1e-4)
    video = VideoWriter(None, backend="software", config=config.replaced(width=96))
    with pytest.raises(InvalidConfig, match=r"Expected frames of 96x48, the size in config, got 64x48"):
        video.write(rgb(0))


def test_hdr_goes_through(tmp_path: Path) -> None:
    light = ContentLight(max_cll=1000, max_fall=400)
    frame = np.full((HEIGHT * 3 // 2, WIDTH), 512 << 6, np.uint16)
    path = tmp_path / "a.mp4"
    write(path, [frame] * 3, codec="hevc", format="p010", colour="hdr10", content_light=light, quality=70)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.pix_fmt, int(context.color_trc), int(context.color_primaries)) == ("yuv420p10le", 16, 9)


def test_the_processor_takes_over_and_it_is_told_once(simulator: Simulator) -> None:
    with simulator.machine(gpus={"name": "H200"}):
        the_processor_takes_over()


def the_processor_takes_over() -> None:
    with pytest.warns(RuntimeWarning, match=SOFTWARE_ENCODES), VideoWriter(None) as video:
        video.write(rgb(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with VideoWriter(None) as video:
            video.write(rgb(0))
    with pytest.raises((DriverNotFound, NoEncoder)):
        VideoWriter(None, backend="nvenc").write(rgb(0))


def test_a_closed_writer_says_so(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mp4")
    video.close()
    video.abort()
    assert (tmp_path / "a.mp4").exists()
    with pytest.raises(EncoderClosed, match=r"VideoWriter for .*a.mp4 is closed. Make a new one"):
        video.write(rgb(0))
    with pytest.raises(EncoderClosed):
        video.add_audio(np.zeros(10, np.float32), 48000)


def test_no_frame_means_no_file_and_a_warning(tmp_path: Path) -> None:
    with (
        pytest.warns(RuntimeWarning, match="no frame was written, so there is no video"),
        VideoWriter(tmp_path / "a.mp4"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_floats_up_to_255_are_a_mistake() -> None:
    video = VideoWriter(None, backend="software")
    with pytest.raises(InvalidFrame, match=r"Expected floats from 0 to 1, .* with 200 in it\. Divide it by 255"):
        video.write(rgb(0).astype(np.float64))
    video.write(np.full((HEIGHT, WIDTH, 3), 1.5, np.float32))
    video.close()


def test_what_is_in_the_way_of_the_file_comes_up_with_the_first_frame(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    video = VideoWriter(folder / "a.mp4", backend="software")
    folder.rmdir()
    with pytest.raises(FileNotFoundError, match=str(folder)):
        video.write(rgb(0))
    with pytest.raises(InvalidConfig):
        VideoWriter(tmp_path / "b.mp4", backend="software").write(rgb(0, 63))
    assert list(tmp_path.iterdir()) == []
    for fragmented in (False, True):
        with pytest.raises(InvalidConfig, match=r"takes no picture"):
            VideoWriter(tmp_path / "c.mp4", backend="software", codec="hevc", fragmented=fragmented).write(rgb(0, 8, 8))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.txt").write_bytes(b"")
    with (tmp_path / "a.txt").open("rb") as file, pytest.raises(InvalidConfig, match=r"one for reading\. Open it with"):
        VideoWriter(file)


def test_statistics_add_up() -> None:
    with VideoWriter(None, backend="software", fps=10) as video:
        for number in range(5):
            video.write(rgb(number))
    told = video.statistics
    assert (told.frames, told.encoded, told.dropped, told.waiting, told.seconds) == (5, 5, 0, 0, 0.5)
    assert told.bytes > 100


def test_colours_of_numbers_are_distinct() -> None:
    assert len({colour_of(number) for number in range(16)}) == 16
