"""Parameter sets and slice headers of H.264, as the standard writes them. The pictures have no content."""

from __future__ import annotations

from dataclasses import dataclass

from field_coded import Bits, unit
from hevc_coded import signed

NON_IDR, IDR, MESSAGE, SPS, PPS = 1, 5, 6, 7, 8
P, B, I = 0, 1, 2  # noqa: E741
MAIN, HIGH_444 = 77, 244


@dataclass(frozen=True, kw_only=True)
class Stream:
    number_bits: int = 4
    order_kind: int = 0
    order_is_fixed: bool = False
    may_lack_frames: bool = False
    has_frames_only: bool = True
    chroma: int | None = None
    """None: the profile has 4:2:0 alone, and does not write it."""
    has_planes_apart: bool = False
    has_lists: bool = False
    has_bottom_order: bool = False
    references: tuple[int, int] = (1, 1)
    has_weights: bool = False
    weights_of_both: int = 0
    has_redundant_slices: bool = False

    @property
    def is_grey(self) -> bool:
        return self.chroma == 0 or self.has_planes_apart


@dataclass(frozen=True, kw_only=True)
class Picture:
    number: int
    is_idr: bool = False
    is_reference: bool = True
    slices: tuple[int, ...] = (P,)
    restarts: bool = False
    is_field: bool = False
    is_bottom: bool = False
    changes_lists: bool = False
    own_counts: tuple[int, int] | None = None
    weighs: bool = False


def sequence_set(stream: Stream) -> bytes:
    bits = Bits().fixed(8, MAIN if stream.chroma is None else HIGH_444).fixed(16, 31).golomb(0)
    if stream.chroma is not None:
        bits.golomb(stream.chroma)
        if stream.chroma == 3:
            bits.flags(stream.has_planes_apart)
        bits.golomb(0, 0).flags(0, stream.has_lists)
        for number in range((12 if stream.chroma == 3 else 8) if stream.has_lists else 0):
            bits.flags(number % 2)
            if number % 2:
                signed(bits, *([0] * 3), -8) if number % 4 == 1 else signed(bits, *([1] * (16 if number < 6 else 64)))
    bits.golomb(stream.number_bits - 4, stream.order_kind)
    if stream.order_kind == 0:
        bits.golomb(4)
    elif stream.order_kind == 1:
        signed(bits.flags(stream.order_is_fixed), -2, 1).golomb(2)
        signed(bits, 2, 4)
    bits.golomb(4).flags(stream.may_lack_frames).golomb(9, 5).flags(stream.has_frames_only)
    if not stream.has_frames_only:
        bits.flags(0)
    return unit(SPS, bits.flags(1, 0, 0).ended())


def picture_set(stream: Stream) -> bytes:
    bits = Bits().golomb(0, 0).flags(1, stream.has_bottom_order).golomb(0, *(count - 1 for count in stream.references))
    bits.flags(stream.has_weights).fixed(2, stream.weights_of_both)
    return unit(PPS, signed(bits, 0, 0, -2).flags(1, 0, stream.has_redundant_slices).ended())


def put_weights(bits: Bits, stream: Stream, counts: list[int]) -> None:
    bits.golomb(5)
    if not stream.is_grey:
        bits.golomb(4)
    for count in counts:
        for number in range(count):
            bits.flags(number % 2)
            if number % 2:
                signed(bits, -3, 7)
            if not stream.is_grey:
                bits.flags(number % 3 == 0)
                if number % 3 == 0:
                    signed(bits, 1, -1, 2, -2)


def put_references(bits: Bits, stream: Stream, picture: Picture, kind: int) -> None:
    lists = 2 if kind == B else 1
    if kind == B:
        bits.flags(1)
    bits.flags(picture.own_counts is not None)
    counts = list(picture.own_counts or stream.references)[:lists]
    if picture.own_counts:
        bits.golomb(*(count - 1 for count in counts))
    for number in range(lists):
        is_changed = picture.changes_lists and number == 0
        bits.flags(is_changed)
        if is_changed:
            bits.golomb(0, 2, 1, 3, 2, 0, 3)
    if stream.weights_of_both == 1 if kind == B else stream.has_weights:
        put_weights(bits, stream, counts)


def put_order(bits: Bits, stream: Stream, picture: Picture) -> None:
    has_both = stream.has_bottom_order and not picture.is_field
    if stream.order_kind == 0:
        bits.fixed(8, 77)
        if has_both:
            signed(bits, -1)
    elif stream.order_kind == 1 and not stream.order_is_fixed:
        signed(bits, 3, *([-2] if has_both else []))


def coded(stream: Stream, picture: Picture) -> bytes:
    whole = b""
    for number, kind in enumerate(picture.slices):
        bits = Bits().golomb(number, kind, 0)
        if stream.has_planes_apart:
            bits.fixed(2, 0)
        bits.fixed(stream.number_bits, picture.number)
        if not stream.has_frames_only:
            bits.flags(picture.is_field, *([picture.is_bottom] if picture.is_field else []))
        if picture.is_idr:
            bits.golomb(3)
        put_order(bits, stream, picture)
        if stream.has_redundant_slices:
            bits.golomb(0)
        if kind != I:
            put_references(bits, stream, picture, kind)
        if picture.is_reference:
            if picture.is_idr:
                bits.flags(0, 0)
            else:
                bits.flags(picture.restarts)
                if picture.restarts:
                    bits.golomb(1, 0, 3, 1, 0, 2, 0, 4, 2, 6, 1, 5, 0)
        whole += unit(IDR if picture.is_idr else NON_IDR, bits.fixed(32, 0x155).ended(), 2 * picture.is_reference)
    return whole


def recovery_point(frames: int) -> bytes:
    """Behind another message, of 300 bytes that look like such messages themselves."""
    message = Bits().golomb(frames).flags(1, 0, 0, 0).ended()
    return unit(MESSAGE, b"\5\xff\x2d" + b"\6\1\x80" * 100 + b"\6" + bytes([len(message)]) + message + b"\x80", 0)
