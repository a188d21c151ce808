"""Sound with the pictures: in sync, interleaved, of every shape, encoded or passed on."""

from __future__ import annotations

import io
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdum.nvenc import InvalidConfig, InvalidFrame, VideoWriter
from pdum.nvenc._writer import interleaving
from pdum.nvenc._writer.interleaving import Interleaver
from pdum.nvenc._writer.packet_thread import Coded
from pdum.nvenc._writer.sound import as_samples
from video_frames import look, rgb

pytestmark = pytest.mark.one_abi

RATE, FPS, FRAMES = 48_000, 30, 30


def tone(seconds: float = 1.0, rate: int = RATE) -> Any:
    """A tone with a click half-way, by which its place in time is found."""
    samples = 0.05 * np.sin(np.arange(int(seconds * rate)) / rate * 2 * np.pi * 440)
    samples[len(samples) // 2 : len(samples) // 2 + rate // 200] = 0.9
    return samples.astype(np.float32)


def where_the_click_is(sound: list[Any], times: list[float], rate: int) -> float:
    whole = np.concatenate([one.reshape(-1)[: one.shape[-1]] if one.ndim > 1 else one for one in sound])
    scale = 32768 if whole.dtype == np.int16 else 1
    loud = np.flatnonzero(np.abs(whole / scale) > 0.5)
    return float(times[0] + loud[0] / rate)


@pytest.mark.parametrize(
    ("name", "audio", "rate"),
    [
        ("a.mp4", "auto", 48000),
        ("a.mp4", "aac", 44100),
        ("a.mp4", "opus", 44100),
        ("a.mp4", "pcm", 44100),
        ("a.mkv", "auto", 48000),
        ("a.mov", "pcm", 48000),
        ("a.ts", "aac", 48000),
        ("a.webm", "auto", 24000),
    ],
)
@pytest.mark.parametrize("order", ["beside", "before"])
def test_sound_is_in_sync(tmp_path: Path, name: str, audio: str, rate: int, order: str) -> None:
    samples = tone(rate=rate)
    with VideoWriter(tmp_path / name, fps=FPS, backend="software", audio=audio) as video:
        if order == "before":
            video.add_audio(samples, rate)
        for number in range(FRAMES):
            video.write(rgb(number))
            if order == "beside":
                video.add_audio(samples[number * rate // FPS : (number + 1) * rate // FPS], rate)
    found = look(tmp_path / name)
    assert len(found.times) == FRAMES
    made = 48000 if audio == "opus" or name in ("a.mkv", "a.webm") else rate
    click = where_the_click_is(found.sound, found.sound_times, made) - float(found.times[0])
    assert click == pytest.approx(0.5, abs=0.004)
    length = sum(one.shape[-1] for one in found.sound) / made
    assert length == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_samples_of_every_shape_are_the_same_sound(channels: int) -> None:
    samples = np.stack([tone(0.5) * (channel + 1) / channels for channel in range(channels)], axis=1)
    kinds = [samples, samples.T, samples.astype(np.float64), np.round(samples * 32767).astype(np.int16)]
    if channels == 1:
        kinds.append(samples[:, 0])
    made = []
    for kind in kinds:
        with VideoWriter(None, backend="software", audio="pcm", container="mov") as video:
            video.add_audio(kind, RATE)
            video.write(rgb(0))
            video.write(rgb(1))
        found = look(video.read())
        made.append(np.concatenate([one.reshape(-1) for one in found.sound]).astype(np.int32))
    for other in made[1:]:
        assert np.abs(other - made[0]).max() <= 2
    assert len(made[0]) == len(samples) * channels


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((2, 2, 2), np.float32), "got shape (2, 2, 2)"),
        (np.zeros(9, np.int32), "got int32"),
        (np.zeros(9, np.uint8), "got shape (9, 1) of uint8"),
        (["a"], "samples"),
    ],
)
def test_what_is_no_sound_is_an_error(samples: Any, words: str) -> None:
    with pytest.raises(InvalidFrame) as caught:
        as_samples(samples)
    assert words in str(caught.value)


def test_wrong_uses_say_what_to_do(tmp_path: Path) -> None:
    with VideoWriter(None, backend="software") as video:
        video.write(rgb(0))
        video.write(rgb(1))
        with pytest.raises(InvalidConfig, match=r"sound to begin before the second call of write\(\).*with silence"):
            video.add_audio(tone(), RATE)
    with VideoWriter(None, backend="software") as video:
        video.add_audio(tone(), RATE)
        with pytest.raises(InvalidConfig, match=r"48000 samples a second and 1 channels, .* got 44100"):
            video.add_audio(tone(), 44100)
        with pytest.raises(InvalidConfig, match="got both"):
            video.add_audio_packets([])
        video.write(rgb(0))
    for name, audio, words in (
        ("a.h264", "auto", "holds no sound"),
        ("a.ts", "pcm", "does not work with mpegts"),
        ("a.mp4", "mp3", "Unknown audio"),
    ):
        with pytest.raises(InvalidConfig, match=words):
            VideoWriter(tmp_path / name, backend="software", audio=audio).add_audio(tone(), RATE)
    with pytest.raises(InvalidConfig, match="7"):
        VideoWriter(None, backend="software").add_audio(np.zeros((100, 7), np.float32), RATE)


