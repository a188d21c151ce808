"""Finds a pool's engines: the hardware encoders that the GPUs report, or shares of the processor."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._config.settings import one_of, whole
from .._encoders.notices import software_notice
from .._encoders.opening import BACKENDS
from .._errors import InvalidConfig, NoEncoder
from .._machine.availability import unavailable_error, unavailable_reason
from .._media.decoder_places import chip_limit
from ..events import EngineInfo
from .sessions import out_of_sessions

if TYPE_CHECKING:
    from .._machine.devices import Device

ENGINES_VARIABLE = "PDUM_NVENC_ENGINES"
POLL = 0.1  # seconds
MOST_SOFTWARE_LANES = 8
"""A pool has one for every two cores, up to this many, because each takes memory."""


@dataclass(frozen=True, kw_only=True)
class Engines:
    """The engines of a pool."""

    lanes: tuple[EngineInfo, ...]
    cores: int = 0
    """Cores that the software encoders share."""
    notices: tuple[str, ...] = ()
    """Notices for the user."""


def find_engines(
    gpus: str | int | Iterable[int], engines: str | int | Sequence[int], backend: str, session_timeout: float
) -> Engines:
    """The engines of these GPUs: at most as many as the caller wants, spread over the GPUs.

    It takes a session to ask how many there are. If other programs have all sessions, this waits for one.

    Raises:
        NoEncoder: hardware was asked for, and there is none; the message says why of each GPU.
        OutOfSessions: others kept all sessions for longer than the time-out.
        InvalidConfig: an argument is wrong.
    """
    one_of("backend", backend, {name: name for name in BACKENDS})
    limits = [_limit("engines", engines), _limit(ENGINES_VARIABLE, os.environ.get(ENGINES_VARIABLE) or "auto")]
    if backend == "software":
        return _software(limits)
    chip_limit(0)  # raises now if nobody can read it, and not in each job
    wanted = _wanted(gpus)
    found = _found(wanted, time.monotonic() + session_timeout)
    lanes = _hardware(found, limits)
    if lanes:
        return Engines(lanes=lanes)
    if backend == "nvenc" or wanted is not None:
        raise NoEncoder(f'{_why_none(found, wanted)} backend="software" encodes on the processor.')
    return _software(limits, (software_notice(unavailable_error(found[0].gpu_id if found else 0)),))


def _found(wanted: set[int] | None, deadline: float) -> list[Device]:
    from .._machine.devices import devices  # only hardware needs it

    while True:
        found = [device for device in devices() if wanted is None or device.gpu_id in wanted]
        busy = [device for device in found if not device.can_encode and unavailable_reason(device.gpu_id) is None]
        if not busy or (any(device.can_encode for device in found) and time.monotonic() > deadline):
            return found
        if time.monotonic() > deadline:
            raise out_of_sessions(busy[0].reason or "", found)
        time.sleep(POLL)


def _hardware(found: Sequence[Device], limits: Sequence[list[int] | int | None]) -> tuple[EngineInfo, ...]:
    """One lane for each hardware encoder. The first encoder of each GPU comes first, so that a limit keeps all GPUs."""
    counts = {
        device.gpu_id: min([max(device.encoder_engines or 1, 1), *_of_gpu(limits, place)])
        for place, device in enumerate(found)
        if device.can_encode
    }
    names = {device.gpu_id: device.name for device in found}
    places = sorted((number, gpu_id) for gpu_id, count in counts.items() for number in range(count))
    most = min([len(places), *_in_all(limits)])
    return tuple(
        EngineInfo(index=index, kind="nvenc", gpu_id=gpu_id, gpu_name=names[gpu_id], number=number)
        for index, (number, gpu_id) in enumerate(places[:most])
    )


def _software(limits: Sequence[list[int] | int | None], notices: tuple[str, ...] = ()) -> Engines:
    cores = len(os.sched_getaffinity(0))
    asked = _in_all(limits)
    lanes = min([cores, MOST_SOFTWARE_LANES, *(asked or [max(min(cores, 2), cores // 2)])])
    return Engines(
        lanes=tuple(EngineInfo(index=index, kind="software", number=index) for index in range(lanes)),
        cores=cores,
        notices=notices,
    )


def _limit(name: str, given: str | int | Sequence[int]) -> list[int] | int | None:
    """A number for all, a list of one for each GPU, or None: as many as there are."""
    if given == "auto":
        return None
    if isinstance(given, str):
        try:
            numbers = [int(part) for part in given.split(",")]
        except ValueError:
            raise InvalidConfig(
                f'Expected "auto", a number, or one for each GPU, as in "2,3", got {name}={given!r}.'
            ) from None
        return _limit(name, numbers if len(numbers) > 1 else numbers[0])
    if isinstance(given, Sequence):
        return [whole(name, number) for number in given]
    return whole(name, given, least=1)


def _of_gpu(limits: Sequence[list[int] | int | None], place: int) -> list[int]:
    return [limit[place] for limit in limits if isinstance(limit, list) and place < len(limit)]


def _in_all(limits: Sequence[list[int] | int | None]) -> list[int]:
    return [limit for limit in limits if isinstance(limit, int)]


def _wanted(gpus: str | int | Iterable[int]) -> set[int] | None:
    if isinstance(gpus, str):
        one_of("gpus", gpus, {"all": "all"})
        return None
    return {whole("gpus", gpu) for gpu in ([gpus] if isinstance(gpus, int) else gpus)}


def _why_none(found: Sequence[Device], wanted: set[int] | None) -> str:
    missing = sorted((wanted or set()) - {device.gpu_id for device in found})
    reasons = [f"GPU {device.gpu_id} ({device.name}): {device.reason}" for device in found if device.reason]
    reasons += [f"There is no GPU {gpu}." for gpu in missing]
    return " ".join(reasons) or _no_gpu()


def _no_gpu() -> str:
    return unavailable_reason() or "No engine is left: the settings or PDUM_NVENC_ENGINES allow none."
