"""Which pictures others refer to, as far as a caller can decide it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .._errors import InvalidConfig
from .settings import whole

MOST_LONG_TERM = 16
"""As many as H.264 and HEVC can hold. Cards have fewer."""

MOST_OF = {"h264": (7, 7, 16), "hevc": (7, 7, 16), "av1": (4, 3, 8)}
"""The longest lists, and the most pictures that are kept."""

EncoderConfig = Any  # a module above this one, which calls it


@dataclass(frozen=True, kw_only=True)
class References:
    """How many pictures each one may refer to, and how many are kept. None: the driver's choice.

    Args:
        l0: earlier pictures, 1 to 7 (AV1: 4).
        l1: later pictures, for B-frames, 1 to 7 (AV1: 3).
        dpb: pictures that are kept, 1 to 16 (AV1: 8).
    """

    l0: int | None = None
    l1: int | None = None
    dpb: int | None = None

    def __post_init__(self) -> None:
        self.native("h264", "")

    def native(self, codec: str, named: str) -> tuple[int, int, int]:
        """The three numbers, with 0 for None. ``named``: the codec in an error, if it matters."""
        l0, l1, dpb = (
            0 if value is None else whole(f"references.{name}", value, 1, most, named)
            for (name, value), most in zip(vars(self).items(), MOST_OF[codec], strict=True)
        )
        return l0, l1, dpb


def list_sizes(value: References | None, codec: str) -> tuple[int, int, int] | None:
    """Of a configuration's ``references``."""
    if value is None:
        return None
    if not isinstance(value, References):
        raise InvalidConfig(f"Expected References(l0=…, l1=…, dpb=…), got references={value!r}.")
    return value.native(codec, codec)


def contradictions(config: EncoderConfig, may_have_b_frames: bool) -> Iterator[str]:
    given: References | None = config.references
    if config.reference_frames == 1 and may_have_b_frames:
        yield _too_few_for_b_frames(config, "reference_frames=1")
    if given is None:
        return
    if given.dpb == 1 and may_have_b_frames:
        yield _too_few_for_b_frames(config, f"references={given}")
    if config.reference_frames is not None:
        yield (
            f"references={given} does not work with reference_frames={config.reference_frames}, which means "
            f"References(l0=1, dpb={config.reference_frames}). Give references alone."
        )
    if given.l1 is not None and config.bframes == 0:
        yield f"references={given} does not work with bframes=0: only B-frames refer to later pictures. Give bframes."
    if given.dpb is not None and max(given.l0 or 0, given.l1 or 0) > given.dpb:
        yield f"references={given} keeps fewer pictures than one may refer to. Give a larger dpb."
    if given.dpb is not None and config.long_term_references >= given.dpb:
        yield (
            f"references={given} does not work with long_term_references={config.long_term_references}, which are "
            f"among the pictures that are kept. Give dpb={config.long_term_references + 1} or more."
        )


def _too_few_for_b_frames(config: EncoderConfig, asked: str) -> str:
    return (
        f"{asked} does not work with bframes={config.bframes}: a B-frame lies between two pictures, which have to be "
        "kept. Keep 2 or more, or give bframes=0."
    )


def native(reference_frames: int | None, long_term_references: int, codec: str) -> dict[str, Any]:
    """Both numbers in the form that the native module takes."""
    most = MOST_OF[codec][-1]
    frames = None if reference_frames is None else whole("reference_frames", reference_frames, 1, most, codec)
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
