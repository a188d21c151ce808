"""The pictures of examples/live."""

from __future__ import annotations

import numpy as np
import pytest

from browser.live_site import block_means, number_in
from scene import SMALLEST, Scene, squares_of


@pytest.mark.parametrize("size", [(160, 90), (328, 184), (200, 600)])
def test_a_picture_depends_on_its_number_and_size(size: tuple[int, int]) -> None:
    one, other = Scene(np, 30), Scene(np, 30)
    other.picture(7, *SMALLEST)
    pictures = [one.picture(number, *size) for number in (0, 1, 900, 901)]
    assert all(picture.shape == (size[1], size[0], 3) and picture.dtype == np.uint8 for picture in pictures)
    assert np.array_equal(other.picture(900, *size), pictures[2])
    assert all(np.any(pictures[place] != pictures[place + 1]) for place in range(3))


def test_the_number_can_be_read() -> None:
    scene = Scene(np)
    for number in (0, 1, 2, 77, 4095, 65_535):
        picture = scene.picture(number, 168, 96)
        assert number_in(block_means(picture)) == number
    assert squares_of(65_536) == squares_of(0)


def test_a_wrong_square_is_seen() -> None:
    """One wrong square is always seen, so that a damaged picture is not taken for another one."""
    good = {tuple(squares_of(number)) for number in range(1 << 12)}
    squares = list(squares_of(1234))
    for place in range(len(squares)):
        wrong = tuple(square ^ (place == at) for at, square in enumerate(squares))
        assert wrong not in good
