"""Sound with video, read by FFmpeg."""

from __future__ import annotations

import functools
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from mp4_files import boxes, encoded, ffprobe, packets_of, stream_copy, video_track
from pdum.nvenc import InvalidConfig, NvencError
from pdum.nvenc._mp4.mp4_file import Mp4File
from pdum.nvenc._mp4.tracks import AudioTrack

from loud import need_module

pytestmark = pytest.mark.one_abi

RATE = 48_000
SECONDS = 2
MIDDLE = slice(4096, 12_000)
"""Where no encoder has trouble with the beginning or the end."""


class Sound(NamedTuple):
    track: AudioTrack
    packets: list[tuple[bytes, int, int]]
    """Data, time and duration in samples."""


def wave(rate: int = RATE, channels: int = 2) -> Any:
    time = np.arange(rate * SECONDS) / rate
    return np.stack([np.sin(2 * np.pi * 440 * (1 + place) * time) for place in range(channels)]).astype(np.float32)


@functools.lru_cache
def sound(codec: str, rate: int = RATE) -> Sound:
    if codec == "pcm":
        data = (wave(rate).T * 20_000).astype("<i2")
        parts = [(data[at : at + 1000].tobytes(), at, 1000) for at in range(0, len(data), 1000)]
        return Sound(AudioTrack(codec="pcm", rate=rate, channels=2), parts)
    av = need_module("av")
    context = av.CodecContext.create({"aac": "aac", "opus": "libopus"}[codec], "w")
    context.sample_rate, context.layout = rate, "stereo"
    context.format = context.codec.audio_formats[0]
    context.time_base, context.bit_rate = Fraction(1, rate), 192_000
    resampler = av.AudioResampler(context.format, "stereo", rate, frame_size=960 if codec == "opus" else 1024)
    frame = av.AudioFrame.from_ndarray(wave(rate), "fltp", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    frames = [*resampler.resample(frame), *resampler.resample(None), None]
    packets = [packet for one in frames for packet in context.encode(one)]
    made = [(bytes(packet), packet.pts, packet.duration or 0) for packet in packets]
    track = AudioTrack(codec=codec, rate=rate, channels=2, description=bytes(context.extradata), language="deu")
    return Sound(track, made)


def film(path: Path, made: Sound, **more: Any) -> Path:
    """The sound beside video of the same length, interleaved as it would come."""
    video = encoded("h264", 50, gop=25)
    waiting = list(made.packets)
    with Mp4File(path, [video_track(video), made.track], **more) as file:
        for packet in video.packets:
            file.write(0, packet.data, packet.pts, packet.dts, packet.keyframe, 1)
            while waiting and Fraction(waiting[0][1], made.track.rate) <= Fraction(packet.dts + 1, 25):
                data, pts, duration = waiting.pop(0)
                file.write(1, data, pts, pts, True, duration)
        for data, pts, duration in waiting:
            file.write(1, data, pts, pts, True, duration)
    return path


SOUNDS = [("aac", RATE), ("aac", 44_100), ("aac", 96_000), ("opus", RATE), ("pcm", RATE), ("pcm", 8_000)]


@pytest.mark.parametrize("fragmented", [False, True], ids=["complete", "fragmented"])
@pytest.mark.parametrize(("codec", "rate"), SOUNDS)
def test_sound_comes_back(tmp_path: Path, codec: str, rate: int, fragmented: bool) -> None:
    made = sound(codec, rate)
    path = film(tmp_path / "film.mp4", made, fragmented=fragmented)
    found = packets_of(path, "audio")
    assert b"".join(one.data for one in found) == b"".join(data for data, _, _ in made.packets)
    if codec == "pcm":
        assert found[0].pts == 0
    else:
        assert [one.data for one in found] == [data for data, _, _ in made.packets]
        assert [one.pts for one in found] == [Fraction(pts, rate) for _, pts, _ in made.packets]
    assert len(packets_of(path)) == 50


@pytest.mark.parametrize(("codec", "rate"), SOUNDS)
def test_sound_is_heard_when_it_was_recorded(tmp_path: Path, codec: str, rate: int) -> None:
    """What encoders put before the beginning is not played."""
    path = film(tmp_path / "film.mp4", sound(codec, rate))
    with need_module("av").open(str(path)) as container:
        frames = list(container.decode(container.streams.audio[0]))
    heard = np.concatenate([as_floats(frame.to_ndarray(), frame.format.name) for frame in frames], axis=1)
    assert frames[0].pts == 0
    mine, expected = heard[0], wave(rate)[0]
    scale = float(np.abs(mine[MIDDLE]).max())
    differences = [
        float(np.abs(mine[MIDDLE] / scale - np.roll(expected, shift)[MIDDLE]).max()) for shift in range(-9, 10)
    ]
    assert differences.index(min(differences)) == 9


def as_floats(samples: Any, form: str) -> Any:
    return samples.reshape(-1, 2).T / 32768 if form == "s16" else samples


@pytest.mark.parametrize("codec", ["aac", "opus", "pcm"])
def test_what_ffprobe_says_of_the_sound(tmp_path: Path, codec: str) -> None:
    path = film(tmp_path / "film.mp4", sound(codec))
    _, found = ffprobe(path, "-show_streams")["streams"]
    assert found["codec_name"] == {"aac": "aac", "opus": "opus", "pcm": "pcm_s16le"}[codec]
    assert (found["sample_rate"], found["channels"]) == (str(RATE), 2)
    assert found["tags"].get("language") == ("und" if codec == "pcm" else "deu")
    assert abs(float(found["duration"]) - SECONDS) < 0.06


@pytest.mark.parametrize("codec", ["aac", "opus"])
def test_descriptions_are_those_that_ffmpeg_writes(tmp_path: Path, codec: str) -> None:
    ours = film(tmp_path / "film.mp4", sound(codec))
    theirs = stream_copy(ours, tmp_path / "copy.mp4", "-map", "0:a")
    entry = {"aac": ("mp4a", "esds"), "opus": ("Opus", "dOps")}[codec]
    path = ("moov", "trak", "mdia", "minf", "stbl", "stsd", *entry)
    (mine,), (other,) = boxes(ours.read_bytes(), *path), boxes(theirs.read_bytes(), *path)
    if codec == "opus":
        assert mine == other
    else:
        config = sound("aac").track.description
        assert config in mine
        assert config in other
    group = ("moov", "trak", "mdia", "minf", "stbl", "sgpd")
    assert boxes(ours.read_bytes(), *group) == boxes(theirs.read_bytes(), *group)


def test_fragments_list_pcm_by_the_packet(tmp_path: Path) -> None:
    """Players keep an entry for each sample that is listed, and an hour has 172,800,000."""
    path = film(tmp_path / "film.mp4", sound("pcm"), fragmented=True)
    runs = boxes(path.read_bytes(), "moof", "traf", "trun")
    assert sum(int.from_bytes(run[4:8], "big") for run in runs) == 50 + len(sound("pcm").packets)
    assert [one.pts * RATE for one in packets_of(path, "audio")] == [pts for _, pts, _ in sound("pcm").packets]


def test_pcm_with_a_gap_has_silence_in_it(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with Mp4File(path, [AudioTrack(codec="pcm", rate=1000, channels=1)]) as file:
        file.write(0, b"\1\0" * 10, 5, 5, True)
        file.write(0, b"\2\0" * 10, 25, 25, True)
        with pytest.raises(NvencError, match=r"^Expected PCM that goes on at 35, got a packet at 30\.$"):
            file.write(0, b"\3\0" * 10, 30, 30, True)
    found = packets_of(path, "audio")
    assert b"".join(one.data for one in found) == b"\1\0" * 10 + bytes(20) + b"\2\0" * 10
    assert found[0].pts == Fraction(5, 1000)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"codec": "mp3"}, "Expected one of aac, opus, pcm, got codec='mp3'."),
        ({"rate": 0}, "Expected a whole number from 1 to 65535, got rate=0."),
        ({"rate": 96_000}, "Expected a whole number from 1 to 65535, got rate=96000."),
        ({"channels": 0}, "Expected a whole number from 1 to 255, got channels=0."),
        ({"language": "German"}, "Expected three lowercase letters such as 'eng', got language='German'."),
        ({"codec": "aac"}, "Expected AAC's AudioSpecificConfig, got description=b''. It is the encoder's extradata."),
        ({"codec": "opus"}, "Expected an OpusHead, got description=b''. It is the encoder's extradata."),
    ],
)
def test_tracks_that_cannot_be(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        AudioTrack(**{"codec": "pcm", "rate": 8000, "channels": 1, **wrong})
    assert str(caught.value) == told
