"""How near a cluster comes to the ideal: 200 jobs with a heavy tail on 1, 2, 4 and 8 machines of 3 engines each.

    .venv/bin/python benchmarks/farm.py [--nodes 1,2,4,8] [--jobs 200] [--rate 100] [--quick] [--json FILE]

Real schedulers and workers of Dask on loopback, each worker with a simulated encoder of an exact rate, which sleeps
meanwhile: so a few cores are enough for many engines. The ideal is all frames divided by the rate of all engines. The
processor time is that of the pool and of Dask's scheduler together, which share a process here. Cancelling is the time
from the call of ``cancel`` until all engines are free, while all of them encode.
"""

from __future__ import annotations

import argparse
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from measuring import DRIVER, Figure, machine, quartiles, save

from pdum.nvenc import EncoderPool, events
from pdum.nvenc._cluster.assigned_engine import AssignedEngine
from pdum.nvenc._cluster.dask_settings import import_distributed, quiet, settings_of_a_scheduler

WIDTH, HEIGHT = 192, 64
ENGINES = 3
HOST = "127.0.0.1"
SHAPE, SHORTEST = 1.2, 20
"""Of the distribution of the jobs' lengths, in frames: most are short, and a few are as long as all others together."""
LONGEST = 4000
ENDLESS = 10_000_000
"""Frames of a video that is cancelled."""


def lengths(jobs: int) -> list[int]:
    dice = random.Random(18)
    return [min(LONGEST, int(SHORTEST * dice.paretovariate(SHAPE))) for _ in range(jobs)]


def render_grey() -> Any:
    """A function that is sent to the workers."""
    size = (HEIGHT * 3 // 2, WIDTH)

    def render(number: int, surface: Any) -> Any:  # noqa: ARG001
        import numpy as np

        return np.zeros(size, np.uint8)

    return render


def worker(node: int, engine: int, rate: float) -> dict[str, Any]:
    """``rate``: frames a second of the engine."""
    pixels = WIDTH * HEIGHT / (1920 * 1080)
    gpu = {"like": "L4", "name": "L4", "engines": 1, "fps_1080p": rate * pixels}
    assigned = AssignedEngine(
        node=f"node{node}", kind="nvenc", gpu_id=0, gpu_name="L4", number=engine, workers_on_gpu=ENGINES
    )
    config = {"gpus": [gpu], "backend": "null"}
    options = {
        "nthreads": 1, "memory_limit": 0, "host": HOST, "dashboard": False, "dashboard_address": f"{HOST}:0",
        "env": {**assigned.as_variable(), "NVSIM_CONFIG": json.dumps(config)},
    }  # fmt: skip
    return {"cls": import_distributed().Nanny, "options": options}


@contextmanager
def cluster_of(nodes: int, rate: float) -> Iterator[Any]:
    import dask

    distributed = import_distributed()
    scheduler = {
        "cls": distributed.Scheduler,
        "options": {"host": HOST, "port": 0, "dashboard": False, "dashboard_address": f"{HOST}:0"},
    }
    workers = {f"node{node}-{engine}": worker(node, engine, rate) for node in range(nodes) for engine in range(ENGINES)}
    driver = {"LD_LIBRARY_PATH": str(DRIVER / "full"), "OMP_NUM_THREADS": 1}
    own = dask.config.set({"distributed.nanny.pre-spawn-environ": driver})
    with (
        settings_of_a_scheduler(),
        own,
        distributed.SpecCluster(scheduler=scheduler, workers=workers) as cluster,
    ):
        yield cluster


def seconds_to_cancel(pool: EncoderPool, **video: Any) -> float:
    at_work = threading.Event()

    def look(event: events.Event) -> None:
        if isinstance(event, events.Progress) and event.frames:
            at_work.set()

    run = pool.start([pool.generated(render_grey(), ENDLESS, **video)], on_event=look)
    at_work.wait()
    began = time.monotonic()
    run.cancel()
    run.wait()
    return time.monotonic() - began


def measured(nodes: int, jobs: list[int], rate: float) -> tuple[float, float, float]:
    """Seconds until all jobs are done, seconds of processor time of this process, and seconds to cancel."""
    video: dict[str, Any] = {"width": WIDTH, "height": HEIGHT, "gop": 250}
    with cluster_of(nodes, rate) as cluster, cluster.get_client() as client:
        client.wait_for_workers(nodes * ENGINES)
        with EncoderPool(cluster=client) as pool:
            while len(pool.engines) < nodes * ENGINES:
                time.sleep(0.1)
            # Each worker opens its encoder once before the clock runs.
            pool.run([pool.generated(render_grey(), 2, segments=1, **video) for _ in pool.engines]).raise_for_errors()
            tasks = [pool.generated(render_grey(), frames, **video) for frames in jobs]
            began, cpu = time.monotonic(), time.process_time()
            pool.run(tasks).raise_for_errors()
            seconds, spent = time.monotonic() - began, time.process_time() - cpu
            return seconds, spent, seconds_to_cancel(pool, **video)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="1,2,4,8", help="numbers of machines")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--rate", type=float, default=100.0, help="frames a second of each engine")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a tenth of it")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    quiet()
    jobs = lengths(given.jobs // 10 if given.quick else given.jobs)
    print(f"{machine()}\n{len(jobs)} jobs of {min(jobs)} to {max(jobs)} frames, {sum(jobs)} together\n")
    print(
        "| machines | engines | seconds | ideal | seconds over ideal | processor time a job, ms | cancelling, s |\n"
        + "|---" * 7
        + "|"
    )
    figures = []
    for nodes in map(int, given.nodes.split(",")):
        rounds = [measured(nodes, jobs, given.rate) for _ in range(given.rounds)]
        ideal = sum(jobs) / (nodes * ENGINES * given.rate)
        over = [seconds / ideal for seconds, _, _ in rounds]
        cost = [cpu / len(jobs) * 1000 for _, cpu, _ in rounds]
        cancelling = [seconds for _, _, seconds in rounds]
        seconds, each = quartiles([one for one, _, _ in rounds])[1], quartiles(cost)[1]
        row = f"{nodes} × {ENGINES} engines"
        print(
            f"| {nodes} | {nodes * ENGINES} | {seconds:.1f} | {ideal:.1f} | {quartiles(over)[1]:.3f} | {each:.1f} "
            f"| {quartiles(cancelling)[1]:.2f} |",
            flush=True,
        )
        figures += [
            Figure(row, "of the ideal time", "×", over),
            Figure(row, "a job", "ms", cost),
            Figure(row, "cancelling", "s", cancelling),
        ]
    save(given.json, "farm", figures, "distributed")


if __name__ == "__main__":
    main()
