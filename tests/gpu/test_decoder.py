"""The GPU's own decoder: the processor's pictures, in surfaces that stay as they are while they are held."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decoder.test_codecs import assert_vc1_is_the_processors
from decoder.test_interlaced import by_processor_of_packets, coded_fields
from decoder.test_references import (
    H264,
    HEVC,
    assert_each_wrong_picture_is_told,
    assert_files_give_the_processors_frames,
)
from decoder.test_sizes import SCALED_REFERENCES
from decoder.videos import Kind, Picture, assert_same, by_processor, make, on_host, packets_of
from gpu.library import EncodeLibrary
from pdum.nvenc import NvencEncoder, NvencError, UnsupportedFeature
from pdum.nvenc._media.gpu_decoder import Decoder, decode

from loud import missing
from simulator.echo import checksum, parse

SIZE = (320, 192)
KINDS = [
    Kind("h264", size=SIZE),
    Kind("h264-reordered", size=SIZE, options={"bf": "4", "x264-params": "b-pyramid=normal:ref=4:open-gop=1"}),
    Kind("h264-odd", size=(310, 182)),
    Kind("hevc", "libx265", size=SIZE),
    Kind("hevc-ten-bit", "libx265", "yuv420p10le", size=SIZE),
    Kind("hevc-444", "libx265", "yuv444p", size=SIZE),
    Kind("vp9", "libvpx-vp9", size=SIZE, container="webm", options={"preset": "", "deadline": "realtime"}),
    Kind("vp8", "libvpx", size=SIZE, container="webm", options={"preset": "", "deadline": "realtime"}),
    Kind("av1", "libsvtav1", size=SIZE, options={"preset": "12"}),
    Kind("mpeg2", "mpeg2video", size=SIZE, container="ts", options={"preset": ""}),
    Kind("mpeg4", "mpeg4", size=SIZE, options={"preset": ""}),
]
BIT_EXACT = ("h264", "hevc", "vp9", "vp8", "av1")
"""The other codecs leave the inverse transform's rounding to the decoder."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture
def h264(folder: Path) -> Path:
    return make(folder, KINDS[0])


