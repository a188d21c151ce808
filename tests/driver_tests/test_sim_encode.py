"""The simulated encoder with a client that keeps the rules, in every API version."""

from __future__ import annotations

import ctypes
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driver_tests.encode_client import FAST, HEIGHT, WIDTH, Rig, picture, rig

from simulator import Simulator, SimulatorError, checksum, parse
from simulator.abi import VERSIONS, abi
from simulator.raw import NEED_MORE_INPUT, SUCCESS, Api, Cuda, Refused
from simulator.trace import read_calls

CODECS = {"11.1": ("H264", "HEVC"), "12.1": ("H264", "HEVC", "AV1"), "12.2": ("H264", "HEVC", "AV1")}
CODECS["13.0"] = CODECS["13.1"] = CODECS["12.2"]
EACH_VERSION_AND_CODEC = [(version, codec) for version in VERSIONS for codec in CODECS[version]]
INVALID_VERSION, UNSUPPORTED_DEVICE, OUT_OF_MEMORY, LOCK_BUSY = 15, 2, 10, 13
LOW_LATENCY, HIGH_QUALITY, ULTRA_HIGH_QUALITY = 2, 1, 5


@pytest.fixture(scope="module")
def simulator(nvsim_dir: Path) -> Simulator:
    return Simulator()


# Versions.


@pytest.mark.parametrize(
    ("maximum", "number"), [("11.1", 0xB1), ("12.1", 0xC1), ("12.2", 0xC2), ("13.0", 0xD0), ("13.1", 0xD1)]
)
def test_maximum_version_is_packed_in_hexadecimal_digits(simulator: Simulator, maximum: str, number: int) -> None:
    with simulator.machine(max_api=maximum):
        version = ctypes.c_uint32()
        assert simulator.libraries["encode"].handle.NvEncodeAPIGetMaxSupportedVersion(ctypes.byref(version)) == SUCCESS
        assert version.value == number


@pytest.mark.parametrize("maximum", VERSIONS)
def test_clients_newer_than_the_driver_are_refused(simulator: Simulator, maximum: str) -> None:
    with simulator.machine(max_api=maximum):
        for version in VERSIONS:
            if VERSIONS.index(version) <= VERSIONS.index(maximum):
                Api(version)
                continue
            with pytest.raises(Refused) as refused:
                Api(version)
            assert refused.value.status == INVALID_VERSION


def test_a_function_list_of_no_known_version_is_refused(simulator: Simulator) -> None:
    functions = abi("13.0").struct("NV_ENCODE_API_FUNCTION_LIST")
    with simulator.machine():
        for word in (0, 0x7002000A, functions.version + (1 << 16)):
            functions.version = word
            status = simulator.libraries["encode"].handle.NvEncodeAPICreateInstance(ctypes.byref(functions))
            assert status == INVALID_VERSION


@pytest.mark.parametrize("version", VERSIONS)
def test_every_slot_of_the_function_list_is_filled(simulator: Simulator, version: str) -> None:
    with simulator.machine():
        api = Api(version)
        empty = [slot for slot in api.abi.slots() if not ctypes.cast(getattr(api.list, slot), ctypes.c_void_p).value]
    assert empty == []


# Pictures.


@pytest.mark.parametrize(("version", "codec"), EACH_VERSION_AND_CODEC)
def test_a_picture_comes_back_with_its_pixels_and_times(simulator: Simulator, version: str, codec: str) -> None:
    with rig(simulator, version) as client:
        client.start(codec=codec)
        times = 0xFEDCBA9876543210
        assert client.encode(0, times, inputDuration=2**63 + 5, frameIdx=7) == SUCCESS
        locked = client.session.lock(client.outputs[0])
        assert (locked.outputTimeStamp, locked.outputDuration) == (times, 2**63 + 5)
        assert locked.pictureType == client.abi.NV_ENC_PIC_TYPE_IDR
        client.session.unlock(client.outputs[0])
        client.encode(0, times)
        unit = client.take(0)
        assert (unit.checksum, unit.timestamp) == (checksum(picture(0)), times)
        assert (unit.width, unit.height, unit.format, unit.pic_type) == (WIDTH, HEIGHT, "NV12", "P")


