"""Picture types that the caller chooses."""

from __future__ import annotations

from .._errors import InvalidConfig, UnsupportedFeature
from .settings import one_of

TYPES = {name: name for name in ("IDR", "I", "P", "B")}
MODES = {"auto": False, "manual": True}


def is_manual(picture_types: str) -> bool:
    return one_of("picture_types", picture_types, MODES)


def canonical(given: object, force_idr: bool, force_intra: bool) -> str | None:
    """The type in capitals. Raises InvalidConfig for an unknown type, or one that a flag contradicts."""
    if given is None:
        return None
    kind = next((name for name in TYPES if isinstance(given, str) and given.upper() == name), None)
    if kind is None:
        raise InvalidConfig(f"Expected {', '.join(TYPES)}, got type={given!r}.")
    for name, flag, own in (("force_idr", force_idr, "IDR"), ("force_intra", force_intra, "I")):
        if flag and kind != own:
            raise InvalidConfig(f"type={given!r} does not work with {name}=True, which makes it {own}. Leave one out.")
    return kind


def require_possible(kind: str | None, manual: bool) -> None:
    """Raises if the encoder cannot make this type on demand."""
    if kind == "B":
        raise UnsupportedFeature(
            "type='B' cannot be chosen by hand, because B-frames change the order of coding. Make the encoder with "
            "bframes=1 or more, and the driver places them."
        )
    if kind == "P" and not manual:
        raise InvalidConfig(
            "type='P' needs an encoder that was made with picture_types='manual'; others take IDR and I."
        )


def require_manual(reference: bool, manual: bool) -> None:
    """Raises if the driver decides by itself which pictures are references."""
    if not reference and not manual:
        raise InvalidConfig(
            "reference=False needs an encoder that was made with picture_types='manual'; in others, the driver decides "
            "which pictures are references."
        )


def require_no_other_use(reference: bool, mark_long_term: int | None, is_idr: bool) -> None:
    if reference:
        return
    if is_idr:
        raise InvalidConfig("reference=False does not work with an IDR, which later pictures refer to. Leave one out.")
    if mark_long_term is not None:
        raise InvalidConfig(
            f"reference=False does not work with mark_long_term={mark_long_term}, which keeps the picture for later "
            "ones. Leave one out."
        )
