"""Dask as a cluster: a pool's side of it. The workers' side is ``dask_worker``."""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .._errors import ClusterFailed, InvalidConfig
from .._text import error_text
from .._version import __version__
from . import dask_worker
from .dask_settings import LOOK_SECONDS, import_distributed, security_of, settings_of_a_client
from .order_runner import versions_differ
from .orders import Grant, Order, Outcome, Report
from .seam import Found, Joined, Left, News, OrderListener, Refused, RunningOrder, WorkerFacts

if TYPE_CHECKING:
    from .tls import Tls

MOST_SECONDS_TO_CONNECT = 10.0
SECONDS_TO_CLOSE = 5.0
OTHER_PROGRAM = "another program seems to listen there"


def connected(address: str, tls: Tls | None, timeout: float) -> DaskCluster:
    """Raises ClusterFailed if the scheduler does not answer in time, or refuses."""
    distributed = import_distributed()
    timeout = min(timeout, MOST_SECONDS_TO_CONNECT)
    _require_listening(address, tls, timeout)

    def connect() -> Any:
        return distributed.Client(
            address, security=security_of(tls), timeout=timeout, set_as_default=False, name="pdum-nvenc"
        )

    with settings_of_a_client():
        try:
            client = _made_within(2 * timeout, connect)
        except MemoryError:  # what it answers would be a very long message
            raise _does_not_answer(address, tls, OTHER_PROGRAM) from None
        except (OSError, ValueError, RuntimeError, asyncio.TimeoutError) as error:
            raise _does_not_answer(address, tls, error_text(error).rstrip(".")) from error
    return DaskCluster(client, owns=True)


def _does_not_answer(address: str, tls: Tls | None, why: str) -> ClusterFailed:
    secret = "that it uses the same --tls file" if tls else "that it uses no TLS (--tls FILE if it does)"
    return ClusterFailed(
        f"The cluster {address} does not answer: {why}. Check that `pdum-nvenc cluster` runs there, {secret}, and that "
        "no firewall is between."
    )


def _made_within(seconds: float, connect: Callable[[], Any]) -> Any:
    """Dask waits for ever for a program that answers something else, such as a web server."""
    made: list[Any] = []
    failed: list[BaseException] = []
    is_late = threading.Event()

    def work() -> None:
        try:
            made.append(connect())
        except BaseException as error:
            failed.append(error)
        if made and is_late.is_set():
            made[0].close(timeout=SECONDS_TO_CLOSE)

    thread = threading.Thread(target=work, name="pdum.nvenc connecting", daemon=True)
    thread.start()
    thread.join(seconds)
    is_late.set()
    if failed:
        raise failed[0]
    if not made:
        raise TimeoutError(OTHER_PROGRAM)
    return made[0]


def _require_listening(address: str, tls: Tls | None, timeout: float) -> None:
    """Dask tries again and again, also if there is no such machine, or if nothing listens there."""
    try:
        reach(address, tls, timeout)
    except OSError as error:
        raise ClusterFailed(
            f"The cluster {address} does not answer: {error.strerror or error}. Check that `pdum-nvenc cluster` runs "
            "there, that it listens for other machines (--listen), and that no firewall is between."
        ) from None


def reach(address: str, tls: Tls | None, timeout: float) -> None:
    """Connects once. An OSError says why that failed. A certificate that is refused is told later.

    A scheduler with TLS warns of connections that show no certificate.
    """
    host, _, port = address.partition("://")[2].rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout) as connection:
        if tls is not None:
            _require_tls(connection, address, tls)


def _require_tls(connection: socket.socket, address: str, tls: Tls) -> None:
    context = security_of(tls).get_connection_args("client")["ssl_context"]
    try:
        context.wrap_socket(connection).close()
    except ssl.SSLCertVerificationError:
        return  # Dask tells it in its own words
    except OSError:
        raise ClusterFailed(
            f"The program at {address} does not use TLS. Leave --tls out, or start the scheduler with it."
        ) from None


