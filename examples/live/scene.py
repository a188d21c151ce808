"""The picture that the server shows: three glossy balls over a chequered floor, computed by NumPy or CuPy.

A picture depends on its number and its size alone, so that a test can draw it again and compare. The row of squares at
its upper left edge is the picture's number, for programs to read.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

SQUARE = 8
"""The side of a square of the number, in pixels."""
NUMBER_BITS, CHECK_BITS = 16, 4
SMALLEST = (SQUARE * (NUMBER_BITS + CHECK_BITS), 90)
"""The smallest picture that has room for the number."""

Vector = tuple[float, float, float]
Ball = tuple[float, Vector, Vector]
"""A radius, a centre and a colour."""

EYE: Vector = (0.0, 1.7, -5.2)
PITCH = 0.2
"""How far the camera looks down, as a slope."""
SUN: Vector = (-0.48, 0.72, -0.5)
HORIZON: Vector = (0.75, 0.40, 0.27)
ZENITH: Vector = (0.02, 0.035, 0.16)
TILES: tuple[Vector, Vector] = ((0.74, 0.68, 0.60), (0.025, 0.04, 0.115))
BALLS: tuple[tuple[float, Vector], ...] = (
    (1.0, (0.90, 0.11, 0.06)),
    (0.7, (0.04, 0.52, 0.38)),
    (0.55, (0.96, 0.58, 0.06)),
)
"""The radius and the colour of each ball."""


class Scene:
    """Draws pictures with the array module that is given: NumPy or CuPy."""

    def __init__(self, arrays: Any, fps: float = 30) -> None:
        self._arrays = arrays
        self._fps = fps
        self._view = lru_cache(maxsize=2)(lambda width, height: View(arrays, width, height))

    def picture(self, number: int, width: int, height: int) -> Any:
        """RGB bytes, of the shape (height, width, 3)."""
        xp = self._arrays
        seconds = number / self._fps
        colours = self._view(width, height).colours(seconds, balls_at(seconds))
        picture = (xp.sqrt(xp.clip(colours, 0, 1)) * 255 + 0.5).astype(xp.uint8)
        stamp(xp, picture, number)
        return picture


class View:
    """The rays through the pixels of one size of picture."""

    def __init__(self, arrays: Any, width: int, height: int) -> None:
        self._xp = xp = arrays
        self._size = (width, height)
        self._focus = 1.25 * min(height, width * 0.75)  # pixels for a slope of 1
        x = (xp.arange(width, dtype=xp.float32) - width / 2 + 0.5) / self._focus
        y = (height / 2 - 0.5 - xp.arange(height, dtype=xp.float32)) / self._focus - PITCH
        self._rays = xp.stack(xp.broadcast_arrays(x[None, :], y[:, None], xp.float32(1)), axis=-1)
        self._rays /= xp.sqrt((self._rays**2).sum(-1, keepdims=True))
        self._first_of_floor = int((y > -0.02).sum())
        self._background = sky(xp, self._rays)
        self._floor = Floor(xp, EYE, self._rays[self._first_of_floor :])

    def colours(self, seconds: float, balls: list[Ball]) -> Any:
        """Linear light, from 0 to 1."""
        colours = self._background.copy()
        colours[self._first_of_floor :] = self._floor.colours(seconds, balls)
        for ball in sorted(balls, key=lambda one: -one[1][2]):
            self._draw(colours, seconds, ball)
        return colours

    def _draw(self, colours: Any, seconds: float, ball: Ball) -> None:
        radius, centre, colour = ball
        box = self._box(radius, centre)
        rays = self._rays[box]
        if not rays.size:
            return
        xp = self._xp
        to_ball = tuple(c - e for c, e in zip(centre, EYE, strict=True))
        along = dot(rays, to_ball)
        depth = along**2 - (sum(part**2 for part in to_ball) - radius**2)
        distance = along - xp.sqrt(xp.maximum(depth, 0))
        normal = (rays * distance[..., None] - vector(xp, to_ball)) / radius
        mirrored = rays - 2 * (rays * normal).sum(-1, keepdims=True) * normal
        facing = xp.clip(-(rays * normal).sum(-1), 0, 1)[..., None]
        seen = self._mirror(mirrored, centre, seconds)
        light = 0.22 + 0.85 * xp.clip(dot(normal, SUN), 0, 1)[..., None]
        gloss = xp.clip(dot(mirrored, SUN), 0, 1)[..., None] ** 60
        share = 0.12 + 0.7 * (1 - facing) ** 3
        shaded = vector(xp, colour) * light * (1 - share) + seen * share + 1.1 * gloss
        # The edge is as soft as a pixel.
        inside = xp.clip(depth / (2 * radius * distance / self._focus) + 0.5, 0, 1)[..., None]
        colours[box] += (shaded - colours[box]) * inside

    def _mirror(self, rays: Any, centre: Vector, seconds: float) -> Any:
        xp = self._xp
        down = xp.minimum(rays[..., 1:2], -0.03)
        below = Floor(xp, centre, xp.concatenate([rays[..., :1], down, rays[..., 2:]], axis=-1)).colours(seconds, [])
        return xp.where(rays[..., 1:2] < -0.03, below, sky(xp, rays))

    def _box(self, radius: float, centre: Vector) -> tuple[slice, slice]:
        """The rows and columns that the ball may cover."""
        width, height = self._size
        x, y, z = (c - e for c, e in zip(centre, EYE, strict=True))
        reach = 1.25 * radius / z * self._focus + 2
        column, row = width / 2 + x / z * self._focus, height / 2 - (y / z + PITCH) * self._focus
        rows = slice(max(int(row - reach), 0), max(min(int(row + reach) + 1, height), 0))
        return rows, slice(max(int(column - reach), 0), max(min(int(column + reach) + 1, width), 0))


def balls_at(seconds: float) -> list[Ball]:
    """The radius, the centre and the colour of each ball."""
    found = []
    for place, (radius, colour) in enumerate(BALLS):
        turn = 0.7 * seconds + place * 2 * math.pi / len(BALLS)
        hop = abs(math.sin(2.1 * seconds + 1.3 * place)) * (0.35 + 0.25 * place)
        found.append((radius, (1.9 * math.cos(turn), radius + hop, 1.2 + 1.5 * math.sin(turn)), colour))
    return found


def sky(xp: Any, rays: Any) -> Any:
    height = xp.clip(2.2 * rays[..., 1:2], 0, 1) ** 0.7
    return vector(xp, HORIZON) * (1 - height) + vector(xp, ZENITH) * height


class Floor:
    """The chequered floor as rays from a point see it. It glides towards the camera."""

    def __init__(self, xp: Any, eye: Vector, rays: Any) -> None:
        self._xp = xp
        distance = -eye[1] / rays[..., 1]
        self._x, self._z = eye[0] + distance * rays[..., 0], eye[2] + distance * rays[..., 2]
        haze = xp.clip(distance / 26, 0, 1)[..., None]
        self._clear, self._glow = 1 - haze, vector(xp, HORIZON) * haze
        self._column = xp.floor(self._x)

    def colours(self, seconds: float, balls: list[Ball]) -> Any:
        xp = self._xp
        is_odd = ((self._column + xp.floor(self._z + 1.2 * seconds)) % 2)[..., None]
        strength = self._clear
        if balls:
            strength = strength * self._shade(balls)[..., None]
        light, dark = (vector(xp, tile) for tile in TILES)
        return xp.where(is_odd > 0, dark, light) * strength + self._glow

    def _shade(self, balls: list[Ball]) -> Any:
        """How much light is left beneath the balls."""
        shade = self._xp.ones_like(self._x)
        for radius, (x, y, z), _ in balls:
            away = (self._x - x - 0.5 * y) ** 2 + (self._z - z - 0.5 * y) ** 2
            shade *= 1 - 0.65 * self._xp.exp(-away / (1.1 * radius**2)) / (1 + 0.3 * (y - radius))
        return shade


def dot(rays: Any, direction: Any) -> Any:
    return rays[..., 0] * direction[0] + rays[..., 1] * direction[1] + rays[..., 2] * direction[2]


def vector(xp: Any, parts: Any) -> Any:
    return xp.asarray(parts, dtype=xp.float32)


def squares_of(number: int) -> list[bool]:
    """Which squares are white: the number's bits and their check, the highest bit first."""
    number %= 1 << NUMBER_BITS
    check = sum(number >> shift for shift in range(0, NUMBER_BITS, CHECK_BITS)) % (1 << CHECK_BITS)
    code = number << CHECK_BITS | (check ^ 0b1010)
    return [bool(code >> bit & 1) for bit in reversed(range(NUMBER_BITS + CHECK_BITS))]


def stamp(xp: Any, picture: Any, number: int) -> None:
    row = xp.asarray(squares_of(number), dtype=xp.uint8) * 255
    picture[:SQUARE, : SQUARE * len(row)] = xp.repeat(row, SQUARE)[None, :, None]