@pytest.fixture(autouse=True)
def decoder(cupy: Any) -> None:
    """The GPU's decoder, which must exist."""
    try:
        Decoder("h264").close()
    except NvencError as error:
        missing(f"the GPU's decoder: {error}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_picture_is_the_processors(folder: Path, kind: Kind) -> None:
    path = make(folder, kind)
    try:
        found = on_host(decode(path))
    except UnsupportedFeature as error:  # an H200's driver says that it has no AV1
        missing(f"a GPU that decodes {kind.name}: {error}")
    wanted = by_processor(path)
    assert len(found) == kind.count
    if kind.name.partition("-")[0] in BIT_EXACT:
        assert_same(found, wanted)
        return
    assert [pts for pts, _ in found] == [pts for pts, _ in wanted]
    for (_, picture), (_, expected) in zip(found, wanted, strict=True):
        assert np.abs(picture.astype(int) - expected).mean() < 2


@pytest.mark.parametrize("surfaces", [1, 6, 12])
def test_frames_that_are_kept_do_not_change(folder: Path, surfaces: int) -> None:
    """Some are surfaces and others are copies, and the decoder goes on beside them."""
    path = make(folder, Kind("h264-long", size=SIZE, count=90))
    frames = list(decode(path, surfaces=surfaces))
    assert sum(frame.base is not None for frame in frames) == surfaces
    assert_same(on_host(frames), by_processor(path))


def test_cupy_takes_frames(cupy: Any, h264: Path) -> None:
    found = []
    for frame in decode(h264):
        array = cupy.asarray(frame)
        found.append((frame.pts, array.copy()))
        del frame, array
    assert_same([(pts, cupy.asnumpy(array)) for pts, array in found], by_processor(h264))


def test_pytorch_takes_frames(torch: Any, h264: Path) -> None:
    stream = torch.cuda.Stream()
    found = []
    with torch.cuda.stream(stream):
        for frame in decode(h264):
            tensor = torch.from_dlpack(frame)
            found.append((frame.pts, tensor.clone()))
            del frame, tensor
    stream.synchronize()
    assert_same([(pts, tensor.cpu().numpy()) for pts, tensor in found], by_processor(h264))


def test_a_slow_reader_is_waited_for(cupy: Any, h264: Path) -> None:
    """Its kernels still run when the frame is dropped; the decoder's next frames come behind them."""
    spin = cupy.RawKernel(
        r"""extern "C" __global__ void spin(long long cycles) {
            for (long long start = clock64(); clock64() - start < cycles;) { } }""",
        "spin",
    )
    stream = cupy.cuda.Stream(non_blocking=True)
    found = []
    with stream:
        for frame in decode(h264, stream=stream, surfaces=1):
            array = cupy.asarray(frame)
            spin((1,), (1,), (5_000_000,))
            found.append((frame.pts, array.copy()))
            del frame, array
        stream.synchronize()
    assert_same([(pts, cupy.asnumpy(array)) for pts, array in found], by_processor(h264))


@pytest.mark.parametrize("copy", ["auto", "always", "never"])
@pytest.mark.parametrize("delay", [0, 3])
def test_encoders_take_frames_as_they_are(engine: EncodeLibrary, h264: Path, copy: str, delay: int) -> None:
    wanted = {number: checksum(picture) for number, (_, picture) in enumerate(by_processor(h264))}
    with NvencEncoder(*SIZE, copy=copy, extra_output_delay=delay) as encoder:
        packets = []
        for number, frame in enumerate(decode(h264)):
            packets += encoder.submit(frame, number)
            del frame
        packets += encoder.flush_pipeline()
    assert {packet.seq: parse(packet.data)[-1].checksum for packet in packets} == wanted


def assert_sizes_change(paths: list[Path], codec: str) -> None:
    with Decoder(codec, surfaces=12) as decoder:
        frames = [one for path in paths for data, pts in packets_of(path) for one in decoder.decode(data, pts)]
        frames += decoder.flush()
    assert_same(on_host(frames), [picture for path in paths for picture in by_processor(path)])


SIZES = ((160, 144), (320, 192), (160, 144))


def test_a_size_may_change_in_mid_stream(folder: Path) -> None:
    paths = [make(folder, Kind(f"size-{width}", size=(width, height), container="ts")) for width, height in SIZES]
    assert_sizes_change(paths, "h264")


def test_a_size_of_vp9_may_change_at_a_key_frame(folder: Path) -> None:
    options = {"preset": "", "deadline": "realtime"}
    paths = [
        make(folder, Kind(f"vp9-{size[0]}", "libvpx-vp9", size=size, options=options, container="webm"))
        for size in SIZES
    ]
    assert_sizes_change(paths, "vp9")


def test_references_of_another_size_are_refused() -> None:
    found: list[Picture] = []
    with pytest.raises(UnsupportedFeature, match="changes its size"):
        found.extend((frame.pts, np.asarray(frame)) for frame in decode(SCALED_REFERENCES))
    assert_same(found, by_processor(SCALED_REFERENCES)[:6])


def test_pictures_of_vc1() -> None:
    try:
        assert_vc1_is_the_processors()
    except UnsupportedFeature as error:
        missing(f"a GPU that decodes VC-1: {error}")


@pytest.mark.parametrize("together", [True, False], ids=["in one packet", "in two packets"])
def test_two_fields_make_a_frame(together: bool) -> None:
    """H.264's macroblocks are plain pixels there, and MPEG-2 leaves rounding to the decoder."""
    fields = coded_fields("h264")
    packets = [fields[at] + fields[at + 1] for at in range(0, len(fields), 2)] if together else fields
    with Decoder("h264") as decoder:
        frames = [frame for number, data in enumerate(packets) for frame in decoder.decode(data, number)]
        frames += decoder.flush()
    step = 1 if together else 2
    wanted = enumerate(by_processor_of_packets("h264", fields))
    assert_same(on_host(frames), [(step * number, picture) for number, picture in wanted])


@pytest.mark.parametrize("kind", [*HEVC, *H264], ids=lambda kind: kind.name)
def test_each_wrong_picture_behind_a_missing_one_is_told(folder: Path, tmp_path: Path, kind: Kind) -> None:
    """NVIDIA's parser tells nobody. The processor leaves the same pictures of HEVC out."""
    assert_each_wrong_picture_is_told(make(folder, kind), tmp_path, kind, range(1, kind.count))


@pytest.mark.parametrize("number", range(2, 30, 3))
@pytest.mark.parametrize("kind", [*HEVC, *H264], ids=lambda kind: kind.name)
def test_files_with_a_missing_packet_give_the_processors_frames(
    folder: Path, tmp_path: Path, kind: Kind, number: int
) -> None:
    assert_files_give_the_processors_frames(make(folder, kind), {number}, tmp_path, kind)


def test_many_threads_decode_at_once(folder: Path, h264: Path) -> None:
    wanted = by_processor(h264)
    with ThreadPoolExecutor(8) as threads:
        for found in threads.map(lambda _: on_host(decode(h264)), range(24)):
            assert_same(found, wanted)


def test_many_videos_leave_no_memory_behind(cupy: Any, h264: Path) -> None:
    def decode_some(count: int) -> int:
        for _ in range(count):
            with decode(h264) as video:
                next(video).release()
        return int(cupy.cuda.runtime.memGetInfo()[0])

    before = decode_some(20)
    assert before - decode_some(200) < 64 << 20
