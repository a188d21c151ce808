"""Frames that the engine reads in place: CuPy's, PyTorch's and NVDEC's, with real streams and real races."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu.frames import HEIGHT, SHAPE, SPIN_CYCLES, WIDTH, OnlyDlpack, SlowProducer, WithStream, pattern
from gpu.library import EncodeLibrary
from pdum.nvenc import EncoderClosed, InvalidFrame, NvencEncoder

from loud import need_module
from simulator.echo import checksum, parse


def checksums(packets: list[Any]) -> list[int]:
    return [parse(packet.data)[-1].checksum for packet in packets]


@pytest.mark.parametrize("delay", [0, 3])
def test_registered_frames_are_read_after_they_were_made(
    engine: EncodeLibrary, abi: str, cupy: Any, delay: int
) -> None:
    """A slow producer on its own stream and no wait on the host. A buffer is written again once it is released."""
    produce = SlowProducer(cupy)
    stream = cupy.cuda.Stream(non_blocking=True)
    free = [WithStream(cupy.zeros(SHAPE, dtype=cupy.uint8), stream.ptr) for _ in range(delay + 2)]
    arrays = {id(frame): frame._keep for frame in free}
    cupy.cuda.Device().synchronize()
    packets: list[Any] = []
    with NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay, copy="never") as encoder:
        for number in range(300):
            frame = free.pop(0)
            produce(arrays[id(frame)], number, stream)
            done = encoder.submit(frame, number)
            free += [packet.released for packet in done]
            packets += done
        packets += encoder.flush_pipeline()
    assert [packet.seq for packet in packets] == list(range(300))
    assert checksums(packets) == [checksum(pattern(number)) for number in range(300)]
    assert all(packet.released is not None for packet in packets)


def test_frames_of_callers_who_wait_for_word_are_read_in_place(engine: EncodeLibrary, abi: str, cupy: Any) -> None:
    """With copy="auto" and frames in flight, too: a buffer is written again once the callback has named it."""
    produce = SlowProducer(cupy)
    stream = cupy.cuda.Stream(non_blocking=True)
    free = [WithStream(cupy.zeros(SHAPE, dtype=cupy.uint8), stream.ptr) for _ in range(4)]
    arrays = {id(frame): frame._keep for frame in free}
    cupy.cuda.Device().synchronize()
    packets: list[Any] = []
    with NvencEncoder(WIDTH, HEIGHT, extra_output_delay=3) as encoder:
        for number in range(200):
            frame = free.pop(0)
            produce(arrays[id(frame)], number, stream)
            packets += encoder.submit(frame, number, on_released=free.append)
        packets += encoder.flush_pipeline()
    assert checksums(packets) == [checksum(pattern(number)) for number in range(200)]
    assert {id(packet.released) for packet in packets} == set(arrays)


def test_registered_frames_without_the_wait_are_wrong(engine: EncodeLibrary, cupy: Any) -> None:
    """The proof that the test above can fail."""
    produce = SlowProducer(cupy)
    stream = cupy.cuda.Stream(non_blocking=True)
    array = cupy.zeros(SHAPE, dtype=cupy.uint8)
    cupy.cuda.Device().synchronize()
    engine.control(configure={"gpus": ["L4"], "backend": "echo", "strict": False})
    packets: list[Any] = []
    with NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        for number in range(50):
            produce(array, number, stream)
            packets += encoder.submit(WithStream(array, None), number)
    assert checksums(packets) != [checksum(pattern(number)) for number in range(50)]


def test_torch_tensors_and_their_views(engine: EncodeLibrary, abi: str, torch: Any) -> None:
    frames = torch.stack([torch.from_numpy(pattern(number)) for number in range(4)]).cuda()
    with NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        for _ in range(3):
            for number in range(4):
                packet = encoder.submit(frames[number], number)[0]
                assert checksums([packet]) == [checksum(pattern(number))]


def test_memory_that_was_freed_and_allocated_again_is_registered_again(engine: EncodeLibrary, cupy: Any) -> None:
    pool = cupy.get_default_memory_pool()
    with NvencEncoder(WIDTH, HEIGHT, copy="never") as encoder:
        for number in range(20):
            frame = cupy.asarray(pattern(number))
            cupy.cuda.Device().synchronize()
            assert checksums(encoder.submit(frame, number)) == [checksum(pattern(number))]
            del frame
            pool.free_all_blocks()


@pytest.mark.parametrize("by", ["cuda array interface", "dlpack"])
def test_surfaces_are_written_and_submitted_without_a_copy(engine: EncodeLibrary, abi: str, cupy: Any, by: str) -> None:
    produce = SlowProducer(cupy)
    stream = cupy.cuda.Stream(non_blocking=True)
    packets: list[Any] = []
    with NvencEncoder(WIDTH, HEIGHT, extra_output_delay=2) as encoder:
        for number in range(100):
            with encoder.surface(stream) as surface:
                produce(cupy.asarray(surface) if by != "dlpack" else cupy.from_dlpack(surface), number, stream)
                packets += encoder.submit(surface, number)
        packets += encoder.flush_pipeline()
    assert checksums(packets) == [checksum(pattern(number)) for number in range(100)]


def test_an_abandoned_surface_is_not_used_while_its_stream_writes(engine: EncodeLibrary, abi: str, cupy: Any) -> None:
    """The abandoned kernel ends long after the next picture was written: it must write elsewhere."""
    produce = SlowProducer(cupy)
    slow, fast = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)
    with NvencEncoder(WIDTH, HEIGHT, extra_output_delay=1) as encoder:
        for number in range(50):
            with encoder.surface(slow) as abandoned:
                produce(cupy.asarray(abandoned), number + 100, slow, cycles=10 * SPIN_CYCLES)
            del abandoned
            with encoder.surface(fast) as surface:
                produce(cupy.asarray(surface), number, fast, cycles=0)
                packets = encoder.submit(surface, number)
            packets += encoder.flush_pipeline()
            assert checksums(packets) == [checksum(pattern(number))]
        slow.synchronize()


def test_a_tensor_outlives_its_encoder(engine: EncodeLibrary, abi: str, cupy: Any) -> None:
    encoder = NvencEncoder(WIDTH, HEIGHT)
    surface = encoder.surface()
    tensor = cupy.from_dlpack(surface)
    encoder.close()
    del surface, encoder
    tensor[...] = cupy.asarray(pattern(3))
    assert np.array_equal(cupy.asnumpy(tensor), pattern(3))


class ClosesMeanwhile(OnlyDlpack):
    """Another thread closes the encoder while a producer works, and the producer goes on using the encoder's stream."""

    def __init__(self, cupy: Any, array: Any, encoder: NvencEncoder) -> None:
        super().__init__(array)
        self._cupy, self._encoder = cupy, encoder

    def __dlpack__(self, **arguments: Any) -> Any:
        thread = threading.Thread(target=self._encoder.close)
        thread.start()
        thread.join()
        event = self._cupy.cuda.Event()
        event.record()
        self._cupy.cuda.runtime.streamWaitEvent(arguments["stream"], event.ptr)
        return super().__dlpack__(**arguments)


