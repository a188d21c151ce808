"""The GPU's decoder gives the processor's pictures, lends its own surfaces, and takes them back in stream order."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from damaged import damaged
from decoder.conftest import L4
from decoder.videos import Kind, assert_same, by_processor, make, on_host
from pdum.nvenc import (
    Decoder,
    DecoderClosed,
    DecoderFailed,
    EncoderConfig,
    InvalidConfig,
    NvencEncoder,
    NvencError,
    SoftwareEncoder,
    SourceUnreadable,
    UnsupportedFeature,
    VideoWriter,
    decode,
)
from pdum.nvenc._media.gpu_decoder import StreamDecoder
from pdum.nvenc._media.stream_headers import stream_header

from simulator import Machine, Simulator, checksum, environment, parse

pytestmark = pytest.mark.one_abi

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


def packets_of(path: Path) -> list[tuple[bytes, int]]:
    """Of H.264 in a transport stream, which needs no filter."""
    import av

    with av.open(str(path)) as container:
        return [(bytes(one), int(one.pts)) for one in container.demux(video=0) if one.size and one.pts is not None]


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


def test_a_size_may_change_in_mid_stream(machine: Machine, folder: Path) -> None:
    """Frames of the old size stay valid when the decoder is made anew."""
    small, large = (make(folder, Kind(f"size-{w}", size=(w, h), container="ts")) for w, h in ((96, 64), (192, 128)))
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


def test_damage_is_told(simulator: Simulator, h264: Path) -> None:
    with simulator.machine(**{**L4, "damage": [{"picture": 5, "status": 8}, {"picture": 9, "status": 9}]}):
        frames = [frame.damaged for frame in decode(h264)]
    assert frames.count(True) == 2


@pytest.mark.parametrize(
    ("gpu", "words"),
    [
        ({"decoders": 0}, "does not decode h264"),
        ({"decode_codecs": ["hevc"]}, "does not decode h264"),
        ({"decode_max_width": 128}, "to 128x.*got a video of 160x96"),
    ],
)
def test_a_video_that_the_gpu_cannot_decode_is_refused(
    simulator: Simulator, h264: Path, gpu: dict[str, Any], words: str
) -> None:
    with simulator.machine(gpus={**L4["gpus"], **gpu}), pytest.raises(NvencError, match=words) as raised:
        list(decode(h264))
    assert isinstance(raised.value, UnsupportedFeature)


def test_a_codec_that_no_gpu_decodes_is_refused(machine: Machine, folder: Path) -> None:
    path = make(folder, Kind("lossless", "ffv1", container="mkv", count=2, options={"preset": ""}))
    with pytest.raises(UnsupportedFeature, match="No GPU decodes ffv1"):
        decode(path)
    with pytest.raises(InvalidConfig, match="codec"):
        Decoder("prores")
    with pytest.raises(InvalidConfig, match="surfaces"):
        Decoder("h264", surfaces=0)


def test_a_closed_decoder_says_so(machine: Machine) -> None:
    decoder = Decoder("h264")
    decoder.close()
    decoder.close()
    with pytest.raises(DecoderClosed):
        decoder.decode(b"")
    with pytest.raises(DecoderClosed):
        decoder.flush()


@pytest.mark.parametrize("content", [b"", b"no video at all", bytes(range(256)) * 16])
def test_what_is_no_video_is_refused(machine: Machine, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceUnreadable):
        decode(path)
    with pytest.raises(SourceUnreadable, match="does not exist"):
        decode(tmp_path / "missing.mp4")


def test_garbage_gives_no_frames(machine: Machine) -> None:
    with Decoder("h264") as decoder:
        assert decoder.decode(bytes(range(256)) * 16) == []
        assert decoder.decode(b"") == []
        assert decoder.flush() == []


def test_a_file_that_ends_early_gives_what_it_has(machine: Machine, folder: Path, tmp_path: Path) -> None:
    whole = make(folder, Kind("h264-transport", container="ts"))
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    found, wanted = on_host(decode(cut)), by_processor(whole)
    assert 10 <= len(found) < 30
    assert_same(found[:-1], wanted[: len(found) - 1])


def without_sense(source: Path, packets: set[int], folder: Path) -> Path:
    """A copy in which some packets are no packets of the codec any more."""
    import av

    path = folder / "without_sense.mp4"
    with av.open(str(source)) as whole, av.open(str(path), "w") as container:
        video = whole.streams.video[0]
        made = container.add_stream_from_template(video)
        for number, packet in enumerate(one for one in whole.demux(video) if one.size):
            copy = av.Packet(b"\xff" * packet.size if number in packets else bytes(packet))
            copy.pts, copy.dts, copy.duration, copy.stream = packet.pts, packet.dts, packet.duration, made
            copy.time_base, copy.is_keyframe = packet.time_base, packet.is_keyframe
            container.mux(copy)
    return path


@pytest.mark.parametrize("packets", [{4}, {12, 13, 14}, {20}])
@pytest.mark.parametrize("damage", [damaged, without_sense])
def test_damage_ends_at_the_next_key_frame(
    simulator: Simulator, h264: Path, tmp_path: Path, packets: set[int], damage: Any
) -> None:
    """All frames before it are the processor's, too, and packets that were left out are told."""
    wanted = by_processor(h264)
    with simulator.machine(**L4), decode(damage(h264, packets, tmp_path)) as video:
        found = dict(on_host(video))
        assert len(video.skipped) == (len(packets) if damage is without_sense else 0)
    begins, ends = min(packets) - 2, (max(packets) // 10 + 1) * 10
    for number, (pts, picture) in enumerate(wanted):
        if number < begins or number >= ends:
            np.testing.assert_array_equal(found[pts], picture)


FAILING = ["cuvidCreateVideoParser", "cuvidGetDecoderCaps", "cuvidCreateDecoder", "cuvidDecodePicture"]


@pytest.mark.parametrize("call", [*FAILING, "cuvidMapVideoFrame64", "cuvidParseVideoData", "cuMemcpy2DAsync_v2"])
@pytest.mark.parametrize("nth", [1, 3])
def test_a_call_that_fails_is_told_and_nothing_leaks(simulator: Simulator, h264: Path, call: str, nth: int) -> None:
    """Kept frames are copies, so that copying fails too. Decoding goes on with the packets after that."""
    faults = [{"call": call, "nth": nth, "status": 2 if call == "cuvidCreateDecoder" else 1}]
    with simulator.machine(**{**L4, "faults": faults}):
        failures: list[NvencError] = []
        frames: list[Any] = []
        try:
            decoder = StreamDecoder(stream := opened(h264), surfaces=1)
        except NvencError as error:
            failures.append(error)
        else:
            for packet in stream.container.demux(stream):
                try:
                    frames += decoder.frames(packet)
                except NvencError as error:
                    failures.append(error)
            decoder.close()
        once = call in ("cuvidCreateVideoParser", "cuvidGetDecoderCaps", "cuvidCreateDecoder") and nth > 1
        assert len(failures) == (0 if once else 1)
        assert all(call.partition("_")[0] in str(error) for error in failures)
        assert all(isinstance(error, NvencError) for error in failures)
        frames.clear()


def opened(path: Path) -> Any:
    import av

    return av.open(str(path)).streams.video[0]


def test_out_of_memory_and_broken_pictures_have_their_classes(simulator: Simulator, h264: Path) -> None:
    from pdum.nvenc import OutOfMemory

    for call, status, kind in (("cuvidCreateDecoder", 2, OutOfMemory), ("cuvidDecodePicture", 1, DecoderFailed)):
        faults = [{"call": call, "nth": 1, "status": status}]
        with simulator.machine(**{**L4, "faults": faults}), pytest.raises(kind, match=call):
            list(decode(h264))


def test_threads_decode_at_once(machine: Machine, h264: Path) -> None:
    wanted = by_processor(h264)
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: on_host(decode(h264)), range(8)):
            assert_same(found, wanted)


