"""The recorder of environments, with the real Gymnasium: alone, and compared with the wrapper that it replaces."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coloured import HEIGHT, STEP, WIDTH, codec, on_gpu, picture, rate, shown
from frames import gpu
from pdum.nvenc import InvalidConfig

from loud import need_module
from simulator import Simulator

pytestmark = [pytest.mark.one_abi, pytest.mark.usefixtures("card")]


COLOURS = 12


def environment(length: int = 5, render_mode: str | None = "rgb_array") -> Any:
    """Episodes of this length. Frames show how many resets and steps there were before, modulo ``COLOURS``."""
    gymnasium: Any = need_module("gymnasium")

    class Coloured(gymnasium.Env):  # type: ignore[misc]
        metadata = {"render_modes": ["rgb_array", "rgb_array_list", "ansi"], "render_fps": 12}  # noqa: RUF012
        observation_space = action_space = gymnasium.spaces.Discrete(2)

        def __init__(self) -> None:
            self.render_mode, self.steps, self.moment = render_mode, 0, -1

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            super().reset(seed=seed)
            self.steps = 0
            self.moment += 1
            return 0, {}

        def step(self, action: Any) -> Any:
            self.steps += 1
            self.moment += 1
            return 0, 1.0, self.steps == length, False, {}

        def render(self) -> Any:
            return picture(self.moment % COLOURS)

    return Coloured()


def recorder(env: Any, folder: Path, **arguments: Any) -> Any:
    from pdum.nvenc.integrations.gymnasium import RecordVideo

    return RecordVideo(env, folder, **arguments)


def play(env: Any, episodes: int) -> None:
    for _ in range(episodes):
        env.reset()
        is_over = False
        while not is_over:
            _, _, is_over, _, _ = env.step(0)
    env.close()


def test_an_episode_becomes_a_file(tmp_path: Path) -> None:
    play(recorder(environment(), tmp_path / "videos", codec="hevc", name_prefix="try"), episodes=1)
    video = tmp_path / "videos" / "try-episode-0.mp4"
    assert [*(tmp_path / "videos").iterdir()] == [video]
    assert (shown(video), rate(video), codec(video)) == ([0, 1, 2, 3, 4, 5], 12, "hevc")


def test_a_file_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    env = recorder(environment(), tmp_path, episode_trigger=lambda _: True)
    env.reset()
    env.step(0)
    assert env.recording
    assert not list(tmp_path.glob("rl-*.mp4"))
    env.reset()
    assert [path.name for path in tmp_path.glob("rl-*.mp4")] == ["rl-video-episode-0.mp4"]
    env.close()
    assert not env.recording
    assert len(list(tmp_path.iterdir())) == 2


@contextmanager
def without_moviepy() -> Iterator[None]:
    """Gymnasium believes that it is there."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("moviepy", "moviepy.video", "moviepy.video.io", "moviepy.video.io.ImageSequenceClip"):
            patch.setitem(sys.modules, name, ModuleType(name))
        sys.modules[name].ImageSequenceClip = None  # type: ignore[attr-defined]
        yield


def their_videos(play_it: Callable[[Any], None], length: int, **arguments: Any) -> dict[str, list[int]]:
    """What Gymnasium's own wrapper would have given moviepy to write."""
    wrappers: Any = need_module("gymnasium").wrappers
    found: dict[str, list[int]] = {}

    class Theirs(wrappers.RecordVideo):  # type: ignore[misc]
        _video_name: str

        def stop_recording(self) -> None:
            found[self._video_name] = [(int(frame[0, 0, 2]) - 20) // STEP for frame in self.recorded_frames]
            self.recorded_frames: list[Any] = []
            self.recording, self._video_name = False, ""

    with without_moviepy(), pytest.warns(UserWarning, match="Overwriting existing videos"):
        env = Theirs(environment(length), ".", **arguments)
    play_it(env)
    most = arguments["video_length"] or None  # theirs writes one more
    return {f"{name}.mp4": numbers[:most] for name, numbers in found.items()}


@settings(max_examples=12)
@given(
    length=st.integers(1, 6),
    episodes=st.integers(1, 10),
    video_length=st.sampled_from([0, 0, 3, 7]),
    triggers=st.sampled_from([(None, None), (2, None), (None, 4), (1, 5), (3, 3)]),
)
def test_it_records_what_the_replaced_wrapper_does(
    length: int,
    episodes: int,
    video_length: int,
    triggers: tuple[int | None, int | None],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    by_episode, by_step = [every and (lambda number, every=every: number % every == 0) for every in triggers]
    arguments = {"episode_trigger": by_episode, "step_trigger": by_step, "video_length": video_length}
    theirs = their_videos(lambda env: play(env, episodes), length, **arguments)
    folder = tmp_path_factory.mktemp("videos")
    env = recorder(environment(length), folder, **arguments)
    play(env, episodes)
    assert {path.name: shown(path) for path in folder.iterdir()} == theirs


def test_episodes_are_recorded_as_rarely(tmp_path: Path) -> None:
    with without_moviepy():
        from gymnasium.utils.save_video import capped_cubic_video_schedule
    env = recorder(environment(), tmp_path)
    assert [n for n in range(5000) if env.episode_trigger(n)] == [
        n for n in range(5000) if capped_cubic_video_schedule(n)
    ]


@pytest.mark.parametrize("mode", [None, "ansi", "rgb_array_list"])
def test_an_environment_that_renders_no_pictures_is_refused(mode: str | None, tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=f"got render_mode={mode!r}. Make it with"):
        recorder(environment(render_mode=mode), tmp_path / "videos")
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_are_told_before_the_first_video(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="Unknown codec 'vp8'"):
        recorder(environment(), tmp_path / "videos", codec="vp8")
    with pytest.raises(TypeError, match="Did you mean 'quality'"):
        recorder(environment(), tmp_path / "videos", qality=70)
    assert list(tmp_path.iterdir()) == []


def test_calls_for_the_replaced_wrapper_need_no_change(tmp_path: Path) -> None:
    env = recorder(environment(), tmp_path, disable_logger=True, gc_trigger=lambda _: True, fps=7)
    play(env, episodes=1)
    assert rate(tmp_path / "rl-video-episode-0.mp4") == 7
    assert env.get_wrapper_attr("episode_id") == 0


def test_frames_are_let_go_while_the_episode_runs(tmp_path: Path) -> None:
    """Memory is bounded by the queue, however long the episode is."""
    env = recorder(environment(length=300), tmp_path, queue_frames=4)
    alive: list[int] = []
    rendered: list[weakref.ref[Any]] = []
    render = env.env.render

    def counted() -> Any:
        frame = render()
        rendered.append(weakref.ref(frame))
        alive.append(sum(one() is not None for one in rendered))
        return frame

    env.env.render = counted
    play(env, episodes=1)
    assert len(alive) == 301
    assert max(alive) < 20


def test_tensors_on_a_gpu_never_come_to_the_host(card: Simulator, tmp_path: Path) -> None:
    """With a fourth channel, since the simulated GPU runs no kernels."""
    env = recorder(environment(), tmp_path, format="abgr")
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    with gpu() as device:
        env.env.render = lambda: on_gpu(device, np.dstack([picture(env.env.moment), alpha]))
        play(env, episodes=1)
        copies = [name for name in card.calls("cuda") if "DtoH" in name]
    assert shown(tmp_path / "rl-video-episode-0.mp4") == [0, 1, 2, 3, 4, 5]
    assert copies == []