def test_the_frame_index_and_duration_of_the_client_are_echoed(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start()
        client.encode(0, inputDuration=3, frameIdx=9)
        unit = client.take(0)
        assert (unit.duration, unit.frame_index, unit.serial) == (3, 9, 0)


@pytest.mark.parametrize("pitch", [WIDTH, WIDTH + 192])
@pytest.mark.parametrize("given", [True, False])
def test_pitched_surfaces_and_a_height_above_the_pictures(simulator: Simulator, pitch: int, given: bool) -> None:
    rows = HEIGHT + 16  # chroma lies below the registered height, not below the picture's
    surface = picture(3, pitch * rows * 3 // 2).reshape(-1, pitch)
    visible = np.concatenate([surface[:HEIGHT, :WIDTH], surface[rows : rows + HEIGHT // 2, :WIDTH]])
    with rig(simulator) as client:
        client.start()
        client.registered.append(client.session.register(client.cuda.upload(surface), pitch, height=rows))
        client.inputs.append(client.session.map(client.registered[-1]))
        client.session.encode(client.inputs[1], client.outputs[0], inputPitch=pitch if given else 0)
        assert client.take(0).checksum == checksum(visible)


FORMATS = {
    "NV12": 1.5, "YV12": 1.5, "IYUV": 1.5, "YUV444": 3, "YUV420_10BIT": 3, "YUV444_10BIT": 6, "ARGB": 4, "ABGR": 4,
    "AYUV": 4, "ARGB10": 4, "ABGR10": 4, "NV16": 2, "P210": 4,
}  # fmt: skip


@pytest.mark.parametrize("pixels", FORMATS)
def test_every_buffer_format_is_read_whole(simulator: Simulator, pixels: str) -> None:
    image = picture(5, int(WIDTH * HEIGHT * FORMATS[pixels]))
    pitch = {"ARGB": 4, "ABGR": 4, "AYUV": 4, "ARGB10": 4, "ABGR10": 4}.get(pixels, 1) * WIDTH
    pitch *= 2 if pixels in ("YUV420_10BIT", "YUV444_10BIT", "P210") else 1
    with rig(simulator) as client:
        client.start()
        client.registered.append(client.session.register(client.cuda.upload(image), pitch, pixels))
        client.inputs.append(client.session.map(client.registered[-1]))
        kind = getattr(client.abi, f"NV_ENC_BUFFER_FORMAT_{pixels}")
        client.session.encode(client.inputs[1], client.outputs[0], bufferFmt=kind)
        unit = client.take(0)
        assert (unit.checksum, unit.format) == (checksum(image), pixels)


@pytest.mark.parametrize("version", VERSIONS)
def test_input_buffers_in_system_memory(simulator: Simulator, version: str) -> None:
    with rig(simulator, version) as client:
        client.start(surfaces=0)
        client.outputs.append(client.session.bitstream())
        params = client.abi.struct("NV_ENC_CREATE_INPUT_BUFFER", width=WIDTH, height=HEIGHT)
        params.bufferFmt = client.abi.NV_ENC_BUFFER_FORMAT_NV12
        client.session.call("nvEncCreateInputBuffer", ctypes.byref(params))
        buffer = params.inputBuffer
        for seed in range(3):
            lock = client.abi.struct("NV_ENC_LOCK_INPUT_BUFFER", inputBuffer=buffer)
            client.session.call("nvEncLockInputBuffer", ctypes.byref(lock))
            rows = picture(seed).reshape(-1, WIDTH)
            for number, row in enumerate(rows):
                ctypes.memmove(lock.bufferDataPtr + number * lock.pitch, row.tobytes(), WIDTH)
            client.session.call("nvEncUnlockInputBuffer", ctypes.c_void_p(buffer))
            client.session.encode(buffer, client.outputs[0])
            assert client.take(0).checksum == checksum(rows)
        client.session.call("nvEncDestroyInputBuffer", ctypes.c_void_p(buffer))


def test_only_the_visible_part_counts(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start(surfaces=2)
        client.encode(0)
        client.encode(1)
        assert client.take(0).checksum != client.take(1).checksum


# Order of coding.


def test_without_b_frames_every_picture_is_there_at_once(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start(surfaces=3)
        for number in range(3):
            assert client.encode(number) == SUCCESS
        assert [client.take(number).timestamp for number in range(3)] == [0, 1, 2]


def test_b_frames_come_after_their_anchor_and_in_the_buffers_in_order(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start(surfaces=8, interval=3, tuning=HIGH_QUALITY)
        statuses = [client.encode(number) for number in range(8)]
        assert statuses == [SUCCESS] + 2 * [NEED_MORE_INPUT, NEED_MORE_INPUT, SUCCESS] + [NEED_MORE_INPUT]
        units = [client.take(number) for number in range(7)]
        assert [unit.timestamp for unit in units] == [0, 3, 1, 2, 6, 4, 5]
        assert [unit.pic_type for unit in units] == ["IDR", "P", "B", "B", "P", "B", "B"]
        client.session.end()
        last = client.take(7)
        assert (last.timestamp, last.pic_type) == (7, "P")
        assert all(unit.checksum == checksum(picture(unit.timestamp)) for unit in [*units, last])


@pytest.mark.parametrize("backend", ["echo", "null"])
def test_av1_units_come_in_display_order(simulator: Simulator, backend: str) -> None:
    with rig(simulator, backend=backend) as client:
        client.start(surfaces=7, interval=3, codec="AV1")
        statuses = [client.encode(number) for number in range(7)]
        assert statuses == [SUCCESS] + 2 * [NEED_MORE_INPUT, NEED_MORE_INPUT, SUCCESS]
        times = []
        for output in client.outputs:
            times.append(client.session.lock(output).outputTimeStamp)
            client.session.unlock(output)
        assert times == list(range(7))


def test_a_lookahead_fills_before_anything_comes(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start(surfaces=9, lookahead=4)
        statuses = [client.encode(number) for number in range(9)]
        assert statuses == 4 * [NEED_MORE_INPUT] + 5 * [SUCCESS]
        assert [client.take(number).timestamp for number in range(5)] == [0, 1, 2, 3, 4]
        client.session.end()
        assert [client.take(number).timestamp for number in range(5, 9)] == [5, 6, 7, 8]


def test_the_end_may_come_often_and_the_stream_may_go_on(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start(surfaces=2, interval=3)
        client.session.end()
        client.encode(0)
        client.session.end()
        client.session.end()
        assert client.take(0).pic_type == "IDR"
        client.encode(1)
        assert client.take(1).pic_type == "IDR"


def test_forced_pictures(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start(surfaces=4)
        flags = [0, client.abi.NV_ENC_PIC_FLAG_FORCEINTRA, client.abi.NV_ENC_PIC_FLAG_FORCEIDR, 0]
        for number, flag in enumerate(flags):
            client.encode(number, encodePicFlags=flag)
        assert [client.take(number).pic_type for number in range(4)] == ["IDR", "I", "IDR", "P"]


def test_the_period_of_idr_pictures(simulator: Simulator) -> None:
    with rig(simulator) as client:
        params = client.session.params(WIDTH, HEIGHT)
        params.config.gopLength = 2
        params.config.encodeCodecConfig.h264Config.idrPeriod = 4
        client.session.initialize_with(params)
        for number in range(9):
            client.add_surface(picture(number))
            client.encode(number)
        types = [client.take(number).pic_type for number in range(9)]
        assert types == ["IDR", "P", "I", "P", "IDR", "P", "I", "P", "IDR"]


def test_the_clients_own_types_count_if_it_decides_them(simulator: Simulator) -> None:
    with rig(simulator) as client:
        params = client.session.params(WIDTH, HEIGHT)
        params.enablePTD = 0
        client.session.initialize_with(params)
        kinds = ["IDR", "P", "I", "P", "IDR"]
        reference = client.abi.class_of("NV_ENC_CODEC_PIC_PARAMS")()
        reference.h264PicParams.refPicFlag = 1
        for number, kind in enumerate(kinds):
            client.add_surface(picture(number))
            kind_number = getattr(client.abi, f"NV_ENC_PIC_TYPE_{kind}")
            client.encode(number, pictureType=kind_number, codecPicParams=reference)
        assert [client.take(number).pic_type for number in range(5)] == kinds


# Parameter sets.

PARAMETER_SETS = {"H264": (7, 8), "HEVC": (32, 33, 34), "AV1": (1,)}


def codec_config(params: Any, codec: str) -> Any:
    return getattr(params.config.encodeCodecConfig, f"{codec.lower()}Config")


@pytest.mark.parametrize("codec", PARAMETER_SETS)
@pytest.mark.parametrize("mode", ["preset", "repeat", "none"])
def test_parameter_sets_lie_where_the_client_wants_them(simulator: Simulator, codec: str, mode: str) -> None:
    names = ("repeatSeqHdr", "disableSeqHdr") if codec == "AV1" else ("repeatSPSPPS", "disableSPSPPS")
    with rig(simulator) as client:
        params = client.session.params(WIDTH, HEIGHT, codec=codec)
        setattr(codec_config(params, codec), names[0], int(mode == "repeat"))
        setattr(codec_config(params, codec), names[1], int(mode == "none"))
        client.session.initialize_with(params)
        flags = [0, client.abi.NV_ENC_PIC_FLAG_FORCEIDR, 0, client.abi.NV_ENC_PIC_FLAG_OUTPUT_SPSPPS]
        for number, flag in enumerate(flags):
            client.add_surface(picture(number))
            client.encode(number, encodePicFlags=flag)
        units = [client.take(number) for number in range(4)]
        in_band = [unit.has_headers for unit in units]
        assert in_band == {"preset": [1, 0, 0, 1], "repeat": [1, 1, 0, 1], "none": [0, 0, 0, 1]}[mode]
        assert set(PARAMETER_SETS[codec]) <= set(units[3].units)
        client.add_surface(picture(4))
        client.encode(4, encodePicFlags=client.abi.NV_ENC_PIC_FLAG_OUTPUT_SPSPPS)
        assert client.session.headers() in client.session.take(client.outputs[4])


def test_sei_messages_go_into_their_access_unit(simulator: Simulator) -> None:
    payload = bytes([0, 0, 1, 0, 0, 0, 3]) * 50
    with rig(simulator) as client:
        client.start(surfaces=2)
        data = ctypes.create_string_buffer(payload, len(payload))
        message = client.abi.struct("NV_ENC_SEI_PAYLOAD", payloadSize=len(payload), payloadType=5)
        message.payload = ctypes.addressof(data)
        params = client.session.picture(client.inputs[0], client.outputs[0])
        params.codecPicParams.h264PicParams.seiPayloadArrayCnt = 1
        params.codecPicParams.h264PicParams.seiPayloadArray = ctypes.addressof(message)
        client.session.call("nvEncEncodePicture", ctypes.byref(params))
        client.encode(1)
        assert client.take(0).sei == ((5, payload),)
        assert client.take(1).sei == ()


# Presets, capabilities, settings.


@pytest.mark.parametrize(("version", "codec"), EACH_VERSION_AND_CODEC)
def test_presets_are_plausible(simulator: Simulator, version: str, codec: str) -> None:
    with rig(simulator, version) as client:
        tunings = client.abi.NV_ENC_TUNING_INFO_COUNT
        for preset in range(1, 8):
            for tuning in range(1, tunings):
                if (codec, tuning) == ("H264", ULTRA_HIGH_QUALITY):
                    continue
                config = client.session.preset(codec, f"P{preset}", tuning).presetCfg
                inner = getattr(config.encodeCodecConfig, f"{codec.lower()}Config")
                assert config.frameIntervalP >= 1
                assert config.gopLength > 0
                assert inner.idrPeriod == config.gopLength
                assert inner.chromaFormatIDC == 1
                assert config.rcParams.averageBitRate == 0, "no recorded preset has a rate"
                assert config.frameIntervalP == 1 or tuning not in (2, 3), "B pictures cost latency"


def test_ultra_high_quality_is_for_hevc_and_av1(simulator: Simulator) -> None:
    with rig(simulator) as client:
        with pytest.raises(Refused, match="HEVC and AV1") as refused:
            client.session.preset("H264", "P5", ULTRA_HIGH_QUALITY)
        assert refused.value.status == client.abi.NV_ENC_ERR_UNSUPPORTED_PARAM
        for codec in ("HEVC", "AV1"):
            assert client.session.preset(codec, "P5", ULTRA_HIGH_QUALITY).presetCfg.rcParams.lookaheadDepth > 0


def test_only_old_clients_see_the_old_presets(simulator: Simulator) -> None:
    counts = {}
    for version in VERSIONS:
        with rig(simulator, version) as client:
            count = ctypes.c_uint32()
            guid = client.abi.guid("NV_ENC_CODEC_H264_GUID")
            client.session.call("nvEncGetEncodePresetCount", guid, ctypes.byref(count))
            counts[version] = count.value
    assert counts == {"11.1": 16, "12.1": 7, "12.2": 7, "13.0": 7, "13.1": 7}


def test_the_old_question_for_a_preset_is_answered(simulator: Simulator) -> None:
    with rig(simulator, "11.1") as client:
        config = client.abi.struct("NV_ENC_PRESET_CONFIG")
        config.presetCfg.version = client.abi.struct_version("NV_ENC_CONFIG")
        guids = client.abi.guid("NV_ENC_CODEC_H264_GUID"), client.abi.guid("NV_ENC_PRESET_LOW_LATENCY_HQ_GUID")
        client.session.call("nvEncGetEncodePresetConfig", *guids, ctypes.byref(config))
        assert config.presetCfg.frameIntervalP == 1
        assert config.presetCfg.version == client.abi.struct_version("NV_ENC_CONFIG")


def test_capabilities_are_those_of_the_gpu(simulator: Simulator) -> None:
    with rig(simulator, gpus=[{**FAST, "caps": {"WIDTH_MAX": 4321}}]) as client:
        assert client.session.cap("WIDTH_MAX") == 4321
        assert client.session.cap("NUM_ENCODER_ENGINES") == 2
        assert client.session.cap("ASYNC_ENCODE_SUPPORT") == 0
        assert client.session.cap("NUM_MAX_BFRAMES") >= 1


def test_a_codec_that_the_gpu_lacks_has_no_capabilities(simulator: Simulator) -> None:
    with rig(simulator, gpus=[{**FAST, "codecs": ["h264", "hevc"]}]) as client:
        with pytest.raises(Refused):
            client.session.cap("WIDTH_MAX", "AV1")
        with pytest.raises(Refused):
            client.start(codec="AV1")


@pytest.mark.parametrize(("width", "height", "limit"), [(64, 64, "145"), (320, 16, "49"), (5000, 240, "4096")])
def test_sizes_beyond_the_limits_are_refused_with_the_limit(
    simulator: Simulator, width: int, height: int, limit: str
) -> None:
    with rig(simulator) as client:
        with pytest.raises(Refused, match=limit) as refused:
            client.session.initialize(width, height)
        assert refused.value.status == client.abi.NV_ENC_ERR_INVALID_PARAM
        client.start()


def test_settings_are_echoed_with_a_digest_that_differs(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start(surfaces=2)
        client.encode(0)
        before = client.take(0)
        assert before.config["encodeConfig"]["rcParams"]["rateControlMode"] == "NV_ENC_PARAMS_RC_CBR"
        change = client.abi.struct("NV_ENC_RECONFIGURE_PARAMS")
        client.params.config.rcParams.averageBitRate = 1234567
        change.reInitEncodeParams = client.params
        change.forceIDR = 1
        client.session.call("nvEncReconfigureEncoder", ctypes.byref(change))
        client.encode(1)
        after = client.take(1)
        assert after.pic_type == "IDR"
        assert after.settings != before.settings
        assert after.config["encodeConfig"]["rcParams"]["averageBitRate"] == 1234567


# GPUs, engines, sessions.


def test_a_gpu_without_encoder(simulator: Simulator) -> None:
    with simulator.machine(gpus=["H200"]), Cuda() as cuda:
        with pytest.raises(Refused) as refused:
            Api().open(cuda.context)
        assert refused.value.status == UNSUPPORTED_DEVICE


@pytest.mark.parametrize("status", [OUT_OF_MEMORY, 21])
def test_the_session_limit_holds_for_all_geforce_cards_together(simulator: Simulator, status: int) -> None:
    gpus = [{**FAST, "session_limit": 3}, {**FAST, "session_limit": 3}]
    with simulator.machine(gpus=gpus, session_limit_status=status) as machine, Cuda(0) as one, Cuda(1) as other:
        sessions = [Api().open(cuda.context) for cuda in (one, other, one)]
        with pytest.raises(Refused) as refused:
            Api().open(other.context)
        assert refused.value.status == status
        assert machine.live() == {"sessions": 3}
        for session in sessions:
            session.destroy()
        Api().open(other.context).destroy()


def test_sessions_are_spread_over_the_engines(simulator: Simulator) -> None:
    with simulator.machine(gpus=[{**FAST, "engines": 3}]) as machine, Cuda() as cuda:
        clients = [Rig(machine, cuda).start() for _ in range(6)]
        for client in clients:
            client.encode(0)
        assert sorted(client.take(0).engine for client in clients) == [0, 0, 1, 1, 2, 2]
        for client in clients:
            client.close()


def test_an_unfinished_output_is_busy_for_a_client_that_does_not_wait(simulator: Simulator) -> None:
    with rig(simulator, gpus=[{"name": "RTX 4090", "engines": 1}], stall={"after_frames": 1}) as client:
        client.start(surfaces=2)
        client.encode(0)
        client.encode(1)
        client.take(0)
        with pytest.raises(Refused) as refused:
            client.session.lock(client.outputs[1], wait=False)
        assert refused.value.status == LOCK_BUSY


def test_a_stalled_engine_lets_go_of_who_waits_when_the_session_is_destroyed(simulator: Simulator) -> None:
    with rig(simulator, check=False, gpus=[{"name": "RTX 4090", "engines": 1}], stall={"after_frames": 0}) as client:
        client.start()
        client.encode(0)
        caught: list[int] = []

        def wait() -> None:
            try:
                client.session.lock(client.outputs[0])
            except Refused as refused:
                caught.append(refused.status)

        waiter = threading.Thread(target=wait)
        waiter.start()
        client.abandon()
        waiter.join(30)
        assert len(caught) == 1


def test_a_lost_device_fails_every_later_call_and_wakes_who_waits(simulator: Simulator) -> None:
    stall = {"after_frames": 1, "device_lost": True}
    with rig(simulator, gpus=[{**FAST, "engines": 1}], stall=stall) as client:
        client.start(surfaces=2)
        client.encode(0)
        client.take(0)
        client.encode(1)
        with pytest.raises(Refused):
            client.session.lock(client.outputs[1])
        for call in (lambda: client.encode(0), client.session.headers, client.session.destroy):
            with pytest.raises(Refused) as refused:
                call()
            assert refused.value.status == client.abi.NV_ENC_ERR_DEVICE_NOT_EXIST
        client.open = False


def test_a_device_is_lost_on_demand(simulator: Simulator) -> None:
    """No waiting for frames: the next call fails, and a thread that waits for a picture is woken."""
    with rig(simulator, gpus=[{**FAST, "engines": 1, "fps_1080p": 0.001}]) as client:
        client.start(surfaces=1)
        client.encode(0)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.session.lock, client.outputs[0])
            simulator.libraries["encode"].control(lose_device=0)
            with pytest.raises(Refused):
                waiting.result(60)
        with pytest.raises(Refused) as refused:
            client.session.headers()
        assert refused.value.status == client.abi.NV_ENC_ERR_DEVICE_NOT_EXIST
        with pytest.raises(SimulatorError, match="there is no GPU 1: this machine has 1"):
            simulator.libraries["encode"].control(lose_device=1)
        with pytest.raises(Refused):
            client.session.destroy()
        client.open = False


@pytest.mark.parametrize("nth", [1, 3])
def test_injected_faults(simulator: Simulator, nth: int) -> None:
    fault = {"call": "nvEncLockBitstream", "nth": nth, "status": 20}
    with rig(simulator, faults=[fault]) as client:
        client.start(surfaces=3)
        statuses = []
        for number in range(3):
            client.encode(number)
            try:
                client.take(number)
                statuses.append(0)
            except Refused as refused:
                statuses.append(refused.status)
        assert statuses == [20 if number + 1 == nth else 0 for number in range(3)]
        client.take(nth - 1)


@pytest.mark.parametrize("call", ["nvEncUnmapInputResource", "nvEncDestroyBitstreamBuffer", "nvEncDestroyEncoder"])
def test_a_failing_release_is_not_held_against_the_client(simulator: Simulator, call: str) -> None:
    with rig(simulator, faults=[{"call": call, "nth": 1, "status": 20}]) as client:
        client.start()
        client.encode(0)
        client.take(0)
        with pytest.raises(Refused):
            client.close()
        if call != "nvEncDestroyEncoder":
            client.session.destroy()


# Streams.


def set_streams(client: Rig, stream: ctypes.c_void_p) -> None:
    client.session.call("nvEncSetIOCudaStreams", ctypes.byref(stream), ctypes.byref(stream))


def test_pictures_are_read_in_the_order_of_the_clients_stream(simulator: Simulator) -> None:
    images = [picture(seed) for seed in range(40)]
    with rig(simulator, async_streams=True) as client:
        client.start(surfaces=1)
        stream = client.cuda.stream()
        set_streams(client, stream)
        client.outputs += [client.session.bitstream() for _ in images[1:]]
        target = ctypes.c_uint64(client.pointers[0])
        for number, image in enumerate(images):
            source = ctypes.c_void_p(image.ctypes.data)
            client.cuda.check(
                client.cuda.lib.cuMemcpyHtoDAsync_v2(target, source, ctypes.c_size_t(image.nbytes), stream)
            )
            client.session.encode(client.inputs[0], client.outputs[number], number)
        units = [client.take(number) for number in range(len(images))]
        client.cuda.check(client.cuda.lib.cuStreamDestroy_v2(stream))
    assert [unit.checksum for unit in units] == [checksum(image) for image in images]


# Trace, null backend.


def test_the_trace_names_every_field(simulator: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with rig(simulator, "12.1", trace=str(path)) as client:
        client.start(codec="HEVC")
        client.encode(0, 55)
        client.take(0)
    (start,) = read_calls(path, "nvEncInitializeEncoder")
    assert start.api == "12.1"
    assert start.args["encodeGUID"] == "NV_ENC_CODEC_HEVC_GUID"
    assert start.args["encodeConfig"]["encodeCodecConfig"]["chromaFormatIDC"] == 1
    first, *_ = read_calls(path, "nvEncEncodePicture")
    assert (first.args["inputTimeStamp"], first.args["bufferFmt"]) == (55, "NV_ENC_BUFFER_FORMAT_NV12")
    (locked,) = read_calls(path, "nvEncLockBitstream")
    assert locked.args["outputTimeStamp"] == 55
    assert {call.session for call in read_calls(path) if call.library == "encode" and call.session} == {first.session}


@pytest.mark.parametrize("size", [64, 1024, 50_000])
@pytest.mark.parametrize("rate", [0, 100_000])
def test_the_null_backend_gives_blocks_of_one_size(simulator: Simulator, size: int, rate: float) -> None:
    gpu = {"name": "RTX 4090", "fps_1080p": rate}
    with rig(simulator, gpus=[gpu], backend="null", null_bytes=size) as client:
        client.start(surfaces=3)
        for number in range(3):
            assert client.encode(number) == SUCCESS
        data = [client.session.take(client.outputs[number]) for number in range(3)]
        assert [abs(len(unit) - size) <= 64 for unit in data[1:]] == [True, True]
        assert data[1] == data[2]


def test_two_sessions_do_not_mix(simulator: Simulator) -> None:
    with simulator.machine(gpus=[FAST]) as machine, Cuda() as cuda:
        clients = [Rig(machine, cuda).start(surfaces=3) for _ in range(2)]
        for number in range(3):
            for which, client in enumerate(clients):
                client.encode(number, 10 * which + number)
        times = [[client.take(number).timestamp for number in range(3)] for client in clients]
        assert times == [[0, 1, 2], [10, 11, 12]]
        for client in clients:
            client.close()


def test_parsing_several_access_units_at_once(simulator: Simulator) -> None:
    with rig(simulator) as client:
        client.start(surfaces=3)
        for number in range(3):
            client.encode(number)
        stream = b"".join(client.session.take(output) for output in client.outputs)
        assert [unit.timestamp for unit in parse(stream)] == [0, 1, 2]


# Features that a GPU does not support.


@pytest.mark.parametrize("gpu", ["GTX 1080", "T4", "RTX 3090", "RTX 4090", "RTX 5090"])
def test_every_preset_starts_on_every_gpu(simulator: Simulator, gpu: str) -> None:
    refused = []
    with simulator.machine(gpus=[{"name": gpu, "fps_1080p": 0, "session_limit": 0}]), Cuda() as cuda:
        api = Api()
        for codec, preset, tuning in itertools.product(
            CODECS["13.0"], range(1, 8), range(1, api.abi.NV_ENC_TUNING_INFO_COUNT)
        ):
            if (codec, tuning) == ("H264", ULTRA_HIGH_QUALITY):
                continue
            session = api.open(cuda.context)
            try:
                if session.supports(codec):
                    session.initialize(codec=codec, preset=f"P{preset}", tuning=tuning)
            except Refused as failure:
                lossless = tuning == api.abi.NV_ENC_TUNING_INFO_LOSSLESS
                if not lossless or session.cap("SUPPORT_LOSSLESS_ENCODE", codec):
                    refused.append((codec, preset, tuning, str(failure)))
            session.destroy()
    assert refused == []


NEEDS: dict[str, tuple[str, int]] = {
    "rcParams.enableLookahead": ("SUPPORT_LOOKAHEAD", 1),
    "rcParams.enableTemporalAQ": ("SUPPORT_TEMPORAL_AQ", 1),
    "rcParams.vbvBufferSize": ("SUPPORT_CUSTOM_VBV_BUF_SIZE", 100_000),
    "encodeCodecConfig.h264Config.chromaFormatIDC": ("SUPPORT_YUV444_ENCODE", 3),
    "encodeCodecConfig.h264Config.outputBitDepth": ("SUPPORT_10BIT_ENCODE", 10),
    "encodeCodecConfig.h264Config.enableIntraRefresh": ("SUPPORT_INTRA_REFRESH", 1),
    "encodeCodecConfig.h264Config.enableLTR": ("NUM_MAX_LTR_FRAMES", 1),
    "encodeCodecConfig.h264Config.qpPrimeYZeroTransformBypassFlag": ("SUPPORT_LOSSLESS_ENCODE", 1),
    "monoChromeEncoding": ("SUPPORT_MONOCHROME", 1),
    "frameFieldMode": ("SUPPORT_FIELD_ENCODING", 2),
    "frameIntervalP": ("NUM_MAX_BFRAMES", 3),
}


@pytest.mark.parametrize("field", NEEDS)
def test_features_that_the_gpu_lacks_are_refused_by_name(simulator: Simulator, field: str) -> None:
    capability, value = NEEDS[field]
    *path, last = field.split(".")
    for present in (0, 8):
        reported = last == "frameIntervalP"  # which a real card takes: see STRICTER in test_sim_recordings.py
        with rig(simulator, check=not reported, gpus=[{**FAST, "caps": {capability: present}}]) as client:
            params = client.session.params(WIDTH, HEIGHT)
            target = params.config
            for part in path:
                target = getattr(target, part)
            setattr(target, last, value)
            params.config.rcParams.lookaheadDepth = 4
            if present:
                client.session.initialize_with(params)
                continue
            with pytest.raises(Refused, match="B pictures" if last == "frameIntervalP" else capability) as refused:
                client.session.initialize_with(params)
            assert refused.value.status == client.abi.NV_ENC_ERR_INVALID_PARAM


def test_a_call_made_to_fail_is_traced_with_its_session(simulator: Simulator, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    fault = {"call": "nvEncEncodePicture", "nth": 1, "status": 18}
    with rig(simulator, trace=str(path), faults=[fault]) as client:
        client.start(codec="AV1")
        with pytest.raises(Refused, match="fault injected"):
            client.encode(0)
    first, *_ = read_calls(path, "nvEncEncodePicture")
    assert (first.status, first.session) == (18, read_calls(path, "nvEncInitializeEncoder")[0].session)