def test_a_producer_keeps_the_stream_that_it_was_handed(engine: EncodeLibrary, abi: str, cupy: Any) -> None:
    encoder = NvencEncoder(WIDTH, HEIGHT)
    frame = ClosesMeanwhile(cupy, cupy.zeros(SHAPE, dtype=cupy.uint8), encoder)
    with pytest.raises(EncoderClosed):
        encoder.encode(frame)


def test_a_stream_that_is_being_captured_is_refused(engine: EncodeLibrary, abi: str, cupy: Any) -> None:
    stream = cupy.cuda.Stream(non_blocking=True)
    array = cupy.asarray(pattern(5))
    cupy.cuda.Device().synchronize()
    with NvencEncoder(WIDTH, HEIGHT) as encoder:
        frame = WithStream(array, stream.ptr)
        stream.begin_capture()
        try:
            with pytest.raises(InvalidFrame, match="being captured"):
                encoder.submit(frame, 0)
        finally:
            stream.end_capture()
        assert checksums(encoder.submit(frame, 0)) == [checksum(pattern(5))]


def make_clip(av: Any, path: Path, frames: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30), options={"preset": "ultrafast", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(frames):
            picture = np.full((HEIGHT * 3 // 2, WIDTH), 16 + number * 3, np.uint8)
            picture[: HEIGHT // 2, : 10 * number + 2] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "nv12").reformat(format="yuv420p")))
        container.mux(stream.encode(None))


def test_nvdec_frames_of_pyav_are_taken_as_they_are(engine: EncodeLibrary, abi: str, cupy: Any, tmp_path: Path) -> None:
    """Decoded by NVDEC and encoded in place, compared with the same frames from the host."""
    av = need_module("av")
    hwaccel = need_module("av.codec.hwaccel")
    clip = tmp_path / "clip.mp4"
    make_clip(av, clip, 30)
    cupy.zeros(1)  # makes the primary context current, which NVDEC is to use too
    current_context = {"primary_ctx": "0", "current_ctx": "1"}  # CuPy has made it with flags that FFmpeg would change
    accelerated = hwaccel.HWAccel(
        device_type="cuda", allow_software_fallback=False, is_hw_owned=True, options=current_context
    )
    seen = 0
    with av.open(str(clip), hwaccel=accelerated) as container, NvencEncoder(WIDTH, HEIGHT) as encoder:
        for frame in container.decode(video=0):
            assert frame.format.name == "cuda"
            encoded = parse(encoder.encode(frame))[-1].checksum
            assert encoded == checksum(frame.reformat(format="nv12").to_ndarray())
            seen += 1
    assert seen == 30
