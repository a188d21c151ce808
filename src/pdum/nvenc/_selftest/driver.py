"""The encoder library by ctypes, without any of the checks that the package makes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from .cuda import Cuda
from .interface import Interface

SUCCESS, NEED_MORE_INPUT = 0, 17


class Refused(Exception):
    """A call of the encoder library answered something else than success."""

    def __init__(self, call: str, status: int, name: str) -> None:
        super().__init__(f"{call} answered {name} ({status})")
        self.call, self.status, self.name = call, status, name


class Driver:
    """The functions of the encoder library."""

    def __init__(self, interface: Interface) -> None:
        self.interface = interface
        self.library = ctypes.CDLL("libnvidia-encode.so.1")
        listed = interface.struct("NV_ENCODE_API_FUNCTION_LIST")
        status = int(self.library.NvEncodeAPICreateInstance(ctypes.byref(listed)))
        if status:
            raise Refused("NvEncodeAPICreateInstance", status, interface.name_of_status(status))
        self._listed = listed
        self.functions = interface.functions(listed)

    def open(self, cuda: Cuda) -> Session:
        interface = self.interface
        params = interface.struct("NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS", apiVersion=interface.NVENCAPI_VERSION)
        params.deviceType = interface.NV_ENC_DEVICE_TYPE_CUDA
        params.device = cuda.context
        handle = ctypes.c_void_p()
        status = int(self.functions["nvEncOpenEncodeSessionEx"](ctypes.byref(params), ctypes.byref(handle)))
        if status:
            if handle.value:  # the header asks for it even then
                self.functions["nvEncDestroyEncoder"](handle)
            raise Refused("nvEncOpenEncodeSessionEx", status, interface.name_of_status(status))
        return Session(self, handle)


class Session:
    """One encode session. ``ask`` answers a status, ``must`` raises unless it is success."""

    def __init__(self, driver: Driver, handle: ctypes.c_void_p) -> None:
        self.driver, self.interface, self.handle = driver, driver.interface, handle
        self._is_open = True

    def ask(self, call: str, *arguments: Any) -> int:
        return int(self.driver.functions[call](self.handle, *arguments))

    def must(self, call: str, *arguments: Any) -> None:
        status = self.ask(call, *arguments)
        if status:
            raise Refused(call, status, self.interface.name_of_status(status))

    def destroy(self) -> int:
        """The status; a second call does nothing."""
        was_open, self._is_open = self._is_open, False
        return self.ask("nvEncDestroyEncoder") if was_open else 0

    def codec_guid(self, codec: str) -> Any:
        return self.interface.guid(f"NV_ENC_CODEC_{codec.upper()}_GUID")

    def codecs(self) -> tuple[str, ...]:
        """Those that the GPU lists."""
        guids = (self.interface.class_of("GUID") * 16)()
        count = ctypes.c_uint32()
        self.must("nvEncGetEncodeGUIDs", ctypes.byref(guids), 16, ctypes.byref(count))
        listed = [bytes(guid) for guid in guids[: count.value]]
        return tuple(codec for codec in ("h264", "hevc", "av1") if bytes(self.codec_guid(codec)) in listed)

    def cap(self, codec: str, number: int) -> tuple[int, int]:
        """Status and value of one capability."""
        params = self.interface.struct("NV_ENC_CAPS_PARAM", capsToQuery=number)
        value = ctypes.c_int()
        guid = self.codec_guid(codec)
        return self.ask("nvEncGetEncodeCaps", guid, ctypes.byref(params), ctypes.byref(value)), value.value

    def preset(self, codec: str, preset: int, tuning: int) -> Any:
        """An NV_ENC_PRESET_CONFIG."""
        config = self.interface.struct("NV_ENC_PRESET_CONFIG")
        config.presetCfg.version = self.interface.version_word("NV_ENC_CONFIG")
        guid = self.interface.guid(f"NV_ENC_PRESET_P{preset}_GUID")
        self.must("nvEncGetEncodePresetConfigEx", self.codec_guid(codec), guid, tuning, ctypes.byref(config))
        return config


class Settings:
    """NV_ENC_INITIALIZE_PARAMS over a preset's configuration. Change ``params`` and ``config`` before use."""

    def __init__(self, session: Session, codec: str, size: tuple[int, int], preset: int = 4, tuning: int = 1) -> None:
        interface = session.interface
        self.codec = codec
        self.config = session.preset(codec, preset, tuning).presetCfg
        params = self.params = interface.struct("NV_ENC_INITIALIZE_PARAMS", tuningInfo=tuning, enablePTD=1)
        params.encodeGUID = session.codec_guid(codec)
        params.presetGUID = interface.guid(f"NV_ENC_PRESET_P{preset}_GUID")
        params.encodeWidth, params.encodeHeight = params.darWidth, params.darHeight = size
        params.frameRateNum, params.frameRateDen = 30, 1
        params.encodeConfig = ctypes.addressof(self.config)

    @property
    def codec_config(self) -> Any:
        """The codec's own part of the configuration."""
        return getattr(self.config.encodeCodecConfig, f"{self.codec}Config")

    @property
    def rate(self) -> Any:
        return self.config.rcParams

    def structure(self, bframes: int = 0, lookahead: int = 0, gop: int | None = None) -> None:
        self.config.frameIntervalP = bframes + 1
        self.rate.enableLookahead, self.rate.lookaheadDepth = int(lookahead > 0), lookahead
        if bframes == 0:
            self.codec_config.useBFramesAsRef = 0
        if gop is not None:
            self.config.gopLength = self.codec_config.idrPeriod = gop


Change = Callable[[Settings], None]
