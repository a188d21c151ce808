"""Parameter sets and slice headers of HEVC, as the standard writes them. The pictures have no content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from field_coded import Bits, unit

TRAILING, RASL, IDR, CRA, VPS, SPS, PPS, END_OF_SEQUENCE = 1, 9, 19, 21, 32, 33, 34, 36
INTRA, PREDICTED = 2, 1


@dataclass(frozen=True)
class Reference:
    distance: int
    is_used: bool = True


ReferenceSet = tuple[Reference, ...]
"""The nearest before the picture comes first, and those after it follow, the nearest first again."""


def in_order(references: Sequence[Reference]) -> ReferenceSet:
    return tuple(sorted(references, key=lambda one: (one.distance > 0, abs(one.distance))))


@dataclass(frozen=True)
class LongTerm:
    place: int
    is_whole: bool
    """All bits of its place are written, and not only the lowest."""
    is_used: bool = True


@dataclass(frozen=True)
class Stream:
    order_bits: int = 8
    least_block: int = 0
    layers: int = 1
    chroma: int = 1
    has_planes_apart: bool = False
    has_lists: bool = False
    has_raw_samples: bool = False
    sets: tuple[ReferenceSet, ...] = ()
    predicts_sets: bool = False
    """A set is written as a moved one if it can be."""
    has_long_term: bool = True
    long_term: tuple[LongTerm, ...] = ()
    extra_bits: int = 0
    has_output_flag: bool = False

    @property
    def period(self) -> int:
        return 1 << self.order_bits


@dataclass(frozen=True)
class Picture:
    order: int
    kind: int = TRAILING
    references: ReferenceSet = ()
    long_term: tuple[LongTerm, ...] = ()
    slice_kind: int = PREDICTED
    predicts_set: bool = False
    lists_set: bool = False
    """The set is written although the sequence has it."""
    slices: tuple[int, ...] = field(default=(PREDICTED,))


def signed(bits: Bits, *values: int) -> Bits:
    return bits.golomb(*(2 * value - 1 if value > 0 else -2 * value for value in values))


def nal(kind: int, bits: Bits) -> bytes:
    """The unit's second byte belongs to its header; the first one is written by the caller of H.264's units."""
    coded = unit(0, bytes([1]) + bits.ended())
    start = coded.index(b"\1") + 1
    return coded[:start] + bytes([kind << 1]) + coded[start + 1 :]


def put_listed(bits: Bits, references: ReferenceSet) -> None:
    halves = [[one for one in references if (one.distance > 0) == is_after] for is_after in (False, True)]
    bits.golomb(*(len(half) for half in halves))
    for half in halves:
        last = 0
        for one in half:
            bits.golomb(abs(one.distance) - last - 1).flags(one.is_used)
            last = abs(one.distance)


def move_to(base: ReferenceSet, wanted: ReferenceSet) -> int | None:
    """By how much the base has to be moved to have all that is wanted; None if there is no such move."""
    distances = {one.distance for one in wanted}
    moves: list[int] = [*range(-40, 0), *range(1, 41)]
    for move in moves:
        if distances <= {move, *(one.distance + move for one in base)}:
            return move
    return None


def put_moved(bits: Bits, base: ReferenceSet, wanted: ReferenceSet, move: int) -> None:
    bits.flags(move < 0).golomb(abs(move) - 1)
    by_distance = {one.distance: one.is_used for one in wanted}
    for distance in (*(one.distance + move for one in base), move):
        if by_distance.get(distance):
            bits.flags(1)
        else:
            bits.flags(0, distance in by_distance or distance == 0)  # the picture itself counts for nothing


def put_sets(bits: Bits, sequence: Stream) -> None:
    bits.golomb(len(sequence.sets))
    for number, wanted in enumerate(sequence.sets):
        move = move_to(sequence.sets[number - 1], wanted) if number and sequence.predicts_sets else None
        if number:
            bits.flags(move is not None)
        if move is None:
            put_listed(bits, wanted)
        else:
            put_moved(bits, sequence.sets[number - 1], wanted, move)


def sequence_set(sequence: Stream) -> bytes:
    bits = Bits().fixed(4, 0).fixed(3, sequence.layers - 1).flags(1).fixed(88, 1 << 80).fixed(8, 93)
    there = [(number % 2, number % 3 == 0) for number in range(sequence.layers - 1)]
    for profile, level in there:
        bits.flags(profile, int(level))
    if there:
        bits.fixed(2 * (8 - len(there)), 0)
    for profile, level in there:
        bits.fixed(88 * profile, 0) if profile else None
        bits.fixed(8, 60) if level else None
    bits.golomb(0, sequence.chroma)
    if sequence.chroma == 3:
        bits.flags(int(sequence.has_planes_apart))
    bits.golomb(192, 160).flags(1).golomb(0, 1, 2, 0).golomb(2, 2, sequence.order_bits - 4)
    bits.flags(1)
    for _ in range(sequence.layers):
        bits.golomb(15, 2, 0)
    bits.golomb(sequence.least_block, 1, 0, 2, 1, 1).flags(int(sequence.has_lists))
    if sequence.has_lists:
        put_lists(bits)
    bits.flags(1, 1, int(sequence.has_raw_samples))
    if sequence.has_raw_samples:
        bits.fixed(8, 0x77).golomb(0, 2).flags(1)
    put_sets(bits, sequence)
    bits.flags(int(sequence.has_long_term))
    if sequence.has_long_term:
        bits.golomb(len(sequence.long_term))
        for one in sequence.long_term:
            bits.fixed(sequence.order_bits, one.place % sequence.period).flags(int(one.is_used))
    return nal(SPS, bits.flags(1, 1, 0, 0))


def put_lists(bits: Bits) -> None:
    bits.flags(1)
    for size in range(4):
        for matrix in range(0, 6, 3 if size == 3 else 1):
            if matrix % 2 == 0:
                bits.flags(0).golomb(0)
                continue
            bits.flags(1)
            signed(bits, *([8] if size > 1 else []), *([0] * min(64, 1 << (4 + 2 * size))))


def picture_set(sequence: Stream) -> bytes:
    bits = Bits().golomb(0, 0).flags(0, int(sequence.has_output_flag)).fixed(3, sequence.extra_bits).flags(0, 0)
    return nal(PPS, signed(bits.golomb(0, 0), 0).flags(0, 0, 0))


def bits_for(count: int) -> int:
    return max(0, count - 1).bit_length()


def put_set(bits: Bits, sequence: Stream, picture: Picture) -> None:
    wanted, sets = picture.references, sequence.sets
    if wanted in sets and not picture.lists_set:
        bits.flags(1)
        if len(sets) > 1:
            bits.fixed(bits_for(len(sets)), sets.index(wanted))
        return
    bits.flags(0)
    moves = [(back, move_to(base, wanted)) for back, base in enumerate(reversed(sets))]
    moved = next(((back, move) for back, move in moves if move is not None), None) if picture.predicts_set else None
    if sets:
        bits.flags(moved is not None)
    if moved is None:
        put_listed(bits, wanted)
    else:
        back, move = moved
        bits.golomb(back)
        assert move is not None
        put_moved(bits, sets[len(sets) - 1 - back], wanted, move)


def put_long_term(bits: Bits, sequence: Stream, picture: Picture) -> None:
    listed = [(one.place % sequence.period, one.is_used) for one in sequence.long_term]
    from_list = [one for one in picture.long_term if (one.place % sequence.period, one.is_used) in listed]
    own = [one for one in picture.long_term if one not in from_list]
    if listed:
        bits.golomb(len(from_list))
    bits.golomb(len(own))
    for group in (from_list, own):
        last = 0
        for one in sorted(group, key=lambda one: -one.place):
            place = one.place % sequence.period, one.is_used
            if group is own:
                bits.fixed(sequence.order_bits, place[0]).flags(int(one.is_used))
            elif len(listed) > 1:
                bits.fixed(bits_for(len(listed)), listed.index(place))
            bits.flags(int(one.is_whole))
            if one.is_whole:
                periods = (picture.order // sequence.period) - (one.place // sequence.period)
                bits.golomb(periods - last)
                last = periods


def coded(sequence: Stream, picture: Picture) -> bytes:
    """The picture's slices, without parameter sets."""
    whole = b""
    for number, kind in enumerate(picture.slices):
        bits = Bits().flags(int(number == 0))
        if picture.kind in (IDR, CRA):
            bits.flags(0)
        bits.golomb(0)
        if number:
            bits.fixed(bits_for(12 * 10), number)
        bits.fixed(sequence.extra_bits, 0) if sequence.extra_bits else None
        bits.golomb(kind)
        if sequence.has_output_flag:
            bits.flags(1)
        if sequence.has_planes_apart:
            bits.fixed(2, 0)
        if picture.kind != IDR:
            bits.fixed(sequence.order_bits, picture.order % sequence.period)
            put_set(bits, sequence, picture)
            if sequence.has_long_term:
                put_long_term(bits, sequence, picture)
        whole += nal(picture.kind, bits.fixed(40, 0x155))
    return whole
