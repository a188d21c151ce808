"""The distribution's ffmpeg on the simulated libnvcuvid: the same pixels and times as from its processor decoders."""

from __future__ import annotations

from pathlib import Path

import pytest

from decode_clips import Clip, by_processor, checksums, ffmpeg, to_checksums

from client_run import Bench, Outcome, decoders_are_closed

pytestmark = [pytest.mark.clients, pytest.mark.one_abi]

X264 = ["libx264", "-preset", "veryfast", "-g", "12"]
CLIPS = [
    Clip("h264", "h264", [*X264, "-bf", "3"]),
    Clip("h264-baseline", "h264", [*X264, "-profile:v", "baseline"], "h264", size="128x130"),
    Clip(
        "h264-open-gop", "h264", [*X264, "-x264-params", "open-gop=1:bframes=4:b-pyramid=normal:ref=6:slices=3"], "ts"
    ),
    Clip("h264-interlaced", "h264", [*X264, "-bf", "2", "-flags", "+ildct+ilme", "-x264opts", "tff=1"]),
]
ON_L4 = {"gpus": ["L4"]}


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


def decode(bench: Bench, path: Path, surface: str, *how: object, after: tuple[object, ...] = ()) -> Outcome:
    output = bench.folder / "chip"
    command = [ffmpeg(), "-nostdin", "-v", "error", "-y", *how, "-i", path, *after, *to_checksums(surface, output)]
    outcome = bench.run(command, **ON_L4)
    decoders_are_closed(outcome)
    return outcome


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
def test_every_picture_is_the_processors(bench: Bench, clips: Path, clip: Clip) -> None:
    path = clip.make(clips)
    decode(bench, path, clip.surface, "-c:v", f"{clip.codec}_cuvid")
    decoded = checksums(bench.folder / "chip")
    assert len(decoded) == clip.count
    assert decoded == by_processor(path, clip.surface)
