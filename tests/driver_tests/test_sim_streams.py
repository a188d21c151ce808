"""Streams of the simulated libcuda that run their work late: missing order shows, and requested order holds."""

from __future__ import annotations

import ctypes
import random
import threading
import time
from pathlib import Path

import pytest

from driver_tests import child
from driver_tests.cuda_client import (
    DISABLE_TIMING,
    NON_BLOCKING,
    NOT_READY,
    SUCCESS,
    Cuda,
    HostFunction,
)

ASYNC = {"async_streams": True}
SIZE = 10_000
OLD, NEW = bytes([1]) * SIZE, bytes([2]) * SIZE


class Bench:
    """A device buffer with old pixels, new ones in pinned memory, and two streams."""

    def __init__(self, flags: int = NON_BLOCKING) -> None:
        self.cuda = Cuda()
        self.context = self.cuda.get("cuCtxCreate_v2", 0, 0)
        self.frame = self.cuda.allocate(SIZE, OLD)
        self.source, self.target = self.cuda.pinned(SIZE), self.cuda.pinned(SIZE)
        self.source[:] = NEW
        self.producer = self.cuda.get("cuStreamCreate", flags)
        self.consumer = self.cuda.get("cuStreamCreate", flags)
        self.event = self.cuda.get("cuEventCreate", DISABLE_TIMING)

    def produce(self, stream: int) -> None:
        self.cuda.do("cuMemcpyHtoDAsync_v2", self.frame, ctypes.addressof(self.source), SIZE, stream)

    def consume(self, stream: int) -> bytes:
        """What `stream` reads from the frame, if only this stream is waited for."""
        self.cuda.do("cuMemcpyDtoHAsync_v2", ctypes.addressof(self.target), self.frame, SIZE, stream)
        self.cuda.do("cuStreamSynchronize", stream)
        return bytes(self.target)

    def end(self) -> None:
        self.cuda.do("cuCtxDestroy_v2", self.context)
        assert self.cuda.live() == {}
        assert not self.cuda.violations()


def two_streams(wait: bool) -> None:
    bench = Bench()
    for _ in range(20):
        bench.cuda.upload(OLD, bench.frame)
        bench.produce(bench.producer)
        bench.cuda.do("cuEventRecord", bench.event, bench.producer)
        if wait:
            bench.cuda.do("cuStreamWaitEvent", bench.consumer, bench.event, 0)
        assert bench.consume(bench.consumer) == (NEW if wait else OLD)
        bench.cuda.do("cuStreamSynchronize", bench.producer)
    bench.end()


@pytest.mark.sanitize
@pytest.mark.parametrize("wait", [True, False], ids=["with the event", "without it"])
def test_a_forgotten_event_reads_old_pixels(nvsim_dir: Path, wait: bool) -> None:
    child.check(nvsim_dir, two_streams, ASYNC, wait=wait)


def overwritten_too_early(wait: bool) -> None:
    """The producer may overwrite a frame only after the consumer's copy of it."""
    bench = Bench()
    bench.cuda.do("cuMemcpyDtoHAsync_v2", ctypes.addressof(bench.target), bench.frame, SIZE, bench.consumer)
    bench.cuda.do("cuEventRecord", bench.event, bench.consumer)
    if wait:
        bench.cuda.do("cuStreamWaitEvent", bench.producer, bench.event, 0)
    bench.produce(bench.producer)
    bench.cuda.do("cuStreamSynchronize", bench.producer)
    bench.cuda.do("cuStreamSynchronize", bench.consumer)
    assert bytes(bench.target) == (OLD if wait else NEW)
    bench.end()


@pytest.mark.sanitize
@pytest.mark.parametrize("wait", [True, False], ids=["with the event", "without it"])
def test_a_frame_overwritten_too_early(nvsim_dir: Path, wait: bool) -> None:
    child.check(nvsim_dir, overwritten_too_early, ASYNC, wait=wait)


def default_stream_order(flags: int, producer_is_default: bool, default: int) -> None:
    bench = Bench(flags)
    other = bench.cuda.get("cuStreamCreate", flags)
    streams = (default, other) if producer_is_default else (other, default)
    bench.produce(streams[0])
    ordered = flags == 0 and default != 2
    assert bench.consume(streams[1]) == (NEW if ordered else OLD)
    bench.end()


@pytest.mark.parametrize("default", [0, 1, 2])
@pytest.mark.parametrize("producer_is_default", [True, False])
@pytest.mark.parametrize("flags", [0, NON_BLOCKING], ids=["blocking", "non-blocking"])
def test_the_default_stream_joins_blocking_streams(
    nvsim_dir: Path, flags: int, producer_is_default: bool, default: int
) -> None:
    arguments = {"flags": flags, "producer_is_default": producer_is_default, "default": default}
    child.check(nvsim_dir, default_stream_order, ASYNC, **arguments)


def synchronous_calls() -> None:
    bench = Bench(0)
    bench.produce(bench.producer)
    assert bench.cuda.download(bench.frame, SIZE) == NEW, "a call without Async is in the default stream's order"
    bench.cuda.upload(OLD, bench.frame)
    assert bench.consume(bench.producer) == OLD
    bench.end()