def sum_of(frame: Any) -> int:
    return int(np.asarray(frame).sum())


def test_frames_may_be_released_by_other_threads(machine: Machine, h264: Path) -> None:
    with ThreadPoolExecutor(3) as threads:
        done = [threads.submit(sum_of, frame) for frame in decode(h264)]
        assert len([one.result() for one in done]) == 30
        done.clear()


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_headers_of_containers_become_those_of_streams(folder: Path, codec: str) -> None:
    """FFmpeg's own filter puts the same units before the first picture."""
    import av
    from av.bitstream import BitStreamFilterContext

    path = make(folder, Kind("h264") if codec == "h264" else KINDS[4])
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        header = stream_header(codec, bytes(stream.codec_context.extradata or b""))
        packet = next(container.demux(stream))
        (first,) = BitStreamFilterContext(f"{codec}_mp4toannexb", stream).filter(packet)
        units = header.split(b"\0\0\0\1")[1:]
        assert len(units) >= 2
        assert all(unit in bytes(first) for unit in units)


@pytest.mark.parametrize("extradata", [b"", b"\1", b"\1\2\3\4\5\xff\xff", b"\0\0\0\1g"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "mpeg4"])
def test_broken_headers_do_no_harm(codec: str, extradata: bytes) -> None:
    assert isinstance(stream_header(codec, extradata), bytes)


WITHOUT_LIBRARY = """
import sys
from pdum.nvenc import DriverNotFound
from pdum.nvenc._media.gpu_decoder import decode
try:
    list(decode(sys.argv[1]))
except DriverNotFound as error:
    print(error)
"""


def test_a_driver_without_its_decoder_is_told(h264: Path, tmp_path: Path, nvsim_dir: Path) -> None:
    (tmp_path / "libcuda.so.1").symlink_to(nvsim_dir / "full" / "libcuda.so.1")
    for folder, library in ((tmp_path, "libnvcuvid.so.1"), (tmp_path / "none", "libcuda.so.1")):
        variables = {**environment(), "LD_LIBRARY_PATH": str(folder)}
        told = subprocess.run(
            [sys.executable, "-c", WITHOUT_LIBRARY, h264], env=variables, capture_output=True, text=True, timeout=120
        )
        assert library in told.stdout, told.stderr
        assert "NVIDIA_DRIVER_CAPABILITIES" in told.stdout


FORKED = """
import json, os, sys
from pdum.nvenc import DecoderClosed
from pdum.nvenc._media.gpu_decoder import decode
video = decode(sys.argv[1])
frame = next(video)
child = os.fork()
if child == 0:
    try:
        next(video)
    except DecoderClosed as error:
        frame.release()
        os._exit(7)
    os._exit(1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps({"child": code, "frames": 1 + sum(1 for _ in video)}))
"""


def test_a_forked_child_is_told_and_leaves_the_parent_alone(h264: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FORKED, h264], env=environment(**L4), capture_output=True, text=True, timeout=120
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == {"child": 7, "frames": 30}
