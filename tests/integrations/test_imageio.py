"""The plugin for imageio, with the real imageio."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coloured import HEIGHT, WIDTH, codec, picture, pictures, rate, shown
from pdum.nvenc import EncoderClosed, InvalidConfig, InvalidFrame

from loud import need_module

pytestmark = [pytest.mark.one_abi, pytest.mark.usefixtures("card")]
COUNT = 8


@pytest.fixture
def iio() -> Any:
    return need_module("imageio.v3", "imageio")


@pytest.fixture
def plugin(iio: Any) -> Any:
    from pdum.nvenc.integrations.imageio import NvencPlugin

    return NvencPlugin


@pytest.mark.parametrize("kind", [np.stack, list, iter])
def test_imwrite_writes_every_picture(iio: Any, plugin: Any, kind: Any, tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.mp4", kind(list(pictures(COUNT))), plugin=plugin, fps=25)
    assert shown(tmp_path / "a.mp4") == list(range(COUNT))
    assert rate(tmp_path / "a.mp4") == 25


def test_other_plugins_read_what_it_writes(iio: Any, plugin: Any, tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.mp4", pictures(COUNT), plugin=plugin)
    back = iio.imread(tmp_path / "a.mp4", plugin="pyav")
    assert back.shape == (COUNT, HEIGHT, WIDTH, 3)
    assert np.abs(back.astype(int) - pictures(COUNT)).mean() < 6


def test_imopen_writes_picture_by_picture(iio: Any, plugin: Any, tmp_path: Path) -> None:
    with iio.imopen(tmp_path / "a.mp4", "w", plugin=plugin, fps=10, codec="hevc") as video:
        for number in range(COUNT):
            video.write(picture(number), is_batch=False)
            assert not (tmp_path / "a.mp4").exists()
    assert shown(tmp_path / "a.mp4") == list(range(COUNT))
    assert (rate(tmp_path / "a.mp4"), codec(tmp_path / "a.mp4")) == (10, "hevc")


def test_bytes_and_file_objects(iio: Any, plugin: Any) -> None:
    found = iio.imwrite("<bytes>", pictures(COUNT), plugin=plugin, extension=".mp4")
    assert shown(found) == list(range(COUNT))
    file = io.BytesIO()
    iio.imwrite(file, pictures(COUNT), plugin=plugin)
    assert shown(file.getvalue()) == list(range(COUNT))


def test_file_objects_take_the_container_by_its_extension(iio: Any, plugin: Any) -> None:
    found = iio.imwrite("<bytes>", pictures(COUNT), plugin=plugin, extension=".mkv")
    assert shown(found) == list(range(COUNT))
    assert found.startswith(b"\x1a\x45\xdf\xa3")


def test_the_old_interface_takes_it_by_name(
    iio: Any, plugin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    v2 = need_module("imageio.v2", "imageio")
    from imageio.config import known_plugins

    from pdum.nvenc.integrations import imageio as ours

    monkeypatch.setitem(known_plugins, ours.NAME, None)  # is taken away again
    ours.register()
    with v2.get_writer(tmp_path / "a.mp4", format=ours.NAME, fps=20) as writer:
        for number in range(COUNT):
            writer.append_data(picture(number))
    v2.mimwrite(tmp_path / "b.mp4", list(pictures(COUNT)), format=ours.NAME, fps=20)
    iio.imwrite(tmp_path / "c.mp4", pictures(COUNT), plugin=ours.NAME, fps=20)
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        assert (shown(tmp_path / name), rate(tmp_path / name)) == (list(range(COUNT)), 20)


def test_a_failed_write_leaves_no_file(iio: Any, plugin: Any, tmp_path: Path) -> None:
    frames = [*pictures(3), picture(3, width=WIDTH * 2)]
    with pytest.raises(InvalidFrame):
        iio.imwrite(tmp_path / "a.mp4", frames, plugin=plugin)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_loop_leaves_no_file(iio: Any, plugin: Any, tmp_path: Path) -> None:
    def record() -> None:
        with iio.imopen(tmp_path / "a.mp4", "w", plugin=plugin) as video:
            video.write(picture(0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        record()
    assert list(tmp_path.iterdir()) == []


def test_an_error_does_not_touch_the_file_of_before(iio: Any, plugin: Any, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"before")
    with pytest.raises(InvalidFrame):
        iio.imwrite(tmp_path / "a.mp4", np.zeros((3, 4), np.uint8), plugin=plugin)
    assert (tmp_path / "a.mp4").read_bytes() == b"before"


def test_reading_is_refused_and_says_what_reads(iio: Any, plugin: Any, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(OSError, match="can not handle") as caught:
        iio.imread(tmp_path / "a.mp4", plugin=plugin)
    assert str(caught.value.__cause__) == 'pdum.nvenc writes video and reads none. Use plugin="pyav" to read.'


@pytest.mark.parametrize("name", ["a.zip/a.mp4", "a.gif"])
def test_a_file_that_is_no_video_is_refused(name: str, iio: Any, plugin: Any, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="can not handle") as caught:
        iio.imwrite(tmp_path / name, pictures(2), plugin=plugin)
    assert type(caught.value.__cause__).__name__ == "InitializationError"
    assert str(caught.value.__cause__)
    assert list(tmp_path.iterdir()) == []


def test_settings_cannot_change_on_the_way(iio: Any, plugin: Any, tmp_path: Path) -> None:
    with iio.imopen(tmp_path / "a.mp4", "w", plugin=plugin) as video:
        video.write(picture(0), fps=20)
        video.write(picture(1), fps=20)
        with pytest.raises(InvalidConfig, match="settings of the first write"):
            video.write(picture(2), fps=25)
    assert list(tmp_path.iterdir()) == []


def test_bytes_take_one_write(iio: Any, plugin: Any) -> None:
    with iio.imopen("<bytes>", "w", plugin=plugin) as video:
        assert shown(video.write(pictures(2))) == [0, 1]
        with pytest.raises(EncoderClosed, match="one write"):
            video.write(pictures(2))


@pytest.mark.parametrize(
    "frames", [[], iter(()), np.zeros((0, HEIGHT, WIDTH, 3), np.uint8)], ids=["list", "iter", "batch"]
)
def test_no_pictures_are_refused(iio: Any, plugin: Any, frames: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidFrame, match="at least one picture"):
        iio.imwrite(tmp_path / "a.mp4", frames, plugin=plugin)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_without_pictures(iio: Any, plugin: Any, tmp_path: Path) -> None:
    with iio.imopen(tmp_path / "a.mp4", "w", plugin=plugin):
        pass
    assert list(tmp_path.iterdir()) == []