def test_synchronous_copies_wait_for_blocking_streams(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, synchronous_calls, ASYNC)


def host_memory() -> None:
    bench = Bench()
    pageable = ctypes.create_string_buffer(NEW, SIZE)
    bench.cuda.do("cuMemcpyHtoDAsync_v2", bench.frame, pageable, SIZE, bench.producer)
    ctypes.memset(pageable, 9, SIZE)
    assert bench.consume(bench.producer) == NEW, "pageable memory is read before the call returns"
    bench.produce(bench.producer)
    ctypes.memset(bench.source, 7, SIZE)
    assert bench.consume(bench.producer) == bytes([7]) * SIZE, "pinned memory is read later"
    ctypes.memset(bench.source, 8, SIZE)
    bench.produce(bench.producer)
    bench.cuda.do("cuMemcpyDtoHAsync_v2", pageable, bench.frame, SIZE, bench.producer)
    assert pageable.raw == bytes([8]) * SIZE, "a copy into pageable memory is done on return"
    bench.end()


@pytest.mark.sanitize
def test_pageable_and_pinned_memory_are_read_at_different_times(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, host_memory, ASYNC)


def registered_memory() -> None:
    bench = Bench()
    registered = ctypes.create_string_buffer(NEW, SIZE)
    bench.cuda.do("cuMemHostRegister_v2", registered, SIZE, 0)
    bench.cuda.do("cuMemcpyHtoDAsync_v2", bench.frame, registered, SIZE, bench.producer)
    ctypes.memset(registered, 9, SIZE)
    assert bench.consume(bench.producer) == bytes([9]) * SIZE
    bench.cuda.do("cuMemHostUnregister", registered)
    bench.end()


def test_registered_memory_is_read_late_too(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, registered_memory, ASYNC)


def progress() -> None:
    bench = Bench()
    assert bench.cuda.cuStreamQuery(bench.producer) == SUCCESS
    bench.produce(bench.producer)
    bench.cuda.do("cuEventRecord", bench.event, bench.producer)
    assert bench.cuda.cuEventQuery(bench.event) == NOT_READY
    while bench.cuda.cuEventQuery(bench.event) == NOT_READY:
        time.sleep(0.001)
    assert bench.cuda.download(bench.frame, SIZE) == NEW
    bench.produce(bench.producer)
    bench.cuda.do("cuEventRecord", bench.event, bench.producer)
    bench.cuda.do("cuEventSynchronize", bench.event)
    assert bench.cuda.cuEventQuery(bench.event) == SUCCESS
    bench.produce(bench.producer)
    assert bench.cuda.cuStreamQuery(bench.producer) == NOT_READY
    while bench.cuda.cuStreamQuery(bench.producer) == NOT_READY:
        time.sleep(0.001)
    unasked: list[int] = []
    function = HostFunction(lambda data: unasked.append(data or 0))
    bench.cuda.do("cuLaunchHostFunc", bench.producer, function, 5)
    while not unasked:
        time.sleep(0.001)
    fresh = bench.cuda.get("cuEventCreate", 0)
    assert bench.cuda.cuEventQuery(fresh) == SUCCESS, "never recorded"
    bench.cuda.do("cuStreamWaitEvent", bench.consumer, fresh, 0)
    bench.end()


def test_work_without_a_waiter_gets_done(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, progress, ASYNC)


def waits_are_for_the_last_record_before_them() -> None:
    bench = Bench()
    bench.produce(bench.producer)
    bench.cuda.do("cuEventRecord", bench.event, bench.producer)
    bench.cuda.do("cuStreamWaitEvent", bench.consumer, bench.event, 0)
    blocked, release = threading.Event(), threading.Event()

    def hold(_: int | None) -> None:
        blocked.set()
        release.wait(60)

    function = HostFunction(hold)
    bench.cuda.do("cuLaunchHostFunc", bench.producer, function, 0)
    bench.cuda.do("cuEventRecord", bench.event, bench.producer)
    assert bench.consume(bench.consumer) == NEW, "the wait does not see the later record"
    assert blocked.wait(60)
    assert bench.cuda.cuEventQuery(bench.event) == NOT_READY
    release.set()
    bench.cuda.do("cuEventSynchronize", bench.event)
    bench.end()


@pytest.mark.sanitize
def test_a_wait_is_for_what_was_recorded_before_it(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, waits_are_for_the_last_record_before_them, ASYNC)


def a_slow_producer() -> None:
    """A host function stands for a slow kernel."""
    bench = Bench()
    order: list[str] = []

    def slow(_: int | None) -> None:
        time.sleep(0.05)
        order.append("kernel")

    function = HostFunction(slow)
    bench.cuda.do("cuLaunchHostFunc", bench.producer, function, 0)
    bench.produce(bench.producer)
    bench.cuda.do("cuEventRecord", bench.event, bench.producer)
    bench.cuda.do("cuStreamWaitEvent", bench.consumer, bench.event, 0)
    order.append("host")
    assert bench.consume(bench.consumer) == NEW
    assert order == ["host", "kernel"]
    bench.end()


