"""The calls whose statuses were recorded from an RTX 3060: tests/driver/recordings/statuses.json.

Each probe answers the status of the one call that it is about.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from simulator.raw import Api, Cuda, Session

WIDTH, HEIGHT = 320, 240
UNKNOWN_GUID = bytes(range(16))


class Prober:
    """A client with a session, which `started()` initialises."""

    def __init__(self, cuda: Cuda) -> None:
        self.cuda = cuda
        self.api = Api()
        self.abi = self.api.abi
        self.session: Session = self.api.open(cuda.context)
        self._keep: list[Any] = []

    def ask(self, call: str, *arguments: Any, handle: Any = ...) -> int:
        target = self.session.handle if handle is ... else handle
        return int(getattr(self.api, call)(target, *arguments))

    def struct(self, name: str, **fields: Any) -> Any:
        value = self.abi.struct(name, **fields)
        self._keep.append(value)
        return value

    def give(self, call: str, struct: str, **fields: Any) -> int:
        """A call with one struct, which has its version unless the fields say otherwise."""
        return self.ask(call, ctypes.byref(self.struct(struct, **fields)))

    def codec(self, name: str) -> Any:
        return self.abi.guid(f"NV_ENC_CODEC_{name}_GUID")

    def no_guid(self, content: bytes = bytes(16)) -> Any:
        return self.abi.class_of("GUID").from_buffer_copy(content)

    def params(self, codec: str = "H264", tuning: int = 1, **fields: Any) -> Any:
        params = self.session.params(WIDTH, HEIGHT, codec=codec, tuning=tuning)
        for key, value in fields.items():
            setattr(params, key, value)
        self._keep.append(params)
        return params

    def initialize(self, params: Any) -> int:
        self.session.width, self.session.height = params.encodeWidth, params.encodeHeight
        return self.ask("nvEncInitializeEncoder", ctypes.byref(params))

    def initialize_with(self, codec: str = "H264", tuning: int = 1, **fields: Any) -> int:
        return self.initialize(self.params(codec, tuning, **fields))

    def configured(self, *, codec: str = "H264", tuning: int = 1, **fields: Any) -> int:
        params = self.params(codec, tuning)
        for key, value in fields.items():
            setattr(params.config, key, value)
        return self.initialize(params)

    def started(self) -> Prober:
        assert self.initialize(self.params(tuning=2)) == 0
        return self

    def surface(self) -> tuple[int, int]:
        """A mapped input and an output."""
        self.resource = self.session.register(self.cuda.allocate(WIDTH * HEIGHT * 3 // 2))
        self.mapped = self.session.map(self.resource)
        return self.mapped, self.session.bitstream()

    def picture(self, **fields: Any) -> int:
        """A valid picture, except for the given fields."""
        source, output = self.started().surface()
        params = self.session.picture(source, output)
        for key, value in fields.items():
            setattr(params, key, value)
        return self.ask("nvEncEncodePicture", ctypes.byref(params))

    def payload(self, room: int = 1024, **fields: Any) -> Any:
        buffer, size = ctypes.create_string_buffer(1024), ctypes.c_uint32()
        self._keep += [buffer, size]
        params = self.struct("NV_ENC_SEQUENCE_PARAM_PAYLOAD", inBufferSize=room)
        params.spsppsBuffer, params.outSPSPPSPayloadSize = ctypes.addressof(buffer), ctypes.addressof(size)
        for key, value in fields.items():
            setattr(params, key, value)
        return params

    def headers(self, **fields: Any) -> int:
        return self.started().ask("nvEncGetSequenceParams", ctypes.byref(self.payload(**fields)))

    def reconfigure(self, width: int = WIDTH, height: int = HEIGHT, **fields: Any) -> int:
        change = self.started().struct("NV_ENC_RECONFIGURE_PARAMS", reInitEncodeParams=self.params(tuning=2), **fields)
        change.reInitEncodeParams.encodeWidth, change.reInitEncodeParams.encodeHeight = width, height
        return self.ask("nvEncReconfigureEncoder", ctypes.byref(change))

    def open(self, **fields: Any) -> int:
        params = self.struct("NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS", deviceType=1, device=self.cuda.context)
        params.apiVersion = self.abi.NVENCAPI_VERSION
        for key, value in fields.items():
            setattr(params, key, value)
        handle = ctypes.c_void_p()
        status = int(self.api.nvEncOpenEncodeSessionEx(ctypes.byref(params), ctypes.byref(handle)))
        if status == 0:
            self.api.nvEncDestroyEncoder(handle)
        return status

    def list_with(self, version: int) -> int:
        functions = self.struct("NV_ENCODE_API_FUNCTION_LIST", version=version)
        return int(self.api.lib.NvEncodeAPICreateInstance(ctypes.byref(functions)))

    def count(self, call: str, codec: Any) -> int:
        return self.ask(call, codec, ctypes.byref(ctypes.c_uint32()))

    def caps(self, codec: str = "H264", number: int = 0, **fields: Any) -> int:
        params = self.struct("NV_ENC_CAPS_PARAM", capsToQuery=number, **fields)
        return self.ask("nvEncGetEncodeCaps", self.codec(codec), ctypes.byref(params), ctypes.byref(ctypes.c_int()))

    def preset(self, codec: str = "H264", guid: Any = None, tuning: int = 1, **fields: Any) -> int:
        config = self.struct("NV_ENC_PRESET_CONFIG")
        config.presetCfg.version = self.abi.struct_version("NV_ENC_CONFIG")
        for key, value in fields.items():
            setattr(config, key, value)
        wanted = self.abi.guid("NV_ENC_PRESET_P4_GUID") if guid is None else guid
        return self.ask("nvEncGetEncodePresetConfigEx", self.codec(codec), wanted, tuning, ctypes.byref(config))

    def legacy_preset(self) -> int:
        config = self.struct("NV_ENC_PRESET_CONFIG")
        config.presetCfg.version = self.abi.struct_version("NV_ENC_CONFIG")
        guid = self.abi.guid("NV_ENC_PRESET_P4_GUID")
        return self.ask("nvEncGetEncodePresetConfig", self.codec("H264"), guid, ctypes.byref(config))

    def system_buffer(self, pixels: int | None = None, width: int = WIDTH, height: int = HEIGHT) -> int:
        wanted = self.abi.NV_ENC_BUFFER_FORMAT_NV12 if pixels is None else pixels
        return self.give(
            "nvEncCreateInputBuffer", "NV_ENC_CREATE_INPUT_BUFFER", width=width, height=height, bufferFmt=wanted
        )

    def register(self, **fields: Any) -> int:
        params = self.started().struct("NV_ENC_REGISTER_RESOURCE", width=WIDTH, height=HEIGHT, pitch=WIDTH)
        params.resourceType = self.abi.NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR
        params.resourceToRegister = self.cuda.allocate(WIDTH * HEIGHT * 3 // 2)
        params.bufferFormat = self.abi.NV_ENC_BUFFER_FORMAT_NV12
        for key, value in fields.items():
            setattr(params, key, value)
        return self.ask("nvEncRegisterResource", ctypes.byref(params))

    def map_again(self) -> int:
        self.started().surface()
        return self.give("nvEncMapInputResource", "NV_ENC_MAP_INPUT_RESOURCE", registeredResource=self.resource)

    def unmap_again(self) -> int:
        self.started().surface()
        assert self.ask("nvEncUnmapInputResource", ctypes.c_void_p(self.mapped)) == 0
        return self.ask("nvEncUnmapInputResource", ctypes.c_void_p(self.mapped))

    def idle_bitstream(self) -> int:
        return self.started().ask("nvEncUnlockBitstream", ctypes.c_void_p(self.session.bitstream()))

    def streams(self) -> int:
        stream = self.cuda.stream()
        return self.started().ask("nvEncSetIOCudaStreams", ctypes.byref(stream), ctypes.byref(stream))

    def described(self) -> int:
        return self.started().ask(
            "nvEncGetSequenceParamEx", ctypes.byref(self.params(tuning=2)), ctypes.byref(self.payload())
        )

    def rate_control(self, tuning: int, mode: int) -> int:
        params = self.params(tuning=tuning)
        params.config.rcParams.rateControlMode = mode
        return self.initialize(params)

    def other_format(self) -> int:
        return self.picture(bufferFmt=self.abi.NV_ENC_BUFFER_FORMAT_IYUV)

    def wrong_version(self, call: str, struct: str) -> int:
        return self.started().give(call, struct, version=0)

    def on_null(self, call: str) -> int:
        return self.started().ask(call, None)


def end_of_stream(prober: Prober) -> int:
    flags = prober.abi.NV_ENC_PIC_FLAG_EOS
    return prober.started().give("nvEncEncodePicture", "NV_ENC_PIC_PARAMS", encodePicFlags=flags)


def no_config(prober: Prober) -> int:
    return prober.initialize_with(encodeConfig=None)


def maximum(width: int, height: int) -> Callable[[Prober], int]:
    return lambda p: p.initialize_with(maxEncodeWidth=width, maxEncodeHeight=height)


def size(width: int, height: int, codec: str = "H264") -> Callable[[Prober], int]:
    return lambda p: p.initialize_with(codec, encodeWidth=width, encodeHeight=height)


def gop(length: int, interval: int) -> Callable[[Prober], int]:
    return lambda p: p.configured(gopLength=length, frameIntervalP=interval)


PROBES: dict[str, Callable[[Prober], int]] = {
    "version_query_null": lambda p: int(p.api.lib.NvEncodeAPIGetMaxSupportedVersion(None)),
    "list_version_next": lambda p: p.list_with(p.abi.struct_version("NV_ENCODE_API_FUNCTION_LIST") + 1),
    "list_version_zero": lambda p: p.list_with(0),
    "open_other_api": lambda p: p.open(apiVersion=99),
    "open_null_device": lambda p: p.open(device=None),
    "open_null_params": lambda p: int(p.api.nvEncOpenEncodeSessionEx(None, ctypes.byref(ctypes.c_void_p()))),
    "open_null_result": lambda p: int(
        p.api.nvEncOpenEncodeSessionEx(ctypes.byref(p.struct("NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS")), None)
    ),
    "open_version_zero": lambda p: p.open(version=0),
    "open_directx": lambda p: p.open(deviceType=0),
    "open_unknown_type": lambda p: p.open(deviceType=7),
    "open_opengl": lambda p: p.open(deviceType=2),
    "null_session": lambda p: p.ask("nvEncGetEncodeGUIDCount", ctypes.byref(ctypes.c_uint32()), handle=None),
    "null_session_destroy": lambda p: p.ask("nvEncDestroyEncoder", handle=None),
    "missing_codec_profiles": lambda p: p.count("nvEncGetEncodeProfileGUIDCount", p.codec("AV1")),
    "missing_codec_formats": lambda p: p.count("nvEncGetInputFormatCount", p.no_guid(UNKNOWN_GUID)),
    "missing_codec_caps": lambda p: p.caps("AV1"),
    "missing_codec_presets": lambda p: p.count("nvEncGetEncodePresetCount", p.codec("AV1")),
    "caps_past_the_last": lambda p: p.caps(number=61),
    "caps_version_zero": lambda p: p.caps(version=0),
    "preset_legacy": Prober.legacy_preset,
    "preset_unknown": lambda p: p.preset(guid=p.no_guid()),
    "preset_tuning_zero": lambda p: p.preset(tuning=0),
    "preset_tuning_nine": lambda p: p.preset(tuning=9),
    "preset_version_zero": lambda p: p.preset("AV1", version=0),
    "preset_null": lambda p: p.ask("nvEncGetEncodePresetConfigEx", p.codec("AV1"), p.no_guid(), 1, None),
    "preset_missing_codec": lambda p: p.preset("AV1", guid=p.no_guid(), tuning=9),
    "initialize_too_small": size(144, 49),
    "initialize_too_large": size(4097, 240),
    "initialize_odd_size": size(147, 51),
    "initialize_missing_codec": lambda p: p.initialize_with(encodeGUID=p.codec("AV1")),
    "initialize_zero_codec": lambda p: p.initialize_with(encodeGUID=p.no_guid()),
    "initialize_no_config": no_config,
    "initialize_unknown_preset": lambda p: p.initialize_with(presetGUID=p.no_guid()),
    "initialize_tuning_zero": lambda p: p.initialize_with(tuningInfo=0),
    "initialize_tuning_nine": lambda p: p.initialize_with(tuningInfo=9),
    "initialize_lossless_rate_control": lambda p: p.rate_control(4, 1),
    "initialize_no_frame_rate": lambda p: p.initialize_with(frameRateNum=0, frameRateDen=0),
    "initialize_no_aspect": lambda p: p.initialize_with(darWidth=0, darHeight=0),
    "initialize_client_types": lambda p: p.initialize_with(enablePTD=0),
    "initialize_maximum_below": maximum(WIDTH - 16, HEIGHT - 16),
    "initialize_maximum_above": maximum(WIDTH + 16, HEIGHT + 16),
    "initialize_async": lambda p: p.initialize_with(enableEncodeAsync=1),
    "initialize_unknown_profile": lambda p: p.configured(profileGUID=p.no_guid(UNKNOWN_GUID)),
    "initialize_foreign_profile": lambda p: p.configured(profileGUID=p.abi.guid("NV_ENC_HEVC_PROFILE_MAIN_GUID")),
    "initialize_unknown_rate_control": lambda p: p.rate_control(1, 99),
    "initialize_short_gop": gop(8, 9),
    "initialize_equal_gop": gop(2, 2),
    "initialize_no_gop": gop(0, 5),
    "initialize_many_b_frames": gop(250, 9),
    "initialize_again": lambda p: p.started().initialize_with(tuning=2),
    "initialize_config_version_zero": lambda p: p.configured(version=0),
    "early_input": lambda p: p.system_buffer(),
    "early_bitstream": lambda p: p.give("nvEncCreateBitstreamBuffer", "NV_ENC_CREATE_BITSTREAM_BUFFER"),
    "early_headers": lambda p: p.ask("nvEncGetSequenceParams", ctypes.byref(p.payload())),
    "early_picture": lambda p: p.give("nvEncEncodePicture", "NV_ENC_PIC_PARAMS"),
    "input_foreign_format": lambda p: p.started().system_buffer(p.abi.NV_ENC_BUFFER_FORMAT_YUV420_10BIT),
    "input_unknown_format": lambda p: p.started().system_buffer(0),
    "input_no_size": lambda p: p.started().system_buffer(width=0, height=0),
    "destroy_null_input": lambda p: p.on_null("nvEncDestroyInputBuffer"),
    "unlock_null_input": lambda p: p.on_null("nvEncUnlockInputBuffer"),
    "lock_input_null_struct": lambda p: p.on_null("nvEncLockInputBuffer"),
    "lock_null_input": lambda p: p.started().give("nvEncLockInputBuffer", "NV_ENC_LOCK_INPUT_BUFFER"),
    "destroy_null_bitstream": lambda p: p.on_null("nvEncDestroyBitstreamBuffer"),
    "unlock_null_bitstream": lambda p: p.on_null("nvEncUnlockBitstream"),
    "unlock_idle_bitstream": Prober.idle_bitstream,
    "register_null": lambda p: p.register(resourceToRegister=None),
    "register_no_format": lambda p: p.register(bufferFormat=0),
    "register_no_width": lambda p: p.register(width=0),
    "register_version_zero": lambda p: p.wrong_version("nvEncRegisterResource", "NV_ENC_REGISTER_RESOURCE"),
    "map_again": Prober.map_again,
    "map_null": lambda p: p.on_null("nvEncMapInputResource"),
    "unmap_again": Prober.unmap_again,
    "picture_null_input": lambda p: p.picture(inputBuffer=None),
    "picture_null_output": lambda p: p.picture(outputBitstream=None),
    "picture_other_width": lambda p: p.picture(inputWidth=WIDTH - 16),
    "picture_other_format": Prober.other_format,
    "picture_unknown_struct": lambda p: p.picture(pictureStruct=9),
    "picture_end": end_of_stream,
    "headers_small": lambda p: p.headers(room=4),
    "headers_null_buffer": lambda p: p.headers(spsppsBuffer=None),
    "headers_version_zero": lambda p: p.headers(version=0),
    "headers_of_settings": Prober.described,
    "reconfigure_same": lambda p: p.reconfigure(),
    "reconfigure_larger": lambda p: p.reconfigure(WIDTH + 64, HEIGHT + 48),
    "reconfigure_smaller": lambda p: p.reconfigure(WIDTH - 64, HEIGHT - 48),
    "reconfigure_version_zero": lambda p: p.reconfigure(version=0),
    "reconfigure_null": lambda p: p.on_null("nvEncReconfigureEncoder"),
    "invalidate_zero": lambda p: p.started().ask("nvEncInvalidateRefFrames", 0),
    "set_streams": Prober.streams,
    "encode_stats": lambda p: p.started().give("nvEncGetEncodeStats", "NV_ENC_STAT"),
    "register_event": lambda p: p.started().give("nvEncRegisterAsyncEvent", "NV_ENC_EVENT_PARAMS"),
    "unregister_event": lambda p: p.started().give("nvEncUnregisterAsyncEvent", "NV_ENC_EVENT_PARAMS"),
    "create_mv_buffer": lambda p: p.started().give("nvEncCreateMVBuffer", "NV_ENC_CREATE_MV_BUFFER"),
    "destroy_null_mv_buffer": lambda p: p.on_null("nvEncDestroyMVBuffer"),
    "motion_only": lambda p: p.started().give("nvEncRunMotionEstimationOnly", "NV_ENC_MEONLY_PARAMS"),
    "lookahead_empty": lambda p: p.started().give("nvEncLookaheadPicture", "NV_ENC_LOOKAHEAD_PIC_PARAMS"),
    "restore_empty": lambda p: p.started().give("nvEncRestoreEncoderState", "NV_ENC_RESTORE_ENCODER_STATE_PARAMS"),
}
