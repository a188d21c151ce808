"""Sources for quality_scale.py: clips that are made anew each time, always the same, and the user's own files.

The made ones stand for kinds of video: a camera that pans over a landscape, with the noise of its sensor; the same at
night; a game with fast motion and a sharp display; a page of text that scrolls; an animation of smooth colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
WIDTH, HEIGHT = 640, 360


def _texture(size: tuple[int, int], seed: int, slope: float) -> Array:
    """A picture from 0 to 1 whose detail falls with its frequency, as in photographs. A larger ``slope`` is softer."""
    chance = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size[0])[:, None] * size[0], np.fft.rfftfreq(size[1])[None] * size[1])
    amplitude = 1 / np.maximum(frequency, 1) ** slope
    phase = np.exp(2j * np.pi * chance.random(amplitude.shape))
    picture = np.fft.irfft2(amplitude * phase, s=size)
    low, high = np.percentile(picture, (1, 99))
    return np.clip((picture - low) / (high - low), 0, 1)


def _edges(size: tuple[int, int], seed: int) -> Array:
    """Flat areas with sharp borders, as of objects."""
    return np.floor(_texture(size, seed, 2.2) * 7) / 7


def _window(picture: Array, x: float, y: float, zoom: float, size: tuple[int, int]) -> Array:
    """A part of a picture, scaled: sampled between its pixels, so that motion is smooth."""
    rows = y + np.arange(size[0]) * zoom
    columns = x + np.arange(size[1]) * zoom
    r, c = rows.astype(int), columns.astype(int)
    fr, fc = (rows - r)[:, None], (columns - c)[None]
    top = picture[r][:, c] * (1 - fc) + picture[r][:, c + 1] * fc
    bottom = picture[r + 1][:, c] * (1 - fc) + picture[r + 1][:, c + 1] * fc
    return np.asarray(top * (1 - fr) + bottom * fr)


def _frame(y: Array, u: Array, v: Array) -> Any:
    """``y`` in full size, ``u`` and ``v`` in half, all from 0 to 255."""
    import av

    planes = [np.clip(np.round(one), 0, 255).astype(np.uint8).reshape(-1) for one in (y, u, v)]
    return av.VideoFrame.from_ndarray(np.concatenate(planes).reshape(-1, y.shape[1]), "yuv420p")


def _camera(frames: int, brightness: float, noise: float, seed: int) -> Iterator[Any]:
    big = (HEIGHT * 2, WIDTH * 2)
    luma = 0.55 * _texture(big, seed, 1.15) + 0.45 * _edges(big, seed + 1)
    colours = [_edges(big, seed + 2 + number) * 70 - 35 for number in range(2)]
    chance = np.random.default_rng(seed + 9)
    for number in range(frames):
        x, y, zoom = 40 + 2.3 * number, 60 + 0.7 * number + 2 * np.sin(number / 4), 1.2 - 0.003 * number
        light = brightness * (0.95 + 0.05 * np.sin(number / 12))
        grey = 16 + 219 * light * _window(luma, x, y, zoom, (HEIGHT, WIDTH))
        half = [_window(one, x, y, 2 * zoom, (HEIGHT // 2, WIDTH // 2)) for one in colours]
        colour = (128 + light * one + chance.normal(0, noise / 2, one.shape) for one in half)
        yield _frame(grey + chance.normal(0, noise, grey.shape), *colour)


def landscape(frames: int) -> Iterator[Any]:
    return _camera(frames, 0.9, 1.5, 10)


def night(frames: int) -> Iterator[Any]:
    return _camera(frames, 0.35, 4.0, 20)


def game(frames: int) -> Iterator[Any]:
    """Three layers at different speeds, sharp edges, and a display that stands still."""
    far, near = _texture((HEIGHT + 2, WIDTH * 3), 30, 1.2), _edges((HEIGHT + 2, WIDTH * 5), 31)
    mask = _texture((HEIGHT + 2, WIDTH * 5), 32, 1.7) > 0.6
    display = _text(60, 200, 33)
    for number in range(frames):
        back = _window(far, 3.5 * number, 0, 1, (HEIGHT, WIDTH))
        at = 11 * number
        front, shows = near[:HEIGHT, at : at + WIDTH], mask[:HEIGHT, at : at + WIDTH]
        grey = 30 + 190 * np.where(shows, front, back)
        grey[20 : 20 + 60, 20 : 20 + 200] = display
        tint = 40 * (np.where(shows, front, back) - 0.5)[::2, ::2]
        yield _frame(grey, 128 - tint, 128 + tint)


def _text(height: int, width: int, seed: int) -> Array:
    """Rows of letters, dark on light. Each letter is a few strokes on a grid of 5x7 dots."""
    chance = np.random.default_rng(seed)
    letters = [chance.random((7, 5)) < 0.42 for _ in range(40)]
    page = np.full((height, width), 235.0)
    for top in range(4, height - 10, 14):
        left = 6
        while left < width * chance.uniform(0.7, 1) - 10:
            if chance.random() > 0.17:
                page[top : top + 7, left : left + 5][letters[chance.integers(len(letters))]] = 40
            left += 7
    return page


def screen(frames: int) -> Iterator[Any]:
    """A page that scrolls in steps, beside a coloured bar, with a moving pointer."""
    page = _text(HEIGHT * 3, WIDTH, 40)
    for number in range(frames):
        grey = page[3 * (number // 2) :][:HEIGHT].copy()
        grey[:, :90] = 70
        x, y = 150 + 6 * number % 400, 100 + 2 * number
        grey[y : y + 14, x : x + 9] = 16
        blue, red = np.full((2, HEIGHT // 2, WIDTH // 2), 128.0)
        blue[:, :45] = 160
        yield _frame(grey, blue, red)


def animation(frames: int) -> Iterator[Any]:
    """Smooth colours and a few flat shapes that move slowly: bands show soon."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for number in range(frames):
        grey = 60 + 90 * y / HEIGHT + 25 * np.sin(x / 140 + number / 25)
        for shape in range(4):
            centre = 90 + 140 * shape + 20 * np.sin(number / 9 + shape), 180 + 60 * np.cos(number / 11 + shape)
            grey[np.hypot(x - centre[0], y - centre[1]) < 35 + 8 * shape] = 200 - 40 * shape
        tint = 20 * np.sin(x[::2, ::2] / 200 + number / 30)
        yield _frame(grey, 128 + tint, 128 - 0.7 * tint)


MADE: dict[str, Callable[[int], Iterator[Any]]] = {
    "landscape": landscape,
    "night": night,
    "game": game,
    "screen": screen,
    "animation": animation,
}


def of_file(path: Path, frames: int) -> Iterator[Any]:
    """The first frames of a file, cut to even sizes."""
    import av

    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == frames:
                return
            yield frame.reformat(width=frame.width & ~1, height=frame.height & ~1, format="yuv420p")
