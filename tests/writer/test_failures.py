"""What happens when something goes wrong: nothing hangs, nothing is half written, and the error says what to do."""

from __future__ import annotations

import gc
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from frames import nv12
from pdum.nvenc import DeviceLost, EncoderClosed, EncoderFailed, FolderMissing, NvencError, VideoWriter
from pdum.nvenc._encoders.software import SoftwareEncoder
from pdum.nvenc._mp4.repair import repair
from pdum.nvenc._writer import packet_thread
from pdum.nvenc._writer.frame_encoder import OneEngine
from video_frames import FAST, HARDWARE_HEIGHT, HARDWARE_WIDTH, hidden_files, look, noise, rgb, write_until_it_raises

from simulator import Simulator

pytestmark = pytest.mark.one_abi


def write_and_raise(video: VideoWriter, error: BaseException) -> None:
    with video:
        for number in range(5):
            video.write(rgb(number))
        raise error


# Exceptions in the caller's loop


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.h264"])
def test_an_exception_in_the_block_leaves_no_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    video = VideoWriter(path, backend="software", gop=1)
    with pytest.raises(ZeroDivisionError):
        write_and_raise(video, ZeroDivisionError())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EncoderClosed, match="is closed"):
        video.write(rgb(0))


def test_on_error_keep_completes_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(KeyboardInterrupt):
        write_and_raise(VideoWriter(path, backend="software", on_error="keep"), KeyboardInterrupt())
    assert look(path).numbers() == [0, 1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError), VideoWriter(tmp_path / "b.mp4", backend="software", on_error="keep"):
        _ = 1 / 0
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


def test_a_fragmented_file_stays_after_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    video = VideoWriter(path, backend="software", gop=1, fps=1, fragmented=True, tuning="ll")
    with pytest.raises(ZeroDivisionError):
        write_and_raise(video, ZeroDivisionError())
    assert look(path).numbers() == [0, 1, 2, 3, 4]


# Targets that fail


class Failing(io.BytesIO):
    def __init__(self, after: int, error: BaseException) -> None:
        super().__init__()
        self.left, self.error = after, error

    def write(self, data: Any) -> int:
        self.left -= len(data)
        if self.left < 0:
            raise self.error
        return super().write(data)


@pytest.mark.parametrize("container", ["mp4", "mkv", "stream"])
def test_a_file_object_that_raises_ends_the_video_with_what_to_do(container: str) -> None:
    file = Failing(3000, OSError(28, "No space left on device"))
    video = VideoWriter(file, backend="software", container=container, fragmented=container == "mp4")
    with pytest.raises(
        NvencError, match=r"could not be written to: .*No space left.*begin again with a new VideoWriter"
    ):
        write_until_it_raises(video)
    with pytest.raises(EncoderClosed, match=r"ended with an error: .*No space left"):
        video.write(noise(0))
    video.close()


def test_a_file_object_that_is_closed_too_early() -> None:
    file = io.BytesIO()
    video = VideoWriter(file, backend="software")
    video.write(rgb(0))
    file.close()
    with pytest.raises(NvencError, match=r"closed file.*keep the file open until close\(\)"):
        video.close()


class TakesNothing(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return 0


def test_a_file_object_that_takes_nothing_does_not_hang() -> None:
    video = VideoWriter(TakesNothing(), backend="software")
    with pytest.raises(NvencError, match=r"took none of \d+ bytes\. The video"):
        write_until_it_raises(video)


def test_a_folder_that_is_deleted_meanwhile(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    video = VideoWriter(folder / "a.mp4", backend="software")
    video.write(rgb(0))
    shutil.rmtree(folder)
    with pytest.raises(FolderMissing, match="was deleted"):
        video.close()
    video.close()


def test_a_full_disk_comes_up_in_write(tmp_path: Path) -> None:
    """A limit on the size of files is what the system refuses here as it refuses on a full disk."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"the old one")
    code = f"""
import resource
from video_frames import *
from pdum.nvenc import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, 5 << 20))
video = VideoWriter({str(path)!r}, backend="software", quality=100)
try:
    write_until_it_raises(video, 100_000)
except OSError as error:
    print(type(error).__name__, error.errno, error)
    import os
    print(os.listdir({str(tmp_path)!r}))
"""
    done = run(code)
    assert done.stdout.splitlines() == [
        f"OSError 27 [Errno 27] File too large: '{tmp_path}/.a.mp4.part.mp4'",
        "['a.mp4']",
    ], done.stderr
    assert path.read_bytes() == b"the old one"
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def run(code: str, **more: Any) -> subprocess.CompletedProcess[str]:
    before = f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
    return subprocess.run([sys.executable, "-c", before + code], capture_output=True, text=True, timeout=120, **more)


class Slow(io.BytesIO):
    """Writes only while the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.is_in_write = threading.Event(), threading.Event()

    def write(self, data: Any) -> int:
        self.is_in_write.set()
        self.gate.wait()
        return super().write(data)


