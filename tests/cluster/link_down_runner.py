"""Two machines in network namespaces of their own, and a cable between them that is pulled out.

    unshare --net python link_down_runner.py FOLDER

This process is in the first namespace, with the scheduler and the worker "near". The worker "far" is in the second one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster.test_commands import running
from pdum.nvenc import EncoderPool, events

HERE, THERE = "10.99.0.1", "10.99.0.2"
SOFTWARE = ("--engine", "software", "-j", "1")


def ip(*arguments: str, of: int | None = None) -> None:
    inside = [] if of is None else ["nsenter", "--net", "--target", str(of)]
    subprocess.run([*inside, "ip", *arguments], check=True)


def connect(other: int) -> None:
    """A cable between this namespace and that of a process."""
    ip("link", "add", "here", "type", "veth", "peer", "name", "there", "netns", str(other))
    for device, address, of in (("here", HERE, None), ("there", THERE, other)):
        ip("addr", "add", f"{address}/24", "dev", device, of=of)
        for one in ("lo", device):
            ip("link", "set", one, "up", of=of)


def render(number: int, surface: Any) -> Any:
    import time as clock

    import numpy as np

    clock.sleep(0.03)
    return np.full((96, 192), number % 256, np.uint8)


def main(folder: Path) -> None:
    other = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    time.sleep(1)  # until it is in its own namespace
    try:
        connect(other.pid)
        with running("cluster", "--listen", f"{HERE}:0", cwd=folder) as scheduler:
            address = scheduler.wait_for(r"The scheduler is (tcp://\S+)\.")[1]
            far = ("nsenter", "--net", "--target", str(other.pid))
            with (
                running("worker", address, "--name", "near", *SOFTWARE, cwd=folder) as near,
                running("worker", address, "--name", "far", *SOFTWARE, cwd=folder, within=far) as distant,
            ):
                for worker in (near, distant):
                    worker.wait_for("1 engine of this machine joined")
                pull_the_cable(address)
    finally:
        other.kill()
        other.wait()


def pull_the_cable(address: str) -> None:
    import cloudpickle  # type: ignore[import-untyped]

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    told: list[events.Event] = []
    with EncoderPool(cluster=address, watchdog=4) as pool:
        task = pool.generated(render, 300, width=192, height=64)
        run = pool.start([task], on_event=told.append)
        while len({one.engine for one in told if isinstance(one, events.Progress) and one.frames}) < 2:
            assert not run.is_over, told
            time.sleep(0.05)
        ip("link", "set", "here", "down")
        run.wait().raise_for_errors()
    (lost,) = [one for one in told if isinstance(one, events.EngineLost)]
    names = {one.index: one.node for one in run.engines}
    print(f"lost: {names[lost.engine]}: {lost.reason}")
    print(f"frames: {task.n_frames}, bytes: {len(task.encoded)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