def test_without_pyav_sound_is_pcm(monkeypatch: pytest.MonkeyPatch) -> None:
    from pdum.nvenc._writer.sound import codec_for

    assert codec_for("auto", "mp4") == "aac"
    monkeypatch.setitem(sys.modules, "av", None)
    assert codec_for("auto", "mp4") == "pcm"


def click_in(file: Any) -> float:
    opened: Any
    with av.open(str(file) if isinstance(file, Path) else file) as opened:
        frames = list(opened.decode(audio=0))
        times = [float(frame.time) for frame in frames]
        return where_the_click_is([frame.to_ndarray() for frame in frames], times, RATE)


def encoded(codec: str, container: str) -> io.BytesIO:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=RATE, layout="mono")
        form = stream.codec_context.format.name
        samples = tone()[None] if form.startswith("fl") else np.round(tone()[None] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format=form, layout="mono")
        frame.sample_rate = RATE
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("codec", "source", "name"),
    [("aac", "mp4", "a.mp4"), ("libopus", "matroska", "a.mp4"), ("mp2", "matroska", "a.mkv"), ("aac", "mp4", "a.mkv")],
)
def test_packets_are_passed_on_as_they_are(tmp_path: Path, codec: str, source: str, name: str) -> None:
    opened: Any
    with av.open(encoded(codec, source)) as opened:
        packets = [packet for packet in opened.demux(audio=0) if packet.size]
        with VideoWriter(tmp_path / name, backend="software") as video:
            video.add_audio_packets(packets[:3])
            for number in range(FRAMES):
                video.write(rgb(number))
            video.add_audio_packets(packets[3:])
        wanted = [bytes(packet) for packet in packets]
    found: Any
    with av.open(str(tmp_path / name)) as found:
        assert [bytes(packet) for packet in found.demux(audio=0) if packet.size] == wanted
    assert click_in(tmp_path / name) == pytest.approx(click_in(encoded(codec, source)), abs=0.002)


def test_packets_as_tuples_need_their_description(tmp_path: Path) -> None:
    opened: Any
    with av.open(encoded("aac", "mp4")) as opened:
        stream = opened.streams.audio[0]
        description = bytes(stream.codec_context.extradata or b"")
        packets = [(bytes(one), one.pts, one.duration) for one in opened.demux(stream) if one.size]
    with VideoWriter(tmp_path / "a.mp4", backend="software") as video:
        with pytest.raises(InvalidConfig, match="as tuples need codec, rate and channels"):
            video.add_audio_packets(packets)
        video.add_audio_packets(packets, codec="aac", rate=RATE, channels=1, description=description)
        video.write(rgb(0))
    assert click_in(tmp_path / "a.mp4") == pytest.approx(click_in(encoded("aac", "mp4")), abs=0.002)
    with pytest.raises(InvalidConfig, match="at least one packet"):
        VideoWriter(None, backend="software").add_audio_packets([])


BASES = {"video": Fraction(1, 30), "sound": Fraction(1, 48_000)}


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(100, 4800))
def test_packets_are_written_in_the_order_of_time(pattern: list[int], samples: int) -> None:
    """Whatever the order in which tracks are fed: each keeps its own, and they alternate by time."""
    written: list[Coded] = []
    interleaver = Interleaver(BASES, written.append)
    counts = {"video": 0, "sound": 0}
    for step in pattern:
        track = "video" if step == 0 else "sound"
        at = counts[track] * (1 if track == "video" else samples)
        counts[track] += 1
        interleaver.put(Coded(track, b"x", at, at, True, 1))
    interleaver.finish()
    assert {track: sum(one.track == track for one in written) for track in counts} == counts
    times = [one.dts * BASES[one.track] for one in written]
    if counts["video"] <= 30:  # less than the second of video that waits for sound
        assert times == sorted(times)


def test_little_waits_for_the_other_track(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interleaving, "MOST_SOUND", 1000)
    written: list[Coded] = []
    interleaver = Interleaver(BASES, written.append)
    for number in range(1000):
        interleaver.put(Coded("sound", bytes(10), number * 1024, number * 1024, True, 1024))
        assert number + 1 - len(written) <= 100
    written.clear()
    for number in range(10_000):
        interleaver.put(Coded("video", b"x", number, number, True, 1))
    assert sum(one.track == "video" for one in written) >= 10_000 - 32
