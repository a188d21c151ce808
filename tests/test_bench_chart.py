"""The chart of the benchmark: a picture of the results with any names, or nothing."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import pytest

from pdum.nvenc import InvalidConfig
from pdum.nvenc._cli.bench_chart import COLOURS, Speed, draw

from event_streams import HOSTILE_NAMES
from loud import need_module

pytestmark = pytest.mark.one_abi

ENGINES = ("GPU 0 · NVIDIA L4, 1 engine", "GPU 0 · NVIDIA L4, 3 engines", "CPU")


def results(engines: tuple[str, ...] = ENGINES) -> list[Speed]:
    return [
        Speed(engine=engine, codec=codec, preset=f"p{preset}", fps=(1 + place) * 900.0 / preset / (1 + number))
        for number, codec in enumerate(("h264", "hevc", "av1"))
        for place, engine in enumerate(engines)
        for preset in (1, 4, 7)
    ]


def size_of(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def test_bars_are_as_high_as_the_results(tmp_path: Path) -> None:
    need_module("matplotlib")
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    drawn: list[Figure] = []
    saved = Figure.savefig

    def keep(figure: Figure, *arguments: object, **more: object) -> None:
        drawn.append(figure)
        saved(figure, *arguments, **more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", keep)
        draw(results(), tmp_path / "speed.png", "1920x1080")
    width, height = size_of(tmp_path / "speed.png")
    assert width > height > 500
    assert [path.name for path in tmp_path.iterdir()] == ["speed.png"]
    (figure,) = drawn
    bars = [bar for axis in figure.axes for bar in axis.patches if isinstance(bar, Rectangle)]
    assert sorted(bar.get_height() for bar in bars) == sorted(one.fps for one in results())
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["H.264", "HEVC", "AV1"]


def test_any_names(tmp_path: Path) -> None:
    need_module("matplotlib")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        draw(results(HOSTILE_NAMES[:6]), tmp_path / "speed.png", HOSTILE_NAMES[0])
        draw(results(("$x^{$", "_hidden", "$$")), tmp_path / "speed.png", "$\\frac{$")
    assert size_of(tmp_path / "speed.png")[0] > 0


def test_one_result_and_more_engines_than_colours(tmp_path: Path) -> None:
    need_module("matplotlib")
    draw(results()[:1], tmp_path / "one.png")
    draw(results(tuple(f"GPU {number}" for number in range(len(COLOURS) + 2))), tmp_path / "many.png")
    assert size_of(tmp_path / "one.png")[0] < size_of(tmp_path / "many.png")[0]


def test_no_results(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="A chart needs at least one result"):
        draw([], tmp_path / "speed.png")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    need_module("matplotlib")
    with pytest.raises(FileNotFoundError):
        draw(results(), tmp_path / "missing" / "speed.png")
