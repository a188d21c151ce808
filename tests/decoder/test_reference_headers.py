"""What a decoder reads of references in the headers of streams: of HEVC's rightly, and of other bytes without harm.

The readers are run under AddressSanitizer and UndefinedBehaviorSanitizer, without a decoder.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decoder.references_printer import Printer, Records
from decoder.test_fuzz import CHANGES, changed
from decoder.videos import Kind, make
from field_coded import Bits
from hevc_coded import (
    CRA,
    END_OF_SEQUENCE,
    IDR,
    INTRA,
    PPS,
    PREDICTED,
    SPS,
    TRAILING,
    LongTerm,
    Picture,
    Reference,
    Stream,
    coded,
    in_order,
    nal,
    picture_set,
    sequence_set,
)
from pdum.nvenc._media.stream_headers import filter_for, filtered

pytestmark = pytest.mark.one_abi


@st.composite
def groups(draw: st.DrawFn, stream: Stream) -> list[Picture]:
    """A key frame, and pictures that refer to any of those that are kept."""
    pictures, kept, used = [Picture(0, IDR, slice_kind=INTRA, slices=(INTRA,))], {0: False}, {0}
    for _ in range(draw(st.integers(1, 14))):
        order = draw(
            st.sampled_from([order for step in (1, 2, 3, -1) if (order := pictures[-1].order + step) not in used])
        )
        fate = {place: draw(st.sampled_from(["used", "used", "kept", "long", "gone"])) for place in kept}
        references: list[Reference] = []
        long_term: list[LongTerm] = []
        for place, is_long in kept.items():
            what = fate[place]
            if what == "gone" or len(references) == 6:
                continue
            if is_long or (what == "long" and stream.has_long_term and place < order):
                if place > order or len(long_term) == 3:
                    continue
                is_alone = sum(one % stream.period == place % stream.period for one in used) == 1
                is_whole = not is_alone or draw(st.booleans())
                long_term.append(LongTerm(place, is_whole, draw(st.booleans())))
            else:
                references.append(Reference(place - order, what != "kept"))
        slices = tuple(draw(st.lists(st.sampled_from([PREDICTED, PREDICTED, INTRA]), min_size=1, max_size=3)))
        pictures.append(
            Picture(
                order,
                references=in_order(references),
                long_term=tuple(sorted(long_term, key=lambda one: -one.place)),
                predicts_set=draw(st.booleans()),
                lists_set=draw(st.booleans()),
                slices=slices,
            )
        )
        kept = {order + one.distance: False for one in references}
        kept |= {one.place: True for one in long_term} | {order: False}
        used.add(order)
    return pictures


@st.composite
def streams(draw: st.DrawFn) -> tuple[Stream, list[Picture]]:
    stream = Stream(
        order_bits=draw(st.sampled_from([4, 5, 8, 16])),
        layers=draw(st.integers(1, 7)),
        chroma=draw(st.sampled_from([0, 1, 2, 3])),
        has_planes_apart=draw(st.booleans()),
        has_lists=draw(st.booleans()),
        has_raw_samples=draw(st.booleans()),
        predicts_sets=draw(st.booleans()),
        has_long_term=draw(st.booleans()),
        extra_bits=draw(st.integers(0, 3)),
        has_output_flag=draw(st.booleans()),
    )
    stream = replace(stream, has_planes_apart=stream.has_planes_apart and stream.chroma == 3)
    pictures = [picture for _ in range(draw(st.integers(1, 2))) for picture in draw(groups(stream))]
    sets = dict.fromkeys(one.references for one in pictures if draw(st.booleans()))
    long_term = [one for picture in pictures for one in picture.long_term if draw(st.booleans())]
    listed = {(one.place % stream.period, one.is_used): one for one in long_term}
    return replace(stream, sets=tuple(sets), long_term=tuple(listed.values())[:32]), pictures


def affected(pictures: list[Picture], lost: set[int]) -> list[bool]:
    """What has to be found, by following the references of the pictures that are there."""
    right: dict[int, bool] = {}
    found = []
    for number, picture in enumerate(pictures):
        if picture.kind == IDR:
            right = {}
        if number in lost:
            continue
        needed = [picture.order + one.distance for one in picture.references if one.is_used]
        needed += [one.place for one in picture.long_term if one.is_used]
        is_right = set(picture.slices) == {INTRA} or all(right.get(place, False) for place in needed)
        right[picture.order] = is_right
        found.append(not is_right)
    return found


@settings(max_examples=150)
@given(made=streams(), data=st.data())
def test_what_refers_to_a_missing_picture(
    printer: Printer, made: tuple[Stream, list[Picture]], data: st.DataObject
) -> None:
    stream, pictures = made
    lost: set[int] = set()
    for number in range(1, len(pictures)):
        # Two in a row could leave a gap that is longer than what slices give of their order.
        if pictures[number].kind != IDR and number - 1 not in lost and data.draw(st.integers(0, 3)) == 0:
            lost.add(number)
    records = [("P", sequence_set(stream) + picture_set(stream))]
    for number, picture in enumerate(pictures):
        if number not in lost:
            records += [("P", coded(stream, picture)), ("D", coded(stream, picture))]
    assert [bool(one[0]) for one in printer.answers(records)] == affected(pictures, lost)


PLAIN = Stream()
HEADERS = sequence_set(PLAIN) + picture_set(PLAIN)


def p_frame(order: int, *before: int) -> bytes:
    return coded(PLAIN, Picture(order, references=in_order([Reference(-distance) for distance in before])))


def decoded(*packets: bytes) -> Records:
    return [("P", HEADERS), *((letter, packet) for packet in packets for letter in "PD")]


KEY = coded(PLAIN, Picture(0, IDR, slices=(INTRA,)))
OPEN_KEY = coded(PLAIN, Picture(8, CRA, slices=(INTRA,)))
KEPT_KEY = coded(PLAIN, Picture(8, CRA, references=(Reference(-7, is_used=False),), slices=(INTRA,)))
"""Pictures that are shown before it may refer to the one before it."""


@pytest.mark.parametrize(
    ("records", "wanted"),
    [
        (decoded(KEY, p_frame(1, 1), p_frame(2, 1)), [0, 0, 0]),
        (decoded(p_frame(1, 1), KEY, p_frame(1, 1)), [1, 0, 0]),
        (decoded(OPEN_KEY, p_frame(9, 1)), [0, 0]),
        (decoded(KEY, p_frame(1, 1), p_frame(1, 1), p_frame(2, 1)), [0, 0, 1, 1]),  # a key frame must be missing
        ([*decoded(KEY, p_frame(1, 1)), ("S", b""), *decoded(p_frame(2, 1))], [0, 0, 1]),
        ([*decoded(KEY, p_frame(1, 1)), ("N", b""), *decoded(p_frame(2, 1))], [0, 0, 1]),
        (
            decoded(KEY, b"\0\0\1\2\1\x80", p_frame(2, 2), KEY, p_frame(2, 1)),
            [0, 0, 0, 0, 1],
        ),  # one that cannot be read
    ],
    ids=["whole", "no key frame", "open", "the same place twice", "spoilt", "anew", "unreadable"],
)
def test_single_cases(printer: Printer, records: Records, wanted: list[int]) -> None:
    assert [one[0] for one in printer.answers(records)] == wanted


def test_the_end_of_a_sequence_begins_another(printer: Printer) -> None:
    """Behind it, an open key frame counts from the beginning again, and nothing before it is there."""
    end = b"\0\0\1" + bytes([END_OF_SEQUENCE << 1, 1])
    leading = coded(PLAIN, Picture(7, references=(Reference(-6), Reference(1))))
    for behind, wanted in (b"", [0, 0, 0, 0, 0]), (end, [0, 0, 0, 1, 0]), (b"\1" + end[1:], [0, 0, 0, 0, 0]):
        records = decoded(KEY, p_frame(1, 1) + behind, KEPT_KEY, leading, p_frame(9, 1))
        assert [one[0] for one in printer.answers(records)] == wanted


@pytest.mark.parametrize("kind", [SPS, PPS], ids=["sequence", "picture"])
def test_sets_that_cannot_be_read_are_forgotten(printer: Printer, kind: int) -> None:
    """The earlier one of the same number does not hold any more, so nothing is said of what follows."""
    broken = b"\0\0\1" + bytes([kind << 1, 1]) + (b"\x80" if kind == PPS else b"\1" + bytes(range(1, 13)) + b"\xa0\x40")
    for between, wanted in ([], 1), ([("P", broken)], 0):
        records = [*decoded(KEY), *between, ("P", p_frame(2, 1)), ("D", p_frame(2, 1))]
        assert [one[0] for one in printer.answers(records)] == [0, wanted]


def of_some_sets(count: int) -> tuple[tuple[Reference, ...], ...]:
    return tuple((Reference(-1 - at),) for at in range(count))


MANY = tuple(LongTerm(at, False) for at in range(33))


@pytest.mark.parametrize(("lost", "wanted"), [(None, 0), (5, 1), (30, 1)])
def test_long_term_references_of_several_periods(printer: Printer, lost: int | None, wanted: int) -> None:
    stream, orders = Stream(order_bits=4), (0, 5, 10, 15, 18, 25, 30, 33, 40)
    packets = [sequence_set(stream) + picture_set(stream) + KEY]
    for last, order in pairwise(orders):
        kept = tuple(LongTerm(place, True, order == 40) for place in (30, 5) if place < last)
        picture = Picture(order, references=(Reference(last - order, False),), long_term=kept, slices=(PREDICTED,))
        packets += [coded(stream, picture)] if order != lost else []
    records = [(letter, packet) for packet in packets for letter in "PD"]
    assert [one[0] for one in printer.answers(records)] == [0] * (len(packets) - 1) + [wanted]


@pytest.mark.parametrize(
    "stream",
    [
        Stream(order_bits=17),
        Stream(sets=of_some_sets(65)),
        Stream(sets=(in_order([Reference(-1 - at) for at in range(17)]),)),
        Stream(long_term=MANY),
        Stream(least_block=7),
        Stream(least_block=62),
    ],
    ids=["order", "sets", "references", "long term", "blocks", "absurd blocks"],
)
def test_impossible_sequences_are_not_believed(printer: Printer, stream: Stream) -> None:
    """So nothing is said of their pictures."""
    behind = coded(stream, Picture(2, references=(Reference(-1),), lists_set=True))
    records = [("P", sequence_set(stream) + picture_set(stream)), ("P", KEY), ("D", KEY), ("P", behind), ("D", behind)]
    assert [one[0] for one in printer.answers(records)] == [0, 0]


THREE = Stream(sets=of_some_sets(3), long_term=MANY[:3])


@pytest.mark.parametrize(
    "rest",
    [
        Bits().flags(1).fixed(2, 3),
        Bits().flags(0, 1).golomb(3, 0, 0),
        Bits().flags(0, 1).golomb(0).flags(0).golomb(1 << 15),
        Bits().flags(0, 0).golomb(17, 0),
        Bits().flags(0, 0).golomb(1, 16),
        Bits().flags(0, 0).golomb(1, 0, 1 << 15).flags(1),
        Bits().flags(1).fixed(2, 0).golomb(1, 0).fixed(2, 3),
        Bits().flags(1).fixed(2, 0).golomb(33, 0),
        Bits().flags(1).fixed(2, 0).golomb(0, 33),
        Bits().flags(1).fixed(2, 0).golomb(0, 0xFFFFFFFE),
    ],
    ids=lambda rest: "".join(rest._bits)[:24],
)
def test_impossible_slices_are_not_believed(printer: Printer, rest: Bits) -> None:
    """Nothing is said of them, and of what follows."""
    begin = "".join(Bits().flags(1).golomb(0, PREDICTED).fixed(THREE.order_bits, 1)._bits)
    whole = Bits().flags(*map(int, begin + "".join(rest._bits))).fixed(32, 0).fixed(32, 0)
    impossible, behind = nal(TRAILING, whole), coded(THREE, Picture(9, references=(Reference(-5),), lists_set=True))
    records = [("P", sequence_set(THREE) + picture_set(THREE))]
    records += [(letter, packet) for packet in (KEY, impossible, behind) for letter in "PD"]
    assert [one[0] for one in printer.answers(records)] == [0, 0, 0]


KINDS = {
    "hevc": Kind("hevc", "libx265", size=(192, 160), count=8, options={"g": "4"}),
    "h264": Kind("h264", count=8, options={"g": "4"}),
}


def packets_of(folder: Path, kind: Kind) -> list[bytes]:
    import av

    with av.open(str(make(folder, kind))) as container:
        video = container.streams.video[0]
        bitstream_filter = filter_for(video)
        return [bytes(part) for one in container.demux(video) for part in filtered(one, bitstream_filter) if part.size]


@pytest.mark.parametrize("codec", sorted(KINDS))
@settings(max_examples=100)
@given(changes=st.lists(CHANGES, min_size=20, max_size=20), junk=st.lists(st.binary(max_size=60), max_size=20))
def test_changed_and_random_bytes_do_no_harm(
    printer: Printer, folder: Path, codec: str, changes: list[list[tuple[str, int, float, int]]], junk: list[bytes]
) -> None:
    packets = packets_of(folder, KINDS[codec])
    given_packets = [packet for some in changes for packet in changed(packets, some)]
    for number, some in enumerate(junk):
        given_packets.insert(number * 7, b"\0\0\1" + some)
    printer.answers([(letter, packet) for packet in given_packets for letter in "PD"], codec)
