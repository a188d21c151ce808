"""``encode_frames``: lists of pictures into a video, in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pdum.nvenc import InvalidConfig, encode_frames
from video_frames import look, rgb

pytestmark = pytest.mark.one_abi

PICTURES = [rgb(number) for number in range(4)]
KINDS: dict[str, Any] = {
    "arrays": lambda folder: PICTURES,
    "a generator": lambda folder: iter(PICTURES),
    "one array": lambda folder: np.stack(PICTURES),
    "floats": lambda folder: [one / 255 for one in PICTURES],
    "PIL": lambda folder: [Image.fromarray(one) for one in PICTURES],
    "files": lambda folder: saved(folder),
}


def saved(folder: Path) -> list[Path]:
    for number, picture in enumerate(PICTURES):
        Image.fromarray(picture).save(folder / f"{number}.png")
    return sorted(folder.glob("*.png"))


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_every_kind(tmp_path: Path, kind: str) -> None:
    path = encode_frames(KINDS[kind](tmp_path), tmp_path / "a.mp4", fps=8, backend="software")
    assert path == tmp_path / "a.mp4"
    found = look(path)
    assert found.numbers() == [0, 1, 2, 3]
    assert float(found.times[1]) == pytest.approx(1 / 8, abs=1e-4)


def test_mistakes_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"at least one frame for .*a\.mp4, got none"):
        encode_frames([], tmp_path / "a.mp4")
    with pytest.raises(InvalidConfig, match=r"Give a list: sorted\(Path"):
        encode_frames("*.png", tmp_path / "a.mp4")
    assert list(tmp_path.iterdir()) == []
