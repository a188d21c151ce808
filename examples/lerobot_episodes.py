"""Makes LeRobot encode the videos of its datasets with pdum.nvenc while they are recorded.

    pip install pdum-nvenc lerobot

    import lerobot_episodes
    lerobot_episodes.use(quality=75)
    dataset = LeRobotDataset.create(…, streaming_encoding=True)        # and go on as always

LeRobot's own encoder leaves frames out if it cannot keep up, so that pictures and actions no longer fit each other.
This one makes ``add_frame`` wait. It is tested with LeRobot 0.4.4, which brings an older PyAV than the extra ``files``
wants: the hardware needs none for MP4, and the processor works with it too.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
from lerobot.datasets import lerobot_dataset
from lerobot.datasets.compute_stats import RunningQuantileStats, auto_downsample_height_width

from pdum.nvenc import VideoWriter


class Camera:
    """The video of one camera in one episode, with the statistics that LeRobot keeps of its pictures."""

    def __init__(self, key: str, folder: Path, **settings: Any) -> None:
        self.path = Path(tempfile.mkdtemp(dir=folder)) / f"{key.replace('/', '_')}.mp4"
        self.video = VideoWriter(self.path, **settings)
        self.statistics, self.count = RunningQuantileStats(), 0

    def feed(self, image: Any) -> None:
        if image.dtype != numpy.uint8:
            image = (image * 255).astype(numpy.uint8)
        if image.shape[0] == 3:
            image = numpy.ascontiguousarray(image.transpose(1, 2, 0))
        self.video.write(image)
        small = auto_downsample_height_width(image.transpose(2, 0, 1))
        self.statistics.update(small.transpose(1, 2, 0).reshape(-1, 3))
        self.count += 1

    def finish(self) -> tuple[Path, dict[str, Any] | None]:
        self.video.close()
        return self.path, self.statistics.get_statistics() if self.count > 1 else None

    def cancel(self) -> None:
        self.video.abort()
        shutil.rmtree(self.path.parent, ignore_errors=True)


class EpisodeEncoder:
    """Stands in for LeRobot's ``StreamingVideoEncoder``, and has its methods. Settings are those of ``VideoWriter``.

    Training reads frames in any order, so every second frame is a key frame, as LeRobot has it.
    """

    settings: dict[str, Any] = {}  # noqa: RUF012  # set by ``use``

    def __init__(self, fps: int, **_: Any) -> None:
        self.fps = fps
        self._cameras: dict[str, Camera] = {}

    def start_episode(self, video_keys: Sequence[str], temp_dir: Path, depth_video_keys: Sequence[str] = ()) -> None:
        if depth_video_keys:
            raise NotImplementedError(f"Expected cameras of colour, got depth maps: {', '.join(depth_video_keys)}.")
        self.cancel_episode()
        settings = {"gop": 2, "fps": self.fps, **self.settings}
        self._cameras = {key: Camera(key, temp_dir, **settings) for key in video_keys}

    def feed_frame(self, video_key: str, image: Any) -> None:
        self._cameras[video_key].feed(image)

    def finish_episode(self) -> dict[str, tuple[Path, dict[str, Any] | None]]:
        cameras, self._cameras = self._cameras, {}
        return {key: camera.finish() for key, camera in cameras.items()}

    def cancel_episode(self) -> None:
        cameras, self._cameras = self._cameras, {}
        for camera in cameras.values():
            camera.cancel()

    close = cancel_episode


def use(**settings: Any) -> None:
    """From now on, datasets that are made with ``streaming_encoding=True`` are encoded here."""
    EpisodeEncoder.settings = settings
    lerobot_dataset.StreamingVideoEncoder = EpisodeEncoder
