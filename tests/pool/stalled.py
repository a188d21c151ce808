"""Engines that never answer again, in a separate process, since a thread that waits for one cannot be ended.

Prints what became of it as JSON: which frames came out, by which engines, and which threads are left.
"""

from __future__ import annotations

import json
import sys
import threading

from pdum.nvenc import EncoderPool, NoEngineLeft
from pdum.nvenc.events import to_dict
from pool_tasks import Pictures, threads_of_pools

from simulator import Simulator


def main() -> None:
    engines, stalled, after = int(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
    simulator = Simulator()
    stall = [{"gpu": 0, "engine": engine, "after_frames": after} for engine in stalled]
    simulator.configure(gpus=[{"like": "L4", "name": "some", "engines": engines, "fps_1080p": 50}], stall=stall)
    tasks = [Pictures(300), Pictures(150, 1000, parts=2), Pictures(40, 2000)]
    pool = EncoderPool(watchdog=0.5)
    run = pool.start(tasks)
    told = [to_dict(event) for event in run]
    report = run.wait()
    good = [task for task, result in zip(tasks, report.results, strict=True) if not isinstance(result, Exception)]
    for task in good:
        task.check()
    again = Pictures(50)
    try:
        second = [type(result).__name__ for result in pool.run([again]).results]
    except NoEngineLeft as error:
        second = [str(error)]
    print(
        json.dumps(
            {
                "results": [type(result).__name__ for result in report.results],
                "messages": [str(result) for result in report.results if isinstance(result, Exception)],
                "lost": report.lost_engines,
                "events": [event for event in told if event["event"] not in ("progress", "run_progress")],
                "second": second,
                "threads": threads_of_pools(),
                "open": [task.sinks_open + task.sources_open for task in tasks],
            }
        ),
        flush=True,
    )
    assert threading.current_thread() is threading.main_thread()


if __name__ == "__main__":
    main()
