"""Records episodes of a Gymnasium environment, in place of ``gymnasium.wrappers.RecordVideo``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium

from .._errors import InvalidConfig
from .._writer.writer import VideoWriter


class RecordVideo(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):  # type: ignore[misc]
    """Writes each picture to the file when it is rendered, so that memory does not grow with the episode.

    The parameters and the names of files are those of ``gymnasium.wrappers.RecordVideo``; further settings are those of
    ``VideoWriter``. Pictures may be tensors on a GPU, and stay there if it has an encoder. A video has its name once it
    is complete: after ``reset``, after ``video_length`` pictures, or after ``close``.
    """

    def __init__(
        self,
        env: Any,
        video_folder: str | Path,
        episode_trigger: Callable[[int], bool] | None = None,
        step_trigger: Callable[[int], bool] | None = None,
        video_length: int = 0,
        name_prefix: str = "rl-video",
        fps: float | None = None,
        **settings: Any,
    ) -> None:
        arguments = {name: value for name, value in locals().items() if name not in ("self", "env", "settings")}
        gymnasium.utils.RecordConstructorArgs.__init__(self, **arguments, **settings)
        gymnasium.Wrapper.__init__(self, env)
        if env.render_mode in (None, "human", "ansi") or env.render_mode.endswith("_list"):
            raise InvalidConfig(
                f"Expected an environment that renders one picture at a time, got render_mode={env.render_mode!r}. "
                'Make it with render_mode="rgb_array".'
            )
        self.episode_trigger = _rarer_and_rarer if episode_trigger is step_trigger is None else episode_trigger
        self.step_trigger = step_trigger
        self.video_length, self.name_prefix = video_length, name_prefix
        kept = {name: value for name, value in settings.items() if name not in ("disable_logger", "gc_trigger")}
        self.settings = {"fps": fps or env.metadata.get("render_fps") or 30, **kept}
        VideoWriter(None, **self.settings).abort()  # reports wrong settings now, not when a video begins
        self.video_folder = Path(video_folder).absolute()
        self.video_folder.mkdir(parents=True, exist_ok=True)
        self.episode_id = self.step_id = -1
        self._video: VideoWriter | None = None

    recording = property(lambda self: self._video is not None)

    def reset(self, **arguments: Any) -> Any:
        begun = self.env.reset(**arguments)
        self.episode_id += 1
        if not self.video_length:
            self.stop_recording()
        if self.episode_trigger and self.episode_trigger(self.episode_id):
            self.start_recording(f"{self.name_prefix}-episode-{self.episode_id}")
        self._capture()
        return begun

    def step(self, action: Any) -> Any:
        outcome = self.env.step(action)
        self.step_id += 1
        if self.step_trigger and self.step_trigger(self.step_id):
            self.start_recording(f"{self.name_prefix}-step-{self.step_id}")
        self._capture()
        return outcome

    def start_recording(self, video_name: str) -> None:
        """Begins a video, after ending one that is being recorded."""
        self.stop_recording()
        self._video = VideoWriter(self.video_folder / f"{video_name}.mp4", **self.settings)

    def _capture(self) -> None:
        if self._video is not None:
            self._video.write(self.env.render())
            if 0 < self.video_length <= self._video.frames:
                self.stop_recording()

    def stop_recording(self) -> None:
        """Ends the video that is being recorded, if any."""
        video, self._video = self._video, None
        if video is not None:
            video.close()

    def close(self) -> None:
        try:
            self.stop_recording()
        finally:
            super().close()


def _rarer_and_rarer(episode: int) -> bool:
    """0, 1, 8, 27, …, 729, then 1000, 2000, …"""
    return episode in {number**3 for number in range(10)} if episode < 1000 else episode % 1000 == 0