def test_host_functions_delay_only_their_stream(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, a_slow_producer, ASYNC)


def ends() -> None:
    bench = Bench()
    done: list[int] = []
    function = HostFunction(lambda data: done.append(data or 0))
    bench.produce(bench.producer)
    bench.cuda.do("cuLaunchHostFunc", bench.producer, function, 1)
    bench.cuda.do("cuMemFree_v2", bench.frame)
    assert done == [1], "memory is given back after the work that may use it"
    bench.cuda.do("cuLaunchHostFunc", bench.consumer, function, 2)
    bench.cuda.do("cuStreamDestroy_v2", bench.consumer)
    bench.cuda.do("cuLaunchHostFunc", bench.producer, function, 3)
    bench.cuda.do("cuCtxSynchronize")
    while 2 not in done:
        time.sleep(0.001)
    assert sorted(done) == [1, 2, 3], "a destroyed stream still does its work"
    memory = bench.cuda.get("cuMemAllocAsync", 100, bench.producer)
    bench.cuda.do("cuMemsetD8Async", memory, 1, 100, bench.producer)
    bench.cuda.do("cuMemFreeAsync", memory, bench.producer)
    bench.cuda.do("cuLaunchHostFunc", bench.producer, function, 4)
    bench.cuda.do("cuCtxDestroy_v2", bench.context)
    assert done[-1] == 4
    assert bench.cuda.live() == {}
    assert not bench.cuda.violations()


@pytest.mark.sanitize
def test_work_is_done_before_what_it_needs_goes(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, ends, ASYNC)


def random_graph(seed: int) -> None:
    """Many streams write and copy buffers. Every step waits for its dependencies, so a simple model is right."""
    choose = random.Random(seed)
    cuda = Cuda()
    with cuda.context():
        streams = [0, 2] + [cuda.get("cuStreamCreate", choose.choice((0, NON_BLOCKING))) for _ in range(5)]
        buffers = [cuda.allocate(64, bytes(64)) for _ in range(6)]
        model = [bytes(64) for _ in buffers]
        last_use: list[list[int]] = [[] for _ in buffers]  # events of the uses since and with the last write
        for _ in range(250):
            stream = choose.choice(streams)
            target, source = choose.sample(range(len(buffers)), 2)
            for event in last_use[target] + last_use[source][:1]:
                cuda.do("cuStreamWaitEvent", stream, event, 0)
            event = cuda.get("cuEventCreate", DISABLE_TIMING)
            if choose.random() < 0.5:
                cuda.do("cuMemcpyDtoDAsync_v2", buffers[target], buffers[source], 64, stream)
                model[target] = model[source]
                last_use[source].append(event)
            else:
                value = choose.randrange(256)
                cuda.do("cuMemsetD8Async", buffers[target], value, 64, stream)
                model[target] = bytes([value]) * 64
            cuda.do("cuEventRecord", event, stream)
            last_use[target] = [event]
            if choose.random() < 0.05:
                cuda.do("cuStreamSynchronize", choose.choice(streams))
        cuda.do("cuCtxSynchronize")
        assert [cuda.download(buffer, 64) for buffer in buffers] == model
        assert not cuda.violations()


@pytest.mark.sanitize
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("config", [ASYNC, None], ids=["late", "at once"])
def test_ordered_work_gives_what_a_plain_model_gives(
    nvsim_dir: Path, seed: int, config: dict[str, bool] | None
) -> None:
    child.check(nvsim_dir, random_graph, config, seed=seed)


def many_threads() -> None:
    cuda = Cuda()
    context = cuda.get("cuDevicePrimaryCtxRetain", 0)
    failures: list[BaseException] = []

    def work(index: int) -> None:
        try:
            cuda.do("cuCtxPushCurrent_v2", context)
            for turn in range(10):
                first, second = (cuda.get("cuStreamCreate", NON_BLOCKING) for _ in range(2))
                event = cuda.get("cuEventCreate", 0)
                value = (index * 10 + turn) % 256
                memory = cuda.allocate(SIZE)
                cuda.do("cuMemsetD8Async", memory, value, SIZE, first)
                cuda.do("cuEventRecord", event, first)
                cuda.do("cuStreamWaitEvent", second, event, 0)
                target = ctypes.create_string_buffer(SIZE)
                cuda.do("cuMemcpyDtoHAsync_v2", target, memory, SIZE, second)
                assert target.raw == bytes([value]) * SIZE
                cuda.do("cuMemFree_v2", memory)
                cuda.do("cuEventDestroy_v2", event)
                cuda.do("cuStreamDestroy_v2", first)
                cuda.do("cuStreamDestroy_v2", second)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert cuda.live() == {"primary_retains": 1}


def test_many_threads_with_streams_of_their_own(nvsim_dir: Path) -> None:
    child.check(nvsim_dir, many_threads, ASYNC)
