"""What travels with one picture: SEI messages, AV1 metadata, time codes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._errors import InvalidConfig, UnsupportedFeature
from . import choices, film_grain, interlacing, motion_hints
from .film_grain import FilmGrain
from .picture_type import canonical, require_manual, require_no_other_use, require_possible
from .references import native_slots, require_slots
from .regions import Region, map_of, require_one_map
from .settings import whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

SEI_USER_DATA_REGISTERED = 4
SEI_USER_DATA_UNREGISTERED = 5
SEI_TIME_CODE = 136

METADATA_ITUT_T35 = 4
METADATA_TIMECODE = 5

ATSC_CAPTIONS = bytes((0xB5, 0x00, 0x31)) + b"GA94" + bytes((0x03,))
"""ITU-T T.35: United States, ATSC; then ATSC A/53's identifier and its type for caption data."""

LARGEST_CAPTION_COUNT = 31


@dataclass(frozen=True)
class Sei:
    """A supplemental enhancement information message of H.264 or HEVC: the payload's type and its bytes."""

    type: int
    payload: bytes

    def __post_init__(self) -> None:
        whole("Sei type", self.type, most=0xFFFF)
        object.__setattr__(self, "payload", _bytes("Sei", self.payload))

    @classmethod
    def user_data(cls, uuid: UUID | str, data: bytes) -> Sei:
        """Unregistered user data: any bytes, under a UUID that says who defined them."""
        from uuid import UUID

        try:
            identifier = uuid if isinstance(uuid, UUID) else UUID(uuid)
        except (ValueError, AttributeError, TypeError) as error:
            raise InvalidConfig(f"Expected 32 hexadecimal digits or a UUID, got uuid={uuid!r}.") from error
        return cls(SEI_USER_DATA_UNREGISTERED, identifier.bytes + _bytes("user_data", data))

    @classmethod
    def captions(cls, cc_data: bytes) -> Sei:
        """Closed captions (CEA-608 and CEA-708) as ATSC A/53 carries them: ``cc_data`` is triplets of bytes."""
        return cls(SEI_USER_DATA_REGISTERED, _a53(cc_data))


@dataclass(frozen=True)
class Metadata:
    """A metadata OBU of AV1: the metadata's type, and its bytes without the type and the trailing bits."""

    type: int
    payload: bytes

    def __post_init__(self) -> None:
        whole("Metadata type", self.type)
        object.__setattr__(self, "payload", _bytes("Metadata", self.payload))

    @classmethod
    def captions(cls, cc_data: bytes) -> Metadata:
        """Closed captions as ITU-T T.35 metadata."""
        return cls(METADATA_ITUT_T35, _a53(cc_data))


@dataclass(frozen=True)
class TimeCode:
    """An SMPTE time code: hours, minutes, seconds, frames."""

    hours: int
    minutes: int
    seconds: int
    frames: int
    drop_frame: bool = False

    def __post_init__(self) -> None:
        for name, most in (("hours", 23), ("minutes", 59), ("seconds", 59), ("frames", 255)):
            whole(f"time_code {name}", getattr(self, name), most=most)
        if not isinstance(self.drop_frame, bool):
            raise InvalidConfig(f"Expected True or False, got time_code drop_frame={self.drop_frame!r}.")

    def native(self) -> tuple[int, int, int, int, bool]:
        return self.hours, self.minutes, self.seconds, self.frames, self.drop_frame

    def metadata(self) -> Metadata:
        """AV1's metadata_timecode."""
        return Metadata(METADATA_TIMECODE, _packed(self._clock()))

    def sei(self) -> Sei:
        """HEVC's time code message. The one that the driver can write has no room for drop-frame counting."""
        one_timestamp, is_there, counts_fields = (1, 2), (1, 1), (0, 1)
        stop_bit = (1, 1)
        return Sei(SEI_TIME_CODE, _packed((one_timestamp, is_there, counts_fields, *self._clock(), stop_bit)))

    def _clock(self) -> tuple[tuple[int, int], ...]:
        """Numbers and their widths in bits, which HEVC and AV1 share."""
        counting_type = 4 if self.drop_frame else 0
        return (
            (counting_type, 5),
            (1, 1),  # with seconds, minutes and hours
            (0, 1),  # discontinuity
            (int(self.drop_frame), 1),
            (self.frames, 9),
            (self.seconds, 6),
            (self.minutes, 6),
            (self.hours, 5),
            (0, 5),  # length of a time offset
        )