class DaskCluster:
    """A ``Cluster`` over a connection to a scheduler. ``owns``: closing the cluster closes the connection."""

    def __init__(self, client: Any, *, owns: bool) -> None:
        self._client, self._owns = client, owns
        self._tell: Callable[[News], object] = lambda _: None
        self._topic = f"pdum-nvenc-{os.urandom(9).hex()}"
        self._known: set[str] = set()
        self._asked: set[asyncio.Task[None]] = set()
        self._orders: dict[str, DaskOrder] = {}
        self._lock = threading.Lock()
        self._is_closed = threading.Event()
        self.subscribe()

    @property
    def address(self) -> str:
        scheduler = self._client.scheduler
        return str(scheduler.address) if scheduler is not None else "(closed)"

    def subscribe(self) -> None:
        """A scheduler that was started again does not know who listened to the one before."""
        self._client.subscribe_topic(self._topic, self._take_report)

    def watch(self, tell: Callable[[News], object]) -> None:
        self._tell = tell
        self._client.loop.add_callback(self._keep_looking)

    def close(self) -> None:
        self._is_closed.set()
        with suppress(ValueError, OSError):  # the connection may have ended
            self._client.unsubscribe_topic(self._topic)
        if self._owns:
            with suppress(TimeoutError):  # the scheduler has ended
                self._client.close(timeout=SECONDS_TO_CLOSE)

    # --- workers ---

    async def _keep_looking(self) -> None:
        while not self._is_closed.is_set():
            try:
                await self._look()
            except Exception:  # whatever it is, nobody answers
                self._all_left()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        there = set(await self._client.scheduler.ncores())
        for worker in self._known - there:
            self._leave(worker, "Its process has ended, or does not answer.")
        new = there - self._known
        self._known |= new
        if new:
            self.subscribe()
        for worker in new:
            self._tell(Found(worker=worker))
        for worker in new:
            asked = asyncio.ensure_future(self._ask(worker))
            self._asked.add(asked)
            asked.add_done_callback(self._asked.discard)

    def _all_left(self) -> None:
        for worker in list(self._known):
            self._leave(worker, "The connection to the scheduler was lost.")

    def _leave(self, worker: str, reason: str) -> None:
        self._known.discard(worker)
        self._tell(Left(worker=worker, reason=reason))

    async def _ask(self, worker: str) -> None:
        try:
            answers = await self._client.run(dask_worker.describe_worker, workers=[worker], on_error="return")
            news = _news(worker, answers.get(worker))
        except Exception as error:
            news = Refused(worker=worker, reason=f"The worker {worker} did not say what it is: {error}")
        if not self._is_closed.is_set():
            self._tell(news)

    # --- orders ---

    def start(self, worker: str, order: Order, listener: OrderListener) -> RunningOrder:
        running = DaskOrder(self, worker, order.number, listener)
        with self._lock:
            self._orders[order.number] = running
        running.begin(self._client, _packed(order), self._topic)
        return running

    def _take_report(self, event: tuple[float, Any]) -> None:
        number, values = event[1]
        running = self._orders.get(number)
        if running is not None:
            running.listener.report(Report(**values))

    def over(self, number: str) -> None:
        with self._lock:
            self._orders.pop(number, None)

    def send(
        self, worker: str, function: Callable[..., Any], *values: object, take: Callable[[Any], object] = lambda _: None
    ) -> None:
        """Calls the function in the worker, and ``take`` with its answer. What gets lost is asked for again."""

        async def deliver() -> None:
            try:
                answers = await self._client.run(function, *values, workers=[worker], on_error="ignore")
            except Exception:  # the worker has left
                return
            take(answers.get(worker))

        self._client.loop.add_callback(deliver)


class DaskOrder:
    """An order that runs as a task of Dask."""

    def __init__(self, cluster: DaskCluster, worker: str, number: str, listener: OrderListener) -> None:
        self._cluster, self._worker, self._number = cluster, worker, number
        self.listener = listener
        self._future: Any = None
        self._ending = threading.Lock()
        self._has_ended = False

    def begin(self, client: Any, order: bytes, topic: str) -> None:
        self._future = client.submit(
            dask_worker.encode, order, topic, key=f"pdum-nvenc-{self._number}", workers=[self._worker],
            allow_other_workers=False, pure=False, retries=0,
        )  # fmt: skip
        self._future.add_done_callback(self._ended)

    def grant(self, grant: Grant) -> None:
        self._cluster.send(self._worker, dask_worker.grant, self._number, grant.until, grant.is_final)

    def cancel(self) -> None:
        self._cluster.send(self._worker, dask_worker.cancel, self._number, take=self._cancelled)

    def _cancelled(self, has_not_begun: bool | None) -> None:
        if has_not_begun:
            self._end(Outcome())
            self._future.client.loop.add_callback(self._future.cancel)  # which is to be awaited in this thread

    def forget(self) -> None:
        self._cluster.subscribe()
        self._cluster.over(self._number)
        self._future.cancel()

    def _ended(self, future: Any) -> None:
        if future.cancelled():
            outcome = _failed(ClusterFailed("The cluster has cancelled the work."))
        else:
            try:
                outcome = pickle.loads(future.result())
            except Exception as error:
                outcome = _failed(ClusterFailed(f"The worker could not do its work: {error!r}"))
        self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        """A cancelled order may end twice: it has not begun, and then Dask drops its task. The first time counts."""
        with self._ending:
            is_first, self._has_ended = not self._has_ended, True
        if is_first:
            self._cluster.over(self._number)
            self.listener.ended(outcome)


def _failed(error: Exception) -> Outcome:
    return Outcome(error=error, by_engine=True)


def _packed(order: Order) -> bytes:
    import cloudpickle  # type: ignore[import-untyped]  # which Dask needs itself

    try:
        packed: bytes = cloudpickle.dumps(order)
    except Exception as error:
        raise InvalidConfig(
            f"{order.source} cannot be sent to other machines: {error}. Use a function that holds only plain values, "
            "and that opens files, GPUs and locks when it is called."
        ) from error
    return packed


def _news(worker: str, answer: Any) -> News:
    """What the answer of a worker means. Workers without this package answer with an error."""
    if not isinstance(answer, Mapping) or "version" not in answer:
        why = f": {answer}" if isinstance(answer, BaseException) else ""
        return Refused(
            worker=worker,
            reason=f"The worker {worker} is not used: it has no pdum-nvenc {__version__}, or no engine{why}. "
            f"Install pdum-nvenc[cluster]=={__version__} there.",
        )
    if answer["version"] != __version__:
        name = f"The worker {worker} on {answer.get('node', 'an unknown machine')}"
        return Refused(worker=worker, reason=versions_differ(name, answer["version"], __version__))
    own = {name: answer[name] for name in ("node", "kind", "gpu_id", "gpu_name", "number")}
    return Joined(facts=WorkerFacts(worker=worker, codecs=pickle.loads(answer["codecs"]), **own))
