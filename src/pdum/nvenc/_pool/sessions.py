"""Opens encoders for a pool's engines. If no session is left, says which processes have them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .._config.settings import codec_name
from .._encoders.nvenc import NvencEncoder
from .._errors import OutOfSessions
from .._profiling import profiled

if TYPE_CHECKING:
    from .._config.config import EncoderConfig
    from .._machine.devices import Device
    from .._tasks import VideoEncoder
    from ..events import EngineInfo

PIXELS_IN_FLIGHT = 24 * 1920 * 1080
FEWEST_IN_FLIGHT, MOST_IN_FLIGHT = 3, 32
SPLIT_CODECS = ("hevc", "av1")
"""Codecs of which one picture can be encoded by several engines."""


def for_engine(config: EncoderConfig, engine: EngineInfo, lanes: int = 1) -> EncoderConfig:
    """The configuration for that engine, whose GPU has so many lanes.

    As many frames are in flight as it takes for the engine never to wait for Python. Python may need more than ten
    milliseconds until it comes to a thread, on a busy processor, and an engine does a small picture in less than one.

    Lanes that share a GPU do not split pictures over its engines: each would take the engines of the others.
    """
    if engine.gpu_id is None:
        return config
    fitting = PIXELS_IN_FLIGHT // max(config.width * config.height, 1)
    delay = max(config.extra_output_delay, min(max(fitting, FEWEST_IN_FLIGHT), MOST_IN_FLIGHT))
    changes: dict[str, Any] = {"gpu_id": engine.gpu_id, "extra_output_delay": delay}
    if lanes > 1 and config.split_encode is None and codec_name(config.codec) in SPLIT_CODECS:
        changes["split_encode"] = "off"
    return config.replaced(**changes)


@profiled("pdum.pool.open")
def open_encoder(config: EncoderConfig, engine: EngineInfo, threads: int) -> VideoEncoder:
    """Opens an encoder with a configuration that ``for_engine`` made."""
    if engine.gpu_id is not None:
        return NvencEncoder(config)
    from .._encoders.software import SoftwareEncoder

    return SoftwareEncoder(config, threads=threads)


def out_of_sessions(answer: str, found: Iterable[Device] | None = None, waited: float | None = None) -> OutOfSessions:
    """An error that says who has all the sessions, as far as NVML knows."""
    from .._machine.devices import devices  # only hardware needs it

    sessions = [session for device in (devices() if found is None else found) for session in device.sessions or ()]
    holders = sorted({(session.pid, session.process or "?") for session in sessions})
    held = ", ".join(
        f"process {pid} ({name}) has {sum(session.pid == pid for session in sessions)}" for pid, name in holders
    )
    waiting = "" if waited is None else f"No encode session was free for {waited:.0f} s. "
    who = f" Sessions now: {held}." if held else " NVML does not tell who has them."
    return OutOfSessions(
        f"{waiting}{answer}{who}",
        advice="End one of these processes, or give the pool a longer session_timeout.",
    )