def test_a_slow_disk_holds_up_the_writer_and_memory_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_thread, "MOST_BYTES", 40_000)
    file = Slow()
    video = VideoWriter(file, backend="software", container="stream", quality=100, queue_frames=2, tuning="ll")
    writing = threading.Thread(target=write_until_it_raises, args=(video, 200))
    writing.start()
    file.is_in_write.wait()
    packets = video._pipeline._packets._queue
    while writing.is_alive() and packets.has_room(10_000):
        pass
    assert video.frames < 100
    file.gate.set()
    writing.join()
    assert video.frames == 200
    assert packets.peak_bytes <= 40_000


def test_giving_up_does_not_wait_for_a_disk_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packet_thread, "PATIENCE", 0.05)
    file = Slow()
    video = VideoWriter(file, backend="software", container="stream")
    video.write(rgb(0))
    video.write(rgb(1))
    met: list[BaseException] = []

    def close() -> None:
        try:
            video.close()
        except EncoderClosed as error:
            met.append(error)

    closing = threading.Thread(target=close)
    closing.start()
    file.is_in_write.wait()
    video.abort()
    closing.join()  # although the write still waits
    assert "is closed" in str(met[0])
    file.gate.set()
    video._pipeline._packets._thread.join()


# Encoders that fail


def write_nv12(video: VideoWriter, frames: int) -> None:
    for number in range(frames):
        video.write(nv12(HARDWARE_WIDTH, HARDWARE_HEIGHT, number))


def test_an_error_of_the_encoding_thread_comes_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = SoftwareEncoder.submit

    def failing(encoder: Any, frame: Any, number: int, *arguments: Any) -> Any:
        if number == 5:
            raise EncoderFailed("The codec gave up.")
        return submit(encoder, frame, number, *arguments)

    monkeypatch.setattr(SoftwareEncoder, "submit", failing)
    with pytest.raises(EncoderFailed, match="gave up"):
        write_until_it_raises(VideoWriter(tmp_path / "a.mp4", backend="software"))
    video = VideoWriter(tmp_path / "a.mp4", backend="software")
    for number in range(6):
        video.write(rgb(number))
    with pytest.raises(EncoderFailed, match="gave up"):
        video.close()
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_hardware_that_is_caught_still_ends_the_video(tmp_path: Path, simulator: Simulator) -> None:
    """Its frame may be with the encoder all the same, so that nothing can be said of the packets that follow."""
    faults = [{"call": "nvEncLockBitstream", "nth": 3, "status": 20}]
    with simulator.machine(gpus=FAST, faults=faults):
        video = VideoWriter(tmp_path / "a.mp4", format="nv12")
        with pytest.raises(EncoderFailed):
            write_nv12(video, 60)
        with pytest.raises(EncoderClosed, match="ended with an error"):
            video.write(nv12(HARDWARE_WIDTH, HARDWARE_HEIGHT))
        video.close()
    assert list(tmp_path.iterdir()) == []


