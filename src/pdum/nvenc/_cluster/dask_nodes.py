"""Schedulers and workers of Dask, as ``pdum-nvenc cluster`` and ``pdum-nvenc worker`` start them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from .._errors import ClusterFailed
from .._hosts import is_loopback
from .._text import count, error_text
from .._version import __version__
from . import dask_signals
from .address import host_of
from .assigned_engine import AssignedEngine
from .dask_client import reach
from .dask_settings import import_distributed, quiet, security_of, settings_of_a_scheduler
from .machine_engines import environment_of
from .order_runner import versions_differ

if TYPE_CHECKING:
    from .tls import Tls

VERSION_KEY = "pdum-nvenc"
RESOURCE = {"NVENC": 1}
SECONDS_BETWEEN_ATTEMPTS = 3.0
SECONDS_TO_LEAVE = 10.0
SECONDS_TO_ANSWER = 15.0
SECONDS_TO_REACH = 5.0
LOOPBACK_HOST = "127.0.0.1"

Say = Callable[[str], object]


@dataclass(frozen=True, kw_only=True)
class SchedulerSettings:
    host: str = LOOPBACK_HOST
    port: int = 8786
    tls: Tls | None = None
    dashboard: str | None = None
    """The address of Dask's own pages and of its figures for Prometheus; None: none."""


def run_scheduler(settings: SchedulerSettings, engines: Sequence[AssignedEngine], say: Say) -> int:
    """Runs until a signal ends it, with workers for these engines. Returns the number of the signal."""
    quiet()
    import_distributed()
    with settings_of_a_scheduler():
        return asyncio.run(_until_signalled(lambda ended: _scheduler(settings, engines, say, ended)))


def run_workers(address: str, tls: Tls | None, engines: Sequence[AssignedEngine], say: Say) -> int:
    """Likewise for the workers of this machine. They come back if the scheduler was started again."""
    quiet()
    import_distributed()
    with settings_of_a_scheduler():
        return asyncio.run(_until_signalled(lambda ended: _stay_in(address, tls, engines, say, ended)))


async def _until_signalled(serve: Callable[[asyncio.Event], Any]) -> int:
    ended, received = asyncio.Event(), [0]

    def take(number: int) -> None:
        received[0] = received[0] or number
        ended.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, take, number)
    await serve(ended)
    return received[0]


# ---- the scheduler -------------------------------------------------------------------------------------------------


async def _scheduler(
    settings: SchedulerSettings, engines: Sequence[AssignedEngine], say: Say, ended: asyncio.Event
) -> None:
    distributed = import_distributed()
    scheduler = distributed.Scheduler(
        host=settings.host, port=settings.port, protocol="tls" if settings.tls else "tcp",
        security=security_of(settings.tls), dashboard=settings.dashboard is not None,
        dashboard_address=settings.dashboard or f"{LOOPBACK_HOST}:0",
    )  # fmt: skip
    try:
        await scheduler
    except (OSError, ValueError, RuntimeError) as error:
        cause = error.__cause__ or error
        why = error_text(cause if isinstance(cause, Exception) else error)
        raise ClusterFailed(
            f"The scheduler cannot listen on {settings.host}:{settings.port}: {why.rstrip('.')}. "
            "Name another address with --listen."
        ) from None
    try:
        scheduler.set_metadata(keys=[VERSION_KEY], value=__version__)
        say(f"The scheduler is {scheduler.address}.")
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="pdum-nvenc-"))
            await _start_workers(stack, scheduler.address, settings.tls, engines, Path(folder))
            for engine in engines:
                say(f"  {engine.label}")
            await ended.wait()
    finally:
        await scheduler.close()


# ---- workers -------------------------------------------------------------------------------------------------------


