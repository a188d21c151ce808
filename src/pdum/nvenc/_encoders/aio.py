"""Encoding with asyncio: each encoder has a thread that waits for the engine. It starts at the first use.

Packets are handed over in two steps: the thread puts them on a shelf, and each call that ends takes all that
is there up to its own. So an await that was cancelled loses nothing, and what it would have got comes with the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING, Any
from weakref import ref

from .._errors import EncoderClosed, InvalidFrame

if TYPE_CHECKING:
    from .._nvenc import Packet
    from .attempts import Attempts

LEGACY_STREAM, PER_THREAD_STREAM = 1, 2
DLPACK_CUDA, DLPACK_CUDA_MANAGED = 2, 13


class Worker:
    """Runs the calls of one encoder one after the other, in its own thread."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._shelf: deque[tuple[int, list[Packet]]] = deque()
        self._lock = Lock()
        self._next_number = 0
        self._is_ended = False
        self._thread = Thread(target=_serve, args=(self._calls, ref(self)), name="pdum.nvenc", daemon=True)
        self._thread.start()

    async def run(self, encode: Callable[[], list[Packet]]) -> list[Packet]:
        """The packets of the call, after those that cancelled calls left behind."""
        call = self._begun(encode)
        await call.done
        return self._take(call.number)

    async def do(self, work: Callable[[], object]) -> None:
        """Runs what gives no packets. Those that cancelled calls left behind stay there."""
        await self._begun(_without_packets(work)).done

    async def begin(self, begin: Callable[[], Attempts | None]) -> Attempts | None:
        """What ``begin`` returns. A caller that is cancelled does not get it, so it is closed behind that call."""
        begun: list[Attempts | None] = []

        def close() -> None:
            if begun and begun[0] is not None:
                begun[0]._close()

        try:
            await self.do(lambda: begun.append(begin()))
        except asyncio.CancelledError:
            with suppress(EncoderClosed):
                self._begun(_without_packets(close)).done.cancel()
            raise
        return begun[0]

    def _begun(self, encode: Callable[[], list[Packet]]) -> _Call:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._is_ended:
                raise EncoderClosed("The encoder is closed. Make a new one.")
            call = _Call(self._next_number, encode, loop, loop.create_future())
            self._next_number += 1
            self._calls.put(call)
        return call

    def end(self) -> None:
        """Finishes the running call, fails those that have not begun, and waits for the thread."""
        with self._lock:
            self._is_ended = True
            self._calls.put(None)
        if self._thread is not current_thread():
            self._thread.join()

    def keep(self, number: int, packets: list[Packet]) -> None:
        """Keeps the packets of a cancelled call for the next one."""
        with self._lock:
            self._shelf.append((number, packets))

    @property
    def is_ended(self) -> bool:
        return self._is_ended

    def _take(self, number: int) -> list[Packet]:
        taken: list[Packet] = []
        with self._lock:
            while self._shelf and self._shelf[0][0] <= number:
                taken += self._shelf.popleft()[1]
        return taken

    def __del__(self) -> None:
        self._calls.put(None)


class _Call:
    """One call, and the future that waits for it in the event loop."""

    def __init__(
        self,
        number: int,
        encode: Callable[[], list[Packet]],
        loop: asyncio.AbstractEventLoop,
        done: asyncio.Future[None],
    ) -> None:
        self.number = number
        self.done = done
        self._encode = encode
        self._loop = loop

    def serve(self, worker: Worker | None) -> None:
        """Runs the call in the thread and gives the result to the event loop."""
        error: BaseException | None = None
        try:
            if worker is None or worker.is_ended:
                raise EncoderClosed("The encoder was closed before this frame's turn came.")
            worker.keep(self.number, self._encode())
        except BaseException as raised:
            error = raised
        try:
            self._loop.call_soon_threadsafe(self._finish, error)
        except RuntimeError:  # the event loop is closed, so no caller waits for the result
            return
        finally:
            error = None  # its traceback would keep this call and its frame alive

    def _finish(self, error: BaseException | None) -> None:
        if not self.done.cancelled():
            self.done.set_exception(error) if error is not None else self.done.set_result(None)
        elif error is not None and not isinstance(error, EncoderClosed):
            told = {"message": "A cancelled call of an encoder failed", "exception": error, "future": self.done}
            self._loop.call_exception_handler(told)


def _serve(calls: SimpleQueue[_Call | None], worker: ref[Worker]) -> None:
    """Runs in the thread. It refers to the worker only during a call, so that an abandoned encoder can be collected."""
    while (call := calls.get()) is not None:
        call.serve(worker())
        del call


def _without_packets(work: Callable[[], object]) -> Callable[[], list[Packet]]:
    def call() -> list[Packet]:
        work()
        return []

    return call


def join(packets: list[Packet]) -> bytes:
    """Joins access units. A single one is not copied."""
    return b"".join([packet.data for packet in packets])


def stream_here(frame: Any, stream: Any) -> Any:
    """The CUDA stream on which the calling thread makes the frame, or both of a pair, for the thread that reads it.

    What is "current" to CuPy or PyTorch is another stream in each thread. Call it in the caller's.
    """
    if stream is not None:
        return stream
    try:
        told = _stream_of_views(frame) if isinstance(frame, (tuple, list)) else _told_stream(frame)
    except InvalidFrame:
        raise
    except Exception:  # reading the frame later raises the right error
        return None
    if told == PER_THREAD_STREAM:
        raise InvalidFrame(
            "The frame is made on its thread's own default stream, which no other thread can name. "
            "Make it on a stream that has a handle."
        )
    return told


def _stream_of_views(views: Sequence[Any]) -> Any:
    told = {_told_stream(view) for view in views} - {None}
    if len(told) > 1:
        raise InvalidFrame(
            "The views of a pair are made on different streams, and another thread reads both. Make them on one "
            "stream, or let one wait for the other and give stream=…."
        )
    return told.pop() if told else None


def _told_stream(frame: Any) -> Any:
    interface = getattr(frame, "__cuda_array_interface__", None)
    if not isinstance(interface, dict):
        return _dlpack_stream(frame)
    return interface["stream"] if "stream" in interface else _torch_stream(frame)


def _torch_stream(frame: Any) -> Any:
    """PyTorch's current stream, since its array interface has none; None for others, which mean the default stream."""
    if not hasattr(type(frame), "__torch_function__"):
        return None
    from importlib import import_module

    return import_module("torch.cuda").current_stream(frame.device)


def _dlpack_stream(frame: Any) -> Any:
    """With DLPack, the producer orders its work before the stream that is named; here that is the default stream."""
    device = getattr(frame, "__dlpack_device__", None)
    if device is None or device()[0] not in (DLPACK_CUDA, DLPACK_CUDA_MANAGED):
        return None
    frame.__dlpack__(stream=LEGACY_STREAM)
    return LEGACY_STREAM


async def each_of(frames: Any) -> AsyncIterator[Any]:
    """Iterates over frames, whether the iterable is asynchronous or not."""
    if hasattr(frames, "__aiter__"):
        async for frame in frames:
            yield frame
    else:
        for frame in frames:
            yield frame
