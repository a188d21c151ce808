"""What the GPU's decoder says of damage, of wrong arguments and of calls that fail, and that nothing leaks then."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from threading import Thread
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
    InvalidConfig,
    NvencError,
    SourceUnreadable,
    UnsupportedFeature,
    decode,
)
from pdum.nvenc._media.gpu_decoder import StreamDecoder
from pdum.nvenc._media.stream_headers import as_in_stream, stream_header

from simulator import Machine, Simulator, environment

pytestmark = [pytest.mark.one_abi, pytest.mark.sanitize]


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


def test_a_video_without_a_good_frame_is_no_empty_video(machine: Machine, h264: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match=rf"^{tmp_path}/damaged.mp4: This GPU cannot decode any frame"):
        list(decode(damaged(h264, set(range(30)), tmp_path)))


@pytest.mark.parametrize("chroma", ["422", "444"])
def test_a_video_that_would_lose_chroma_is_refused(machine: Machine, folder: Path, chroma: str) -> None:
    """The chip decodes JPEG of 4:4:4 to 4:2:0, and none of 4:2:2."""
    kind = Kind(
        f"mjpeg-{chroma}", "mjpeg", f"yuvj{chroma}p", container="avi", count=2, options={"preset": "", "bf": "0"}
    )
    words = {
        "422": "does not decode mjpeg 4:2:2",
        "444": "decodes mjpeg 4:4:4 with 8 bits, but not without losing bits",
    }
    with pytest.raises(UnsupportedFeature, match=words[chroma]):
        list(decode(make(folder, kind)))


def test_a_codec_that_no_gpu_decodes_is_refused(machine: Machine, folder: Path) -> None:
    path = make(folder, Kind("lossless", "ffv1", container="mkv", count=2, options={"preset": ""}))
    with pytest.raises(UnsupportedFeature, match="No GPU decodes ffv1"):
        decode(path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"codec": "prores"}, "codec to be one of mpeg1"),
        ({"codec": None}, "codec to be one of mpeg1"),
        ({"surfaces": 0}, "surfaces to be from 1 to 32, got 0"),
        ({"surfaces": "six"}, "surfaces='six'"),
        ({"gpu_id": "first"}, "gpu_id='first'"),
        ({"header": "headers"}, "header to be bytes, got 'headers'"),
        ({"header": 4}, "header to be bytes, got 4"),
        ({"gpu_id": 7}, "gpu_id=7, but this process sees 1 GPU"),
    ],
)
def test_wrong_arguments_are_told(machine: Machine, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        Decoder(**{"codec": "h264", **arguments})


@pytest.mark.parametrize("path", [b"bytes of a video", 7, None])
def test_a_video_is_given_by_its_path(machine: Machine, path: Any) -> None:
    with pytest.raises(InvalidConfig, match=r"Expected the path of a video, got .* Decoder takes packets"):
        decode(path)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_packets_of_mp4_are_refused(machine: Machine, folder: Path, codec: str) -> None:
    """The decoder would pass over them without a word."""
    kind = Kind("h264") if codec == "h264" else Kind("hevc", "libx265", size=(192, 160))
    stream = opened(make(folder, kind))
    packet = next(stream.container.demux(stream))
    with Decoder(codec) as decoder:
        with pytest.raises(InvalidConfig, match=f"form that MP4 .* filter {codec}_mp4toannexb"):
            decoder.decode(packet)
        assert decoder.decode(b"\0\0\0\1\x09\xf0") == []
    stream.container.close()


def test_codecs_have_other_names(machine: Machine) -> None:
    for name, codec in (("H264", "h264"), ("h265", "hevc"), ("mpeg2video", "mpeg2")):
        with Decoder(name) as decoder:
            assert decoder.codec == codec
            assert repr(decoder) == f"<Decoder {codec} on GPU 0>"
            with pytest.raises(InvalidConfig, match=r"pts=1\.5"):
                decoder.decode(b"", 1.5)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="bytes-like object is required"):
                decoder.decode("packet")


def test_a_closed_video_says_so_and_one_that_has_ended_is_empty(machine: Machine, h264: Path) -> None:
    video = decode(h264)
    assert "h264.mp4', h264 of 160x96>" in repr(video)
    assert len(list(video)) == 30
    assert list(video) == []
    video = decode(h264)
    video.close()
    video.close()
    with pytest.raises(DecoderClosed, match="Call decode"):
        next(video)


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


def test_each_use_of_each_call_fails_once(folder: Path) -> None:
    clip = make(folder, Kind("h264-faults", count=24, options={"g": "8"}))
    runner = Path(__file__).parents[1] / "decoder_fault_runner.py"
    told = subprocess.run([sys.executable, "-X", "faulthandler", runner, clip], capture_output=True, text=True,
                          timeout=250)  # fmt: skip
    assert (told.returncode, told.stdout.strip()) == (0, ""), told.stderr


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


def test_threads_take_turns_with_one_video(machine: Machine, h264: Path) -> None:
    with decode(h264) as video, ThreadPoolExecutor(3) as threads:
        parts = list(threads.map(lambda _: on_host(video), range(3)))
    assert_same(sorted((one for part in parts for one in part), key=itemgetter(0)), by_processor(h264))


def test_a_video_is_not_closed_while_another_thread_reads_from_it(
    machine: Machine, h264: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end the process."""
    waited: list[bool] = []
    decoded = StreamDecoder.frames

    def frames(decoder: StreamDecoder, packet: Any) -> Any:
        if not waited:
            closing.start()
            closing.join(0.2)
            waited.append(closing.is_alive())
        return decoded(decoder, packet)

    monkeypatch.setattr(StreamDecoder, "frames", frames)
    video = decode(h264)
    closing = Thread(target=video.close)
    with suppress(DecoderClosed):
        list(video)
    closing.join()
    assert waited == [True]


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

    path = make(folder, Kind("h264") if codec == "h264" else Kind("hevc", "libx265", size=(192, 160)))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        header = stream_header(codec, bytes(stream.codec_context.extradata or b""))
        packet = next(container.demux(stream))
        (first,) = BitStreamFilterContext(f"{codec}_mp4toannexb", stream).filter(packet)
        units = header.split(b"\0\0\0\1")[1:]
        assert len(units) >= 2
        assert all(unit in bytes(first) for unit in units)