async def _stay_in(
    address: str, tls: Tls | None, engines: Sequence[AssignedEngine], say: Say, ended: asyncio.Event
) -> None:
    told = ""
    hint = "Trying again. Does it have the same --tls file?" if tls else "Trying again. Does it need --tls?"
    while not ended.is_set():
        try:
            text = await asyncio.to_thread(_why_unreachable, address, tls)
            if not text:
                await require_same_version(address, tls)
                await _serve(address, tls, engines, say, ended)
        except (OSError, asyncio.TimeoutError) as error:
            text = f"The scheduler {address} does not let this machine in: {error_text(error)}. {hint}"
        if text and text != told:
            say(text)
        told = text
        await _sleep(ended, SECONDS_BETWEEN_ATTEMPTS)


def _why_unreachable(address: str, tls: Tls | None) -> str:
    """Dask itself tries again and again without a reason, also if nothing listens there."""
    try:
        reach(address, tls, SECONDS_TO_REACH)
    except OSError as error:
        why = error.strerror or str(error)
        return f"The scheduler {address} does not answer: {why}. Trying again until `pdum-nvenc cluster` runs there."
    except ClusterFailed:
        return ""  # what listens uses no TLS: the attempt to join says so
    return ""


async def _serve(
    address: str, tls: Tls | None, engines: Sequence[AssignedEngine], say: Say, ended: asyncio.Event
) -> None:
    """Until the scheduler is gone, or a signal comes."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="pdum-nvenc-"))
        nannies = await _start_workers(stack, address, tls, engines, Path(folder))
        say(f"{count(len(engines), 'engine')} of this machine joined {address}:")
        for engine in engines:
            say(f"  {engine.label}")
        finished = [asyncio.ensure_future(nanny.finished()) for nanny in nannies]
        signalled = asyncio.ensure_future(ended.wait())
        await asyncio.wait([signalled, *finished], return_when=asyncio.FIRST_COMPLETED)
        signalled.cancel()
        if not ended.is_set():
            say(f"The scheduler {address} has ended. Waiting until it is back.")


async def _start_workers(
    stack: AsyncExitStack, address: str, tls: Tls | None, engines: Sequence[AssignedEngine], folder: Path
) -> list[Any]:
    nannies = [_nanny(address, tls, engine, folder) for engine in engines]
    for nanny in nannies:
        stack.push_async_callback(nanny.close, timeout=SECONDS_TO_LEAVE)
    await asyncio.gather(*nannies)
    return nannies


def _nanny(address: str, tls: Tls | None, engine: AssignedEngine, folder: Path) -> Any:
    """Starts the worker again if it ends. Memory has no limit: a killed worker would only begin its piece again."""
    loopback = LOOPBACK_HOST if is_loopback(host_of(address)) else None
    return import_distributed().Nanny(
        address, nthreads=1, resources=dict(RESOURCE), memory_limit=0, host=loopback, env=environment_of(engine),
        security=security_of(tls), local_directory=str(folder), protocol="tls" if tls else "tcp",
        dashboard=False, dashboard_address=f"{LOOPBACK_HOST}:0", preload=[dask_signals.__name__],
    )  # fmt: skip


async def require_same_version(address: str, tls: Tls | None) -> None:
    """Refuses a scheduler that another version of this package has started. Others tell no version."""
    distributed = import_distributed()
    security = security_of(tls) or distributed.Security()
    connection = security.get_connection_args("worker")
    try:
        async with distributed.core.rpc(address, connection_args=connection) as scheduler:
            asked = scheduler.get_metadata(keys=[VERSION_KEY], default=None)
            theirs = await asyncio.wait_for(asked, SECONDS_TO_ANSWER)  # another program may listen there
    except (MemoryError, asyncio.TimeoutError):  # what it answers would be a very long message
        raise OSError("another program seems to listen there") from None
    except distributed.comm.core.FatalCommClosedError:
        raise ClusterFailed(
            f"The scheduler {address} does not accept the certificate of --tls, or shows another one. Copy the file "
            "that the scheduler was given with --tls. With certificates of your own, also check this machine's clock."
        ) from None
    if theirs not in (None, __version__):
        raise ClusterFailed(versions_differ(f"The scheduler {address}", theirs, __version__))


async def _sleep(ended: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(ended.wait(), seconds)
    except asyncio.TimeoutError:
        return