@dataclass(frozen=True, kw_only=True)
class PictureOptions:
    """Options of one picture: ``encoder.submit(frame, seq, picture=PictureOptions(…))``.

    Args:
        force_idr: makes it a picture from which decoding can start.
        force_intra: makes it refer to no other picture, although later pictures may refer to earlier ones.
        sei: messages of H.264 and HEVC.
        metadata: metadata OBUs of AV1.
        time_code: of an encoder made with ``time_code=True``.
        type: ``"IDR"`` and ``"I"`` do the same as the two flags. With ``picture_types="manual"``, ``"P"``
            postpones an IDR that is due. The first picture of a stream is always an IDR.
        reference: False: no later picture refers to it, so that a receiver may drop it. With
            ``picture_types="manual"``; an IDR is always a reference.
        mark_long_term: keeps the picture as the long-term reference of that number, instead of the old one. An IDR
            drops all of them.
        use_long_term: the numbers of the long-term references that the picture may refer to. It refers to no others.
        structure: ``"frame"``: a whole picture in an interlaced stream; ``"top"``, ``"bottom"``: two fields, of which
            this is the first, as ``interlaced`` says for all others.
        film_grain: the grain from this picture on, of an encoder that was made with ``film_grain`` (AV1).
        regions, qp_map, emphasis_map: which parts get more bits, for an encoder that was made with ``qp_map``. A map is
            an array of one-byte integers on the host or on the GPU, one for each block of 16x16 pixels
            (H.264), 32x32 (HEVC) or 64x64 (AV1). You may change it when the call has returned.
        motion_hints: where blocks may come from in the picture before, for an encoder that was made with
            ``motion_hints``: an array of whole numbers on the host, with x and y in pixels for each of those blocks,
            or for n hints of each. -32768 in both places: no hint. ``MotionEstimator.hints`` makes such arrays.
    """

    force_idr: bool = False
    force_intra: bool = False
    sei: Sequence[Sei] = field(default=())
    metadata: Sequence[Metadata] = field(default=())
    time_code: TimeCode | None = None
    regions: Sequence[Region] = field(default=())
    qp_map: Any = None
    emphasis_map: Any = None
    type: choices.PictureType | None = None
    reference: bool = True
    mark_long_term: int | None = None
    use_long_term: Sequence[int] = field(default=())
    film_grain: FilmGrain | int | None = None
    structure: choices.PictureStructure | None = None
    motion_hints: Any = None

    def __post_init__(self) -> None:
        kinds: tuple[tuple[str, Any], ...] = (
            ("force_idr", bool),
            ("force_intra", bool),
            ("reference", bool),
        )
        lists: tuple[tuple[str, Any], ...] = (("sei", Sei), ("metadata", Metadata))
        for name, kind in kinds:
            if not isinstance(getattr(self, name), kind):
                raise InvalidConfig(f"Expected True or False, got {name}={getattr(self, name)!r}.")
        for name, kind in lists:
            given = getattr(self, name)
            if not isinstance(given, (list, tuple)) or not all(isinstance(one, kind) for one in given):
                raise InvalidConfig(f"Expected a list of {kind.__name__}, got {name}={given!r}.")
        if self.time_code is not None and not isinstance(self.time_code, TimeCode):
            raise InvalidConfig(f"Expected a TimeCode, got time_code={self.time_code!r}.")
        object.__setattr__(self, "film_grain", film_grain.described(self.film_grain))
        require_one_map(self)
        require_slots(self.mark_long_term, self.use_long_term)
        object.__setattr__(self, "structure", interlacing.structure(self.structure))
        object.__setattr__(self, "type", canonical(self.type, self.force_idr, self.force_intra))
        require_no_other_use(self.reference, self.mark_long_term, self._flags()[0])

    def _structure(self, is_interlaced: bool) -> str | None:
        return interlacing.require_fields(self.structure, is_interlaced)

    def _film_grain(self, codec: str, has_grain: bool) -> tuple[Any, ...] | None:
        return film_grain.native_of_picture(self.film_grain, codec, has_grain)

    def _native_hints(self, codec: str, width: int, height: int, most: int) -> bytes | None:
        return motion_hints.native(self.motion_hints, codec, width, height, most)

    def _native_map(self, codec: str, mode: str | None) -> tuple[str, Any] | None:
        return map_of(self, codec, mode)

    def _references(self, slots: int, manual_types: bool) -> tuple[int | None, int, bool, bool]:
        require_possible(self.type, manual_types)
        require_manual(self.reference, manual_types)
        return *native_slots(self.mark_long_term, self.use_long_term, slots), self.type == "P", self.reference

    def _flags(self) -> tuple[bool, bool]:
        """Whether it is forced to be an IDR, and an I-picture."""
        return self.force_idr or self.type == "IDR", self.force_intra or self.type == "I"

    def _native(
        self, codec: str, time_codes: bool
    ) -> tuple[bool, bool, list[tuple[int, bytes]], tuple[int, int, int, int, bool] | None]:
        if codec == "av1":
            return *self._flags(), self._obus(), None
        if self.metadata:
            raise UnsupportedFeature(f"metadata does not work with codec={codec!r}: only AV1 has such OBUs. Use sei.")
        if self.time_code is not None and not time_codes:
            raise InvalidConfig(
                f"{self.time_code} needs an encoder that was made with time_code=True; "
                "other encoders ignore time codes."
            )
        messages = [(message.type, message.payload) for message in self.sei]
        if codec == "hevc" and self.time_code:
            message = self.time_code.sei()
            return *self._flags(), [*messages, (message.type, message.payload)], None
        return *self._flags(), messages, self.time_code.native() if self.time_code else None

    def _obus(self) -> list[tuple[int, bytes]]:
        if self.sei:
            raise UnsupportedFeature("sei does not work with codec='av1', which has none. Use metadata.")
        metadata = [*self.metadata, *([self.time_code.metadata()] if self.time_code else [])]
        return [(one.type, one.payload) for one in metadata]


def _packed(fields: Sequence[tuple[int, int]]) -> bytes:
    """The numbers, each in so many bits, with zeros up to the end of the last byte."""
    value = total = 0
    for number, width in fields:
        value, total = value << width | number, total + width
    padding = -total % 8
    return (value << padding).to_bytes((total + padding) // 8, "big")


def _bytes(what: str, given: bytes) -> bytes:
    try:
        return memoryview(given).tobytes()  # bytes(5) would be five zeros
    except TypeError as error:
        raise InvalidConfig(f"Expected bytes as the payload of {what}, got {given!r}.") from error


def _a53(cc_data: bytes) -> bytes:
    cc_data = _bytes("captions", cc_data)
    if not cc_data or len(cc_data) % 3 or len(cc_data) > 3 * LARGEST_CAPTION_COUNT:
        raise InvalidConfig(f"Expected 1 to 31 triplets of captions, got {len(cc_data)} bytes.")
    flags = 0x40 | len(cc_data) // 3  # process_cc_data_flag and the count
    return ATSC_CAPTIONS + bytes((flags, 0xFF)) + bytes(cc_data) + b"\xff"
