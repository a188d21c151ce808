"""The GPU's decoder gives the processor's pictures, lends its own surfaces, and takes them back in stream order."""

from __future__ import annotations

import ctypes
import gc
import weakref
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decoder.conftest import L4
from decoder.videos import Kind, assert_same, by_processor, make, on_host, packets_of
from frames import NON_BLOCKING, Gpu, cuda
from pdum.nvenc import (
    Decoder,
    DecoderClosed,
    EncoderConfig,
    NvencEncoder,
    SoftwareEncoder,
    VideoWriter,
    decode,
)
from pdum.nvenc._media.av import open_container
from pdum.nvenc._media.gpu_decoder import StreamDecoder
from test_contexts import OwnContext

from simulator import Machine, Simulator, checksum, parse

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]

KINDS = [
    Kind("h264"),
    Kind("h264-reordered", options={"bf": "4", "x264-params": "b-pyramid=normal:ref=4:open-gop=1"}),
    Kind("h264-transport", container="ts"),
    Kind("h264-odd", size=(150, 86)),
    Kind("hevc", "libx265", size=(192, 160)),
    Kind("hevc-ten-bit", "libx265", "yuv420p10le", size=(192, 160)),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_picture_is_the_processors(machine: Machine, folder: Path, kind: Kind) -> None:
    path = make(folder, kind)
    found = on_host(decode(path))
    assert len(found) == kind.count
    assert_same(found, by_processor(path))


def test_the_processor_decodes_nothing_of_a_film(machine: Machine, h264: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg would decode up to 20 pictures of H.264 before the first packet."""
    opened: list[Any] = []

    def open_and_keep(*arguments: Any, **more: Any) -> Any:
        opened.append(open_container(*arguments, **more))
        return opened[-1]

    monkeypatch.setattr("pdum.nvenc._media.decoder.open_container", open_and_keep)
    with decode(h264) as video:
        assert opened[0].streams.video[0].codec_context.pix_fmt is None  # as a decoder would have told it
        assert_same(on_host(video), by_processor(h264))


def test_a_frame_tells_about_itself(machine: Machine, h264: Path) -> None:
    with decode(h264) as video:
        frame = next(video)
        assert (frame.width, frame.height, frame.format, frame.shape) == (160, 96, "nv12", (144, 160))
        assert (frame.pts, frame.damaged, frame.interlaced) == (0, False, False)
        assert (video.width, video.height, video.codec) == (160, 96, "h264")
        assert video.rate == Fraction(25)
        assert repr(frame) == "<DecodedFrame 160x96 nv12, pts=0>"
        frame.release()


def test_frames_are_not_copied_and_nobody_waits(machine: Machine, h264: Path) -> None:
    addresses, calls = set(), {}
    for number, frame in enumerate(decode(h264)):
        addresses.add(frame.__cuda_array_interface__["data"][0])
        if number == 29:  # the decoder ends after it
            calls = machine.calls("cuda")
    assert len(addresses) <= 7
    assert calls
    assert not [name for name in calls if "Synchronize" in name or name.startswith("cuMemcpy")]
    assert "cuMemAllocPitch_v2" not in calls


def test_no_work_is_on_the_default_stream(machine: Machine, h264: Path) -> None:
    streams = {frame.__cuda_array_interface__["stream"] for frame in decode(h264)}
    assert len(streams) == 1
    assert streams.pop() > 2


@pytest.mark.parametrize("surfaces", [1, 6])
def test_any_number_of_frames_can_be_kept(machine: Machine, h264: Path, surfaces: int) -> None:
    frames = list(decode(h264, surfaces=surfaces))
    addresses = [frame.__cuda_array_interface__["data"][0] for frame in frames]
    assert len(set(addresses)) == len(frames)
    assert sum(frame.base is not None for frame in frames) == surfaces, "the others are copies"
    assert_same(on_host(frames), by_processor(h264))


def test_memory_of_copies_is_used_again(machine: Machine, h264: Path) -> None:
    with decode(h264, surfaces=1) as video:
        kept = next(video)
        for frame in video:
            frame.release()
        allocations = machine.calls("cuda")["cuMemAllocPitch_v2"]
    kept.release()
    assert allocations <= 5


def test_frames_outlive_their_decoder(machine: Machine, h264: Path) -> None:
    with decode(h264) as video:
        frames = [next(video) for _ in range(3)]
    assert_same(on_host(frames), by_processor(h264)[:3])


def test_a_closed_video_keeps_no_memory_of_the_gpu(machine: Machine, h264: Path) -> None:
    """Although somebody may refer to it for long."""
    with decode(h264) as video:
        next(video)
    assert not any(machine.live("decode").values())
    video.close()


@pytest.mark.parametrize("copy", ["auto", "always", "never"])
@pytest.mark.parametrize("delay", [0, 3])
def test_encoders_take_frames_as_they_are(simulator: Simulator, h264: Path, copy: str, delay: int) -> None:
    """On a GPU that works later, the engine reads the pixels that the processor decodes."""
    wanted = {number: checksum(picture) for number, (_, picture) in enumerate(by_processor(h264))}
    with simulator.machine(**{**L4, "async_streams": True}):
        with NvencEncoder(160, 96, copy=copy, extra_output_delay=delay) as encoder:
            packets = []
            for number, frame in enumerate(decode(h264)):
                packets += encoder.submit(frame, number)
                del frame
            packets += encoder.flush_pipeline()
        found = {packet.seq: parse(packet.data)[-1].checksum for packet in packets}
        packets.clear()
        gc.collect()
    assert found == wanted


@pytest.mark.parametrize("is_shared", [True, False], ids=["the encoder's", "another"])
def test_a_decoder_in_the_callers_context(machine: Machine, h264: Path, is_shared: bool) -> None:
    """Its stream belongs to that context, and so do all frames."""
    wanted = {number: checksum(picture) for number, (_, picture) in enumerate(by_processor(h264))}
    theirs = OwnContext()
    with NvencEncoder(160, 96, cuda_context=theirs.handle if is_shared else 0, extra_output_delay=2) as encoder:
        packets = []
        for number, frame in enumerate(decode(h264, cuda_context=theirs.handle, surfaces=2)):
            packets += encoder.submit(frame, number)
            del frame
        packets += encoder.flush_pipeline()
    assert {packet.seq: parse(packet.data)[-1].checksum for packet in packets} == wanted
    packets.clear()
    gc.collect()
    theirs.close()


class Stream:
    """It ends with its owner, as a stream of CuPy does."""

    def __init__(self) -> None:
        self.handle = ctypes.c_void_p()
        self.gpu = Gpu()
        with self.gpu.current():
            cuda("cuStreamCreate", ctypes.byref(self.handle), NON_BLOCKING)
        self.user: Any = None

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.handle.value or 0

    def __del__(self) -> None:
        with self.gpu.current():
            cuda("cuStreamDestroy_v2", self.handle)
        self.gpu.close()


@pytest.mark.parametrize("surfaces", [1, 6])
def test_a_stream_that_refers_to_its_decoder_is_collected(machine: Machine, h264: Path, surfaces: int) -> None:
    """Nothing is asked of the stream after it has ended."""
    stream = Stream()
    video = decode(h264, stream=stream, surfaces=surfaces)
    frames = [next(video) for _ in range(3)]
    assert all(frame.__cuda_array_interface__ for frame in frames)
    stream.user = [video, *frames]
    watched = weakref.ref(stream)
    del stream, video, frames
    gc.collect()
    assert watched() is None
    assert machine.live("decode") == {}


@pytest.mark.parametrize("more", [{}, {"drop": "oldest", "queue_frames": 40}], ids=["at once", "by a queue"])
def test_a_writer_takes_frames_as_they_are(
    simulator: Simulator, h264: Path, tmp_path: Path, more: dict[str, Any]
) -> None:
    """It learns size and format from the first one."""
    with simulator.machine(gpus=L4["gpus"], backend="codec"):
        with VideoWriter(tmp_path / "out.mp4", codec="h264", **more) as video:
            for frame in decode(h264):
                video.write(frame)
        del frame
        gc.collect()
    assert len(by_processor(tmp_path / "out.mp4")) == 30


def test_the_software_engine_takes_frames(machine: Machine, h264: Path) -> None:
    config = EncoderConfig(width=160, height=96, tuning="lossless", codec="h264")
    with SoftwareEncoder(config) as encoder:
        packets = [packet for number, frame in enumerate(decode(h264)) for packet in encoder.submit(frame, number)]
        assert len(packets + encoder.flush_pipeline()) == 30


def test_memory_is_registered_once(machine: Machine, h264: Path) -> None:
    """Frames of one decoder have the same few surfaces, though each is a new object."""
    with NvencEncoder(160, 96, copy="never", extra_output_delay=2) as encoder:
        before = machine.calls().get("nvEncRegisterResource", 0)
        for number, frame in enumerate(decode(h264)):
            encoder.submit(frame, number)
            del frame
        encoder.flush_pipeline()
        assert machine.calls()["nvEncRegisterResource"] - before <= 7


def test_a_released_frame_says_so(machine: Machine, h264: Path) -> None:
    with decode(h264) as video:
        with next(video) as frame:
            pass
        for use in (lambda: frame.__cuda_array_interface__, lambda: np.asarray(frame), lambda: frame.__dlpack__()):
            with pytest.raises(DecoderClosed, match="given back"):
                use()
        frame.release()


def test_a_tensor_keeps_the_surface(machine: Machine, h264: Path) -> None:
    with decode(h264, surfaces=1) as video:
        frame = next(video)
        address = frame.__cuda_array_interface__["data"][0]
        tensor = frame.__dlpack__()
        frame.release()
        assert next(video).base is None, "the surface is still out"
        del tensor
        assert next(video).__cuda_array_interface__["data"][0] == address


def test_dlpack_refuses_what_it_cannot_do(machine: Machine, h264: Path) -> None:
    with decode(h264) as video:
        frame = next(video)
        assert frame.__dlpack_device__() == (2, 0)
        with pytest.raises(BufferError, match="copy=True"):
            frame.__dlpack__(copy=True)
        with pytest.raises(BufferError, match="stream=0"):
            frame.__dlpack__(stream=0)


def test_readers_streams_are_waited_for(machine: Machine, h264: Path) -> None:
    """The decoder's stream waits for the reader's before the surface goes back; the host does not."""
    with decode(h264) as video:
        frame = next(video)
        frame.__dlpack__(stream=1)
        before = machine.calls("cuda").get("cuStreamWaitEvent", 0)
        frame.release()
        assert machine.calls("cuda")["cuStreamWaitEvent"] == before + 1
        assert "cuStreamSynchronize" not in machine.calls("cuda")


@pytest.fixture
def packets(folder: Path) -> list[tuple[bytes, int]]:
    return packets_of(make(folder, Kind("h264-transport", container="ts")))


def test_packets_without_times_give_frames_without(machine: Machine, packets: list[tuple[bytes, int]]) -> None:
    with Decoder("h264") as decoder:
        frames = [frame.pts for data, _ in packets for frame in decoder.decode(data)]
        frames += [frame.pts for frame in decoder.flush()]
    assert frames == [None] * len(packets)


def test_times_come_back_unchanged(machine: Machine, packets: list[tuple[bytes, int]]) -> None:
    """Negative ones, and those beyond 32 bits."""
    first = min(pts for _, pts in packets)
    for offset in (-(1 << 40), 1 << 40):
        with Decoder("h264") as decoder:
            frames = [frame.pts for data, pts in packets for frame in decoder.decode(data, pts - first + offset)]
            frames += [frame.pts for frame in decoder.flush()]
        assert frames == sorted(pts - first + offset for _, pts in packets)


def test_decoding_begins_anew_after_a_flush(machine: Machine, h264: Path) -> None:
    """The headers that the container keeps apart are given again, as after a seek."""
    import av

    wanted = by_processor(h264)
    with av.open(str(h264)) as container:
        stream = container.streams.video[0]
        decoder = StreamDecoder(stream)
        for _ in range(2):
            container.seek(0)
            found = [frame for packet in container.demux(stream) for frame in decoder.frames(packet)]
            assert_same(on_host(found), wanted)
            found.clear()
        decoder.close()
