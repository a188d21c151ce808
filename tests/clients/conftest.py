from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from client_run import Bench
from loud import missing, need_program
from simulator import environment


@pytest.fixture
def bench(tmp_path: Path, nvsim_dir: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory, nvsim_dir: Path) -> dict[str, str]:
    """A registry of our own: one made without a driver would say forever that there are no such elements."""
    inspect = need_program("gst-inspect-1.0", "gstreamer1.0-tools")
    env = {"GST_REGISTRY": str(tmp_path_factory.mktemp("gst") / "registry.bin"), "GST_REGISTRY_FORK": "no"}
    for element, package in (("nvh264enc", "bad"), ("rawvideoparse", "bad"), ("h264parse", "bad")):
        done = subprocess.run(
            [inspect, element], env=environment(backend="codec") | env, capture_output=True, text=True, timeout=120
        )
        if done.returncode != 0:
            missing(f"GStreamer's {element}", f"apt-get install gstreamer1.0-plugins-{package}")
    return env
