"""Videos that change their size half-way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decode_clips import run_ffmpeg
from decoder.videos import Kind, Picture, assert_same, by_processor, laid_out, make, on_host, packets_of
from files import runner
from pdum.nvenc import DecodedFrame, Decoder, UnsupportedFeature, decode
from pdum.nvenc._media import hardware_decode
from pdum.nvenc._media.decode import frames_from
from pdum.nvenc._media.decoder import Decoding
from pdum.nvenc._media.source import index_source

from simulator import Machine

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

SCALED_REFERENCES = Path(__file__).with_name("vp9_sizes.ivf")
"""libvpx's encoder got another size before frames 6 and 12, of 18. Only the first frame is a key frame."""


@pytest.fixture
def small(folder: Path) -> Path:
    return make(folder, Kind("size-96", size=(96, 64), container="ts"))


@pytest.fixture
def large(folder: Path) -> Path:
    return make(folder, Kind("size-192", size=(192, 128), container="ts"))


def test_a_size_may_change_in_mid_stream(machine: Machine, small: Path, large: Path) -> None:
    """Frames of the old size stay valid when the decoder is made anew."""
    with Decoder("h264", surfaces=16) as decoder:
        frames = [
            frame
            for path in (small, large, small)
            for data, pts in packets_of(path)
            for frame in decoder.decode(data, pts)
        ]
        frames += decoder.flush()
    wanted = by_processor(small) + by_processor(large) + by_processor(small)
    assert_same(on_host(frames), wanted)
    assert machine.calls("decode")["cuvidCreateDecoder"] == 3, "headers that are repeated make no new one"


def test_references_of_another_size_are_refused(machine: Machine) -> None:
    """All frames before them come first."""
    found: list[Picture] = []
    with pytest.raises(UnsupportedFeature, match="changes its size at a picture that refers to earlier ones"):
        found.extend((frame.pts, np.asarray(frame)) for frame in decode(SCALED_REFERENCES))
    assert_same(found, by_processor(SCALED_REFERENCES)[:6])


def packets_of_vp9(path: Path) -> list[tuple[bytes, int]]:
    return [(data, 1000 + pts) for data, pts in packets_of(path)]


def test_decoding_goes_on_at_the_next_key_frame(machine: Machine, folder: Path) -> None:
    video = make(
        folder, Kind("vp9", "libvpx-vp9", size=(160, 144), options={"preset": "", "bf": "0"}, container="webm")
    )
    refused, found = 0, []
    with Decoder("vp9") as decoder:
        for data, pts in [*packets_of(SCALED_REFERENCES), *packets_of_vp9(video)]:
            try:
                found += on_host(decoder.decode(data, pts))
            except UnsupportedFeature:
                refused += 1
        found += on_host(decoder.flush())
    assert refused == 12
    wanted = [(1000 + pts, picture) for pts, picture in by_processor(video)]
    assert_same(found, by_processor(SCALED_REFERENCES)[:6] + wanted)


def of_two_sizes(small: Path, large: Path, folder: Path) -> Path:
    """One transport stream, with times that go on."""
    later, whole = folder / "later.ts", folder / "sizes.ts"
    run_ffmpeg(["-i", large, "-c", "copy", "-output_ts_offset", "1.2", later])
    whole.write_bytes(small.read_bytes() + later.read_bytes())
    return whole


@pytest.mark.parametrize(
    ("source", "by_chip"),
    [(of_two_sizes, 60), (lambda *_: SCALED_REFERENCES, 0)],
    ids=["h264", "vp9"],
)
def test_files_have_every_frame(
    machine: Machine, small: Path, large: Path, tmp_path: Path, source: Callable[..., Path], by_chip: int
) -> None:
    """The processor goes on where the GPU's decoder cannot."""
    path = source(small, large, tmp_path)
    stumbled: list[str] = []
    on_gpu = hardware_decode.decoder_on(runner.HARDWARE, path)
    decoding = Decoding(1, on_gpu=on_gpu, on_stumble=lambda error: stumbled.append(str(error)))
    found: list[Any] = []
    frames = 0
    for frame in frames_from(path, index_source(path), 0, decoding):
        is_chips = isinstance(frame, DecodedFrame)
        frames += is_chips
        found += on_host([frame]) if is_chips else [(frame.pts, laid_out(frame))]
        del frame
    assert_same(found, by_processor(path))
    assert len(stumbled) == (0 if by_chip else 1)
    assert frames >= by_chip
