"""examples/lerobot_episodes.py with the real LeRobot: a recorded dataset is read back by LeRobot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from peer_packages import ROOT, installed, run

pytestmark = [pytest.mark.slow, pytest.mark.one_abi, pytest.mark.timeout(1800)]

RECORD = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy, lerobot_episodes
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from coloured import picture

keys = ["observation.images.left", "observation.images.right"]
action = {"dtype": "float32", "shape": (2,), "names": ["forth", "back"]}
camera = {"dtype": "video", "shape": (96, 160, 3), "names": ["height", "width", "channels"]}
lerobot_episodes.use(quality=90)
made = LeRobotDataset.create(
    "nobody/coloured", fps=10, root=sys.argv[2], streaming_encoding=True,
    features={**{key: camera for key in keys}, "action": action},
)
for episode in range(2):
    for number in range(6):
        pictures = [picture(number), picture(11 - number)]
        made.add_frame({**dict(zip(keys, pictures)), "action": numpy.float32([number, -number]), "task": "look"})
    if episode == 1:
        made.clear_episode_buffer()  # throws the episode away
        for number in range(4):
            pictures = [picture(number), picture(11 - number)]
            made.add_frame({**dict(zip(keys, pictures)), "action": numpy.float32([number, -number]), "task": "look"})
    made.save_episode()
made.finalize()

read = LeRobotDataset("nobody/coloured", root=sys.argv[2], video_backend="pyav")
numbers = [[round((float(row[key][2].mean()) * 255 - 20) / 20) for key in keys] for row in read]
shades = [float(numpy.squeeze(read.meta.stats[key]["mean"])[2]) * 255 for key in keys]
print(json.dumps({"numbers": numbers, "actions": [int(row["action"][0]) for row in read], "shades": shades}))
"""


@pytest.fixture(scope="module")
def packages() -> Path:
    return installed("lerobot[dataset]>=0.4.4")


def test_a_recorded_dataset_shows_each_frame_at_its_place(packages: Path, tmp_path: Path) -> None:
    printed = run(packages, "-c", RECORD, ROOT / "examples", tmp_path / "dataset")
    told = json.loads(printed.splitlines()[-1])
    expected = [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    assert told["actions"] == expected
    assert told["numbers"] == [[number, 11 - number] for number in expected]
    shades = [20 + 20 * np.mean(numbers) for numbers in (expected, [11 - number for number in expected])]
    assert told["shades"] == pytest.approx(shades, abs=1)
    left_over = [path for path in (tmp_path / "dataset").rglob("*") if path.suffix == ".png" or "tmp" in path.name]
    assert left_over == []