def test_what_the_hardware_has_is_kept_after_an_interruption(tmp_path: Path, simulator: Simulator) -> None:
    """Ctrl-C does not reach the thread that calls the encoder, and so no packet is lost by it."""
    path = tmp_path / "a.mp4"
    submitted_by = set()

    def interrupted(self: Any, *arguments: Any, **named: Any) -> Any:
        submitted_by.add(threading.current_thread())
        return submit(self, *arguments, **named)

    submit = OneEngine.submit
    with simulator.machine(gpus=FAST, backend="codec"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(OneEngine, "submit", interrupted)
        video = VideoWriter(path, format="nv12", on_error="keep")
        write_nv12(video, 7)
        video.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert len(look(path).times) == 7
    assert threading.main_thread() not in submitted_by


def test_a_lost_gpu_comes_up_and_nothing_is_left(tmp_path: Path, simulator: Simulator) -> None:
    stall = [{"gpu": 0, "engine": 0, "after_frames": 10, "device_lost": True}]
    with simulator.machine(gpus=FAST, stall=stall, check=False):
        with pytest.raises(DeviceLost):
            write_nv12(VideoWriter(tmp_path / "a.mp4", format="nv12"), 100)
        gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_is_lost_at_the_first_packet_ends_the_writer(
    tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The header is read with the first packet. An error there is an end as well as one of a frame."""

    def lost(_encoder: OneEngine) -> bytes:
        raise DeviceLost("The GPU is gone.")

    monkeypatch.setattr(OneEngine, "header", lost)
    with simulator.machine(gpus=FAST):
        video = VideoWriter(tmp_path / "a.mp4", format="nv12")
        with pytest.raises(DeviceLost):
            write_nv12(video, 100)
        with pytest.raises(EncoderClosed):
            video.write(nv12(HARDWARE_WIDTH, HARDWARE_HEIGHT, 0))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("nvsim_dir")
@pytest.mark.parametrize("engines", [1, "all"])
def test_a_video_is_given_up_although_its_engine_never_answers_again(tmp_path: Path, engines: int | str) -> None:
    """In another process, since a thread that waits for such an engine cannot be ended."""
    code = f"""
import os, threading, time
from frames import nv12
from pdum.nvenc import VideoWriter
from pdum.nvenc._writer import packet_thread, pipeline
from simulator import Simulator
pipeline.PATIENCE = packet_thread.PATIENCE = 0.2
Simulator().configure(gpus={FAST!r}, stall=[dict(gpu=0, engine=engine, after_frames=5) for engine in range(2)])
video = VideoWriter({str(tmp_path / "a.mp4")!r}, format="nv12", engines={engines!r})
written = threading.Semaphore(0)
def write():
    for number in range(300):
        video.write(nv12({HARDWARE_WIDTH}, {HARDWARE_HEIGHT}, number))
        written.release()
threading.Thread(target=write, daemon=True).start()
for _ in range(4):
    written.acquire()
while written.acquire(timeout=1):
    pass
video.abort()
print(os.listdir({str(tmp_path)!r}))
"""
    done = run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


# Writers that are not closed


def test_a_forgotten_writer_warns_and_leaves_nothing(tmp_path: Path) -> None:
    forgotten = [VideoWriter(tmp_path / "a.mp4", backend="software")]
    forgotten[0].write(rgb(0))
    forgotten[0].write(rgb(1))
    with pytest.warns(ResourceWarning, match=r"a.mp4 was never closed, so its video is discarded.*with block"):
        forgotten.clear()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["", "raise ValueError('mine')"])
def test_the_end_of_the_interpreter(tmp_path: Path, ending: str) -> None:
    done = run(
        "from video_frames import *\nfrom pdum.nvenc import VideoWriter\n"
        f"video = VideoWriter({str(tmp_path / 'a.mp4')!r}, backend='software')\n"
        f"for number in range(9): video.write(rgb(number))\n{ending}",
        env={**os.environ, "PYTHONWARNINGS": "default::ResourceWarning:__main__,always::ResourceWarning"},
    )
    assert done.returncode == (1 if ending else 0)
    assert "ResourceWarning: The VideoWriter for" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "ending", "forgets"),
    [("a.mp4", "os._exit(0)", True), ("a.mp4", "sys.exit(0)", False), ("a.mkv", "sys.exit(0)", True)],
)
def test_a_forked_child_has_a_clear_error_and_the_parent_goes_on(
    tmp_path: Path, ending: str, name: str, forgets: bool
) -> None:
    code = f"""
import gc, os, sys, warnings
import signal
from video_frames import *
from pdum.nvenc import EncoderClosed, VideoWriter
warnings.simplefilter("ignore")
video = VideoWriter({str(tmp_path / name)!r}, backend="software", tuning="ll")
for number in range(4):
    video.write(rgb(number))
while video.statistics.encoded < 4 or len(video._pipeline._packets._queue) or not os.listdir({str(tmp_path)!r}):
    pass
child = os.fork()
if child == 0:
    for call in (lambda: video.write(rgb(4)), video.close, video.__enter__().close):
        try:
            call()
        except EncoderClosed as error:
            print(error, flush=True)
    video.abort()
    if {forgets}:
        del call, video
        gc.collect()
    {ending}
os.waitpid(child, 0)
for number in range(4, 8):
    video.write(rgb(number))
video.close()
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    said = "The VideoWriter was made before this process was forked, and goes on in the parent. Make a new one here"
    assert done.stdout.count(said) == 3
    assert look(tmp_path / name).numbers() == list(range(8))


@pytest.mark.parametrize("fragmented", [False, True])
def test_a_killed_writer_leaves_no_half_file_under_the_name(tmp_path: Path, fragmented: bool) -> None:
    code = f"""
import os, signal
from video_frames import *
from pdum.nvenc import EncoderClosed, VideoWriter
video = VideoWriter({str(tmp_path / "a.mp4")!r}, backend="software", fps=2, gop=2, tuning="ll", fragmented={fragmented})
for number in range(16):
    video.write(rgb(number))
while video.statistics.encoded < 16 or len(video._pipeline._packets._queue):
    pass
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = run(code)
    assert done.returncode == -signal.SIGKILL, done.stderr
    if fragmented:
        found = look(tmp_path / "a.mp4").numbers()
    else:
        assert [path.name for path in tmp_path.iterdir()] == [".a.mp4.part.mp4"]
        assert hidden_files(tmp_path) == [".a.mp4.part.mp4"]
        report = repair(tmp_path / ".a.mp4.part.mp4", tmp_path / "repaired.mp4")
        found = look(tmp_path / "repaired.mp4").numbers()
        assert report.frames == len(found)
    assert len(found) >= 8
    assert found == list(range(len(found)))
