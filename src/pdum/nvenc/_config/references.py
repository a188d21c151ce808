"""Which pictures others refer to, as far as a caller can decide it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._errors import InvalidConfig
from .settings import whole

MOST_FRAMES = 16
MOST_LONG_TERM = 16
"""As many as H.264 and HEVC can hold. Cards have fewer."""


def native(reference_frames: int | None, long_term_references: int) -> dict[str, Any]:
    """Both numbers in the form that the native module takes."""
    frames = None if reference_frames is None else whole("reference_frames", reference_frames, 1, MOST_FRAMES)
    return {
        "reference_frames": frames,
        "long_term_references": whole("long_term_references", long_term_references, most=MOST_LONG_TERM),
    }


def require_slots(mark: int | None, use: Sequence[int]) -> None:
    """Raises InvalidConfig for a number that no long-term reference can have."""
    if mark is not None:
        whole("mark_long_term", mark, most=MOST_LONG_TERM - 1)
    if not isinstance(use, (list, tuple)):
        raise InvalidConfig(f"Expected a list of numbers, got use_long_term={use!r}.")
    for slot in use:
        whole("use_long_term", slot, most=MOST_LONG_TERM - 1)


def native_slots(mark: int | None, use: Sequence[int], slots: int) -> tuple[int | None, int]:
    """The slot to mark and a bit for each one to use, of an encoder that has so many."""
    for name, given, numbers in (("mark_long_term", mark, [] if mark is None else [mark]), ("use_long_term", use, use)):
        if numbers and slots == 0:
            raise InvalidConfig(f"{name}={given!r} needs an encoder that was made with long_term_references=1 or more.")
        if any(slot >= slots for slot in numbers):
            raise InvalidConfig(
                f"Expected numbers from 0 to {slots - 1}, since the encoder has long_term_references={slots}, got "
                f"{name}={given!r}."
            )
    return mark, sum(1 << slot for slot in set(use))
