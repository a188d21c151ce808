"""What a decoder reads of H.264's headers to find frames that are missing, in any legal form of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import h264_coded
from decoder.references_printer import Printer

pytestmark = pytest.mark.one_abi


@st.composite
def h264_streams(draw: st.DrawFn) -> h264_coded.Stream:
    chroma = draw(st.sampled_from([None, 0, 1, 3]))
    return h264_coded.Stream(
        number_bits=draw(st.sampled_from([4, 5, 16])),
        order_kind=draw(st.integers(0, 2)),
        order_is_fixed=draw(st.booleans()),
        may_lack_frames=draw(st.sampled_from([False, False, True])),
        has_frames_only=draw(st.booleans()),
        chroma=chroma,
        has_planes_apart=chroma == 3 and draw(st.booleans()),
        has_lists=draw(st.booleans()),
        has_bottom_order=draw(st.booleans()),
        references=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        has_weights=draw(st.booleans()),
        weights_of_both=draw(st.integers(0, 2)),
        has_redundant_slices=draw(st.booleans()),
    )


@st.composite
def numbered(draw: st.DrawFn, stream: h264_coded.Stream) -> list[h264_coded.Picture]:
    """Numbers grow by one behind each frame that others may refer to. Two fields of a frame have the same."""
    period, last, pictures = 1 << stream.number_bits, 0, []
    for at in range(draw(st.integers(2, 24))):
        is_idr = at == 0 or draw(st.integers(0, 9)) == 0
        is_reference = is_idr or draw(st.booleans())
        number = 0 if is_idr else (last + 1) % period
        is_field = not stream.has_frames_only and draw(st.booleans())
        restarts = is_reference and not is_idr and not is_field and draw(st.integers(0, 5)) == 0
        for is_bottom in [False, True] if is_field else [False]:
            kinds = [h264_coded.I] if is_idr and not is_bottom else [h264_coded.P, h264_coded.B, h264_coded.I]
            pictures.append(
                h264_coded.Picture(
                    number=number,
                    is_idr=is_idr and not is_bottom,
                    is_reference=is_reference,
                    slices=tuple(draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3))),
                    restarts=restarts,
                    is_field=is_field,
                    is_bottom=is_bottom,
                    changes_lists=draw(st.booleans()),
                    own_counts=draw(st.sampled_from([None, (1, 1), (4, 2)])),
                )
            )
        last = (0 if restarts else number) if is_reference else last
    return pictures


def outlooks(stream: h264_coded.Stream, pictures: list[h264_coded.Picture], lost: set[int]) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    losses, is_missing = 0, False
    for at, picture in enumerate(pictures):
        if at in lost:
            is_missing = is_missing or picture.is_reference
            continue
        losses += is_missing and not picture.is_idr and not stream.may_lack_frames
        is_missing = False
        is_intra = set(picture.slices) == {h264_coded.I}
        found.append((int(losses > 0 and not is_intra), losses, int(picture.is_idr)))
    return found


@settings(max_examples=150)
@given(stream=h264_streams(), data=st.data())
def test_what_follows_a_missing_frame_of_h264(printer: Printer, stream: h264_coded.Stream, data: st.DataObject) -> None:
    pictures = data.draw(numbered(stream))
    lost = {
        at
        for at, one in enumerate(pictures)
        if at and not (one.is_idr or one.is_field or one.restarts) and data.draw(st.integers(0, 5)) == 0
    }
    records = [("P", h264_coded.sequence_set(stream) + h264_coded.picture_set(stream))]
    for at, picture in enumerate(pictures):
        if at not in lost:
            records += [("P", h264_coded.coded(stream, picture)), ("D", b"")]
    assert printer.answers(records, "h264") == outlooks(stream, pictures, lost)


def test_messages_say_where_all_is_right_again(printer: Printer) -> None:
    stream = h264_coded.Stream()
    headers = h264_coded.sequence_set(stream) + h264_coded.picture_set(stream)
    key = h264_coded.coded(stream, h264_coded.Picture(number=0, is_idr=True, slices=(h264_coded.I,)))
    frames = [h264_coded.coded(stream, h264_coded.Picture(number=number % 16)) for number in range(24)]
    packets = [headers + key, *frames[1:3], *frames[12:14], h264_coded.recovery_point(3) + frames[14], *frames[15:20]]
    records = [(letter, packet) for packet in packets for letter in "PD"]
    healed = [heals for _, _, heals in printer.answers(records, "h264")]
    assert healed == [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    behind_a_gap = [packets[5], frames[17], *frames[18:23]]  # the message says nothing of what is lost behind it
    records = [(letter, packet) for packet in (*packets[:3], *behind_a_gap) for letter in "PD"]
    assert not any(heals for _, _, heals in printer.answers(records, "h264")[1:])