def test_headers_and_frames_of_vc1_begin_with_start_codes() -> None:
    """No encoder is there that makes a video of it."""
    headers, frame = b"\0\0\1\x0f\xca\0\0\1\x0e\x48", b"\0\0\1\x0d\x12\x34"
    assert stream_header("vc1", b"\x25" + headers) == stream_header("vc1", headers) == headers
    assert as_in_stream("vc1", frame) == as_in_stream("vc1", frame[4:]) == frame
    assert as_in_stream("vc1", b"\0\0\1\x0f") == b"\0\0\1\x0f"
    assert as_in_stream("h264", frame[4:]) == frame[4:]


@pytest.mark.parametrize("extradata", [b"", b"\1", b"\1\2\3\4\5\xff\xff", b"\0\0\0\1g"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "mpeg4", "vc1"])
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


CLOSED_IN_CHILD = """
import os, sys, threading
from pdum.nvenc import decode

video = decode(sys.argv[1])
next(video)
another = threading.Thread(target=video._lock.acquire)
another.start()
another.join()
child = os.fork()
if child == 0:
    video.close()
    os._exit(7)
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_does_not_wait_for_its_parents_threads(h264: Path) -> None:
    command = [sys.executable, "-c", CLOSED_IN_CHILD, str(h264)]
    assert subprocess.run(command, env=environment(**L4), capture_output=True, timeout=60).returncode == 7


def test_a_forked_child_is_told_and_leaves_the_parent_alone(h264: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FORKED, h264], env=environment(**L4), capture_output=True, text=True, timeout=120
    )
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout) == {"child": 7, "frames": 30}
