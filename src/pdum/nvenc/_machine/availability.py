"""Whether this process can encode, and if not, why. The driver is asked once."""

from __future__ import annotations

from operator import index

from .. import _nvenc
from .._encoders.nvenc import forced_abi
from .._errors import NvencError, OutOfMemory, OutOfSessions

_reasons: dict[tuple[int, str | None], NvencError | None] = {}


def available(gpu_id: int = 0) -> bool:
    """Whether ``NvencEncoder`` can be used on this GPU. Never raises; asks the driver once and remembers the answer."""
    return unavailable_reason(gpu_id) is None


def unavailable_reason(gpu_id: int = 0) -> str | None:
    """Why ``available()`` is False, in a sentence that says what to do; None if it is True.

    A GPU with all sessions taken counts as available, since that passes. Making an encoder then raises OutOfSessions.
    """
    try:
        error = unavailable_error(gpu_id)
    except TypeError:
        return f"Expected the number of a GPU, got gpu_id={gpu_id!r}."
    return None if error is None else str(error)


def unavailable_error(gpu_id: int = 0) -> NvencError | None:
    """The error that making an encoder on this GPU would raise; None if there is none, or if it only has to wait."""
    key = (index(gpu_id), forced_abi())
    try:
        if key not in _reasons:
            _reasons[key] = _error(*key)
    except (OutOfSessions, OutOfMemory):
        return None
    return _reasons[key]


def _error(gpu_id: int, abi: str | None) -> NvencError | None:
    try:
        _nvenc.probe(gpu_id, abi)
    except (OutOfSessions, OutOfMemory):
        raise
    except NvencError as error:
        return error.with_traceback(None)
    return None
