"""Which colours the numbers of a stream mean: ISO/IEC 23091-2 (H.273), by names or numbers."""

from __future__ import annotations

from dataclasses import dataclass

from .._errors import InvalidConfig

PRIMARIES = {
    "bt709": 1,
    "unspecified": 2,
    "bt470m": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "film": 8,
    "bt2020": 9,
    "smpte428": 10,
    "smpte431": 11,
    "smpte432": 12,
    "ebu3213": 22,
}

TRANSFERS = {
    "bt709": 1,
    "unspecified": 2,
    "gamma22": 4,
    "gamma28": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "linear": 8,
    "log": 9,
    "log_sqrt": 10,
    "iec61966-2-4": 11,
    "bt1361": 12,
    "srgb": 13,
    "bt2020-10": 14,
    "bt2020-12": 15,
    "pq": 16,
    "smpte2084": 16,
    "smpte428": 17,
    "hlg": 18,
    "arib-std-b67": 18,
}

MATRICES = {
    "gbr": 0,
    "bt709": 1,
    "unspecified": 2,
    "fcc": 4,
    "bt470bg": 5,
    "smpte170m": 6,
    "smpte240m": 7,
    "ycgco": 8,
    "bt2020nc": 9,
    "bt2020c": 10,
    "smpte2085": 11,
}

KNOWN = {
    "bt601": ("smpte170m", "smpte170m", "smpte170m"),
    "bt601-625": ("bt470bg", "gamma28", "bt470bg"),
    "bt709": ("bt709", "bt709", "bt709"),
    "srgb": ("bt709", "srgb", "bt709"),
    "bt2020": ("bt2020", "bt2020-10", "bt2020nc"),
    "hdr10": ("bt2020", "pq", "bt2020nc"),
    "hlg": ("bt2020", "hlg", "bt2020nc"),
    "unspecified": ("unspecified", "unspecified", "unspecified"),
}

ENGINES_OWN_MATRIX = "bt470bg"
"""The matrix with which the hardware converts RGB frames: BT.601, limited range, for any picture size."""


CONVERTED_BY = ("bt709", "bt470bg", "smpte170m", "bt2020nc")
"""The matrices that frames of format ``"rgb"`` are converted with: BT.709, BT.601 by both of its names, BT.2020."""


@dataclass(frozen=True, kw_only=True)
class Colour:
    """Primaries, transfer characteristics, matrix and range, as the stream signals them.

    Each of the three is a name (``"bt709"``, ``"pq"``, ``"bt2020nc"``, …) or its number in H.273.
    """

    primaries: str | int = "bt709"
    transfer: str | int = "bt709"
    matrix: str | int = "bt709"
    full_range: bool = False

    def __post_init__(self) -> None:
        self._numbers()

    @classmethod
    def named(cls, name: str, full_range: bool = False) -> Colour:
        """The colours of a whole system, one of ``KNOWN``: ``"bt601"``, ``"bt709"``, ``"srgb"``, ``"hdr10"``, …"""
        if name not in KNOWN:
            raise InvalidConfig(f"Expected a Colour or one of {', '.join(KNOWN)}, got colour={name!r}.")
        primaries, transfer, matrix = KNOWN[name]
        return cls(primaries=primaries, transfer=transfer, matrix=matrix, full_range=full_range)

    def native(self) -> tuple[int, int, int, bool]:
        """The form that the native module takes."""
        return (*self._numbers(), self.full_range)

    def _numbers(self) -> tuple[int, int, int]:
        return (
            _number("primaries", self.primaries, PRIMARIES),
            _number("transfer", self.transfer, TRANSFERS),
            _number("matrix", self.matrix, MATRICES),
        )


def convertible(colour: Colour) -> Colour:
    """The same colour. Raises InvalidConfig if RGB cannot be converted to it."""
    if colour.native()[2] not in [MATRICES[name] for name in CONVERTED_BY]:
        raise InvalidConfig(
            f"Expected one of {', '.join(CONVERTED_BY)} for format='rgb', got colour matrix={colour.matrix!r}."
        )
    return colour


def _number(what: str, value: str | int, names: dict[str, int]) -> int:
    if isinstance(value, str) and value in names:
        return names[value]
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255:
        return value
    raise InvalidConfig(f"Expected one of {', '.join(names)}, or a number of H.273, got colour {what}={value!r}.")
