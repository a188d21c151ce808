"""Sound that is re-encoded, hidden by an edit list, or damaged."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from files.runner import job, run
from media_samples import ffmpeg, sample
from pdum.nvenc import FileTask, UnsupportedFeature
from pdum.nvenc._media.audio import AudioEncoder, audio_settings, open_audio_encoder

pytestmark = pytest.mark.one_abi

SECONDS = 1.6


def with_sound(folder: Path, suffix: str, *arguments: str, rate: int = 48_000) -> Path:
    """The video of a sample, with a tone that ffmpeg writes with these arguments."""
    source = folder / f"source{suffix}"
    tone = f"sine=frequency=440:sample_rate={rate}:duration={SECONDS}"
    ffmpeg("-i", sample("open-gop"), "-f", "lavfi", "-i", tone, "-map", "0:v", "-map", "1:a", "-c:v", "copy",
           *arguments, source)  # fmt: skip
    return source


def sound_of(path: Path) -> tuple[tuple[str, str, int, int | None], float]:
    """Codec, channels, samples a second and bits a second, and how many seconds can be decoded."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        seconds = 0.0
        for packet in container.demux(stream):
            with suppress(av.error.InvalidDataError):
                seconds += sum(frame.samples / frame.sample_rate for frame in packet.decode())
        context = stream.codec_context
        return (context.codec.canonical_name, context.layout.name, context.sample_rate, context.bit_rate), seconds


@pytest.mark.parametrize(
    ("suffix", "source", "rate", "audio", "codec", "layout", "told"),
    [
        (".mkv", ("-af", "aformat=channel_layouts=5.1(side)", "-c:a", "ac3"), 48_000, 256_000, "opus", "5.1",
         "is encoded with the channels 5.1 instead of 5.1(side), as libopus needs it"),
        (".mkv", ("-af", "aformat=channel_layouts=2.1", "-c:a", "pcm_s16le"), 48_000, 96_000, "opus", "3.0", None),
        (".mkv", ("-ac", "1", "-c:a", "flac"), 48_000, 400_000, "opus", "mono",
         "is encoded with 256000 bits a second instead of 400000, as libopus needs it"),
        (".mp4", ("-ac", "1", "-c:a", "pcm_s16le"), 8_000, 96_000, "aac", "mono",
         "is encoded with 48000 bits a second instead of 96000, as aac needs it"),
        (".mp4", ("-c:a", "flac"), 192_000, 96_000, "aac", "mono",
         "is encoded at 96000 Hz instead of 192000, as aac needs it"),
        (".mp4", ("-ac", "1", "-c:a", "pcm_mulaw"), 48_000, "copy", "aac", "mono",
         "is encoded as aac, since mp4 cannot hold it"),
    ],
)  # fmt: skip
def test_sound_that_an_encoder_does_not_take_as_it_is(
    folder: Path,
    suffix: str,
    source: tuple[str, ...],
    rate: int,
    audio: int | str,
    codec: str,
    layout: str,
    told: str | None,
) -> None:
    """It gets the nearest format that it takes, with a warning if something changes."""
    path, result = with_sound(folder, ".mkv", *source, rate=rate), folder / f"result{suffix}"
    warnings = run(FileTask(job(path, result, audio=audio))).warnings
    assert len(warnings) == (told is not None)
    assert told is None or f"{told}." in warnings[0]
    (found, found_layout, _, _), seconds = sound_of(result)
    assert (found, found_layout) == (codec, layout)
    assert seconds == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16be", "pcm_s24le", "pcm_f32le"])
def test_pcm_goes_into_mp4(folder: Path, codec: str, channels: int) -> None:
    """It is copied if mp4's trailer can be written for it, and encoded otherwise."""
    path = with_sound(folder, ".mkv", "-ac", str(channels), "-c:a", codec)
    warnings = run(FileTask(job(path, folder / "result.mp4"))).warnings
    found = sound_of(folder / "result.mp4")[0][0]
    assert (found == "aac") == any("is encoded as aac, since mp4 cannot hold it" in warning for warning in warnings)
    assert found in ("aac", codec)


@pytest.mark.parametrize("audio", [64_000, "copy"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("begin", [0, 3])
def test_a_damaged_packet_of_sound_is_left_out(folder: Path, suffix: str, audio: str | int, begin: int) -> None:
    """``begin``: the byte of an AAC packet's header where the damage begins."""
    path = with_sound(folder, ".ts", "-c:a", "aac")
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]
    data = bytearray(path.read_bytes())
    place = data.index(packets[20][:40])
    data[place + begin : place + 30] = b"\x55" * (30 - begin)
    path.write_bytes(data)
    warnings = run(FileTask(job(path, folder / f"result{suffix}", audio=audio))).warnings
    assert len(warnings) == 1
    assert "Stream 1 (audio, aac" in warnings[0]
    assert "damaged packet" in warnings[0]
    assert sound_of(folder / f"result{suffix}")[1] == pytest.approx(SECONDS, abs=0.5)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_sound_that_was_trimmed_off_stays_off(folder: Path, suffix: str) -> None:
    """Except for one packet before the rest, which decoders need."""
    whole, path = with_sound(folder, ".mp4", "-c:a", "aac"), folder / "trimmed.mp4"
    ffmpeg("-ss", "0.9", "-i", whole, "-map", "0", "-c", "copy", path)
    with av.open(str(path)) as container:
        hidden = sum(packet.is_discard for packet in container.demux(container.streams.audio[0]))
    assert hidden > 1
    assert run(FileTask(job(path, folder / f"result{suffix}"))).warnings == ()
    wanted = sound_of(path)[1]
    assert wanted <= sound_of(folder / f"result{suffix}")[1] <= wanted + 0.03


def test_sound_may_change_half_way(folder: Path) -> None:
    """Broadcasts do that."""
    path = folder / "result.mka"
    with av.open(str(with_sound(folder, ".mkv", "-c:a", "flac"))) as source:
        settings = audio_settings(source.streams.audio[0], "libopus", None)
    with av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream("libopus", rate=settings.sample_rate)
        open_audio_encoder(stream.codec_context, settings)
        encoder = AudioEncoder(stream, settings)
        forms = (48_000, "mono", 1), (44_100, "stereo", 2), (48_000, "5.1", 6)
        for at, (rate, layout, channels) in enumerate(forms):
            frame = av.AudioFrame.from_ndarray(np.zeros((channels, rate // 4), np.float32), "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at * rate // 4, Fraction(1, rate)
            output.mux(encoder.encode(frame))
        output.mux(encoder.encode(None))
    assert sound_of(path)[1] == pytest.approx(0.75, abs=0.06)


def test_sound_that_no_encoder_takes_is_refused_before_anything_is_encoded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_sound(folder, ".mkv", "-c:a", "flac")
    monkeypatch.setattr("pdum.nvenc._media.audio.AAC_FRAME_BITS", -1)
    task = FileTask(job(path, folder / "result.mp4", audio=64_000))
    with pytest.raises(UnsupportedFeature, match=r"Use audio='none', or audio='copy' with \.mkv"):
        task.prepare(1)
    task.abandon(keep=False)
