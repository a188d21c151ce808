"""A client of the encoder library that makes exactly the calls of a test, right or wrong."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from simulator import SimulatorError
from simulator.abi import Abi, abi

SUCCESS, NEED_MORE_INPUT = 0, 17


class Refused(Exception):
    """A call did not answer success."""

    def __init__(self, call: str, status: int, text: str) -> None:
        super().__init__(f"{call}: status {status}: {text}")
        self.call, self.status, self.text = call, status, text


class Cuda:
    """A context and memory of libcuda, simulated or real."""

    def __init__(self, device: int = 0) -> None:
        self.lib = ctypes.CDLL("libcuda.so.1")
        self.context = ctypes.c_void_p()
        self.check(self.lib.cuInit(0))
        self.check(self.lib.cuDevicePrimaryCtxRetain(ctypes.byref(self.context), device))
        self.device = device
        self.check(self.lib.cuCtxPushCurrent_v2(self.context))
        self._memory: list[int] = []

    @staticmethod
    def check(status: int) -> None:
        if status:
            raise SimulatorError(f"CUDA error {status}")

    def allocate(self, size: int) -> int:
        pointer = ctypes.c_uint64()
        self.check(self.lib.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(size)))
        self._memory.append(pointer.value)
        return pointer.value

    def upload(self, image: np.ndarray[Any, Any], pointer: int | None = None) -> int:
        data = np.ascontiguousarray(image)
        target = self.allocate(data.nbytes) if pointer is None else pointer
        self.check(
            self.lib.cuMemcpyHtoD_v2(
                ctypes.c_uint64(target), ctypes.c_void_p(data.ctypes.data), ctypes.c_size_t(data.nbytes)
            )
        )
        return target

    def stream(self) -> ctypes.c_void_p:
        stream = ctypes.c_void_p()
        self.check(self.lib.cuStreamCreate(ctypes.byref(stream), 1))
        return stream

    def close(self) -> None:
        for pointer in self._memory:
            self.check(self.lib.cuMemFree_v2(ctypes.c_uint64(pointer)))
        popped = ctypes.c_void_p()
        self.check(self.lib.cuCtxPopCurrent_v2(ctypes.byref(popped)))
        self.check(self.lib.cuDevicePrimaryCtxRelease_v2(self.device))

    def __enter__(self) -> Cuda:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Api:
    """The function list of one API version."""

    def __init__(self, version: str = "13.0") -> None:
        self.abi: Abi = abi(version)
        self.lib = ctypes.CDLL("libnvidia-encode.so.1")
        self.list = self.abi.struct("NV_ENCODE_API_FUNCTION_LIST")
        status = self.lib.NvEncodeAPICreateInstance(ctypes.byref(self.list))
        if status:
            raise Refused("NvEncodeAPICreateInstance", status, "")

    def __getattr__(self, name: str) -> Any:
        return self.abi.function(name, ctypes.cast(getattr(self.list, name), ctypes.c_void_p).value or 0)

    def open(self, context: ctypes.c_void_p, **fields: Any) -> Session:
        params = self.abi.struct("NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS")
        params.deviceType = self.abi.NV_ENC_DEVICE_TYPE_CUDA
        params.device = context
        params.apiVersion = self.abi.NVENCAPI_VERSION
        for key, value in fields.items():
            setattr(params, key, value)
        handle = ctypes.c_void_p()
        status = self.nvEncOpenEncodeSessionEx(ctypes.byref(params), ctypes.byref(handle))
        if status:
            raise Refused("nvEncOpenEncodeSessionEx", status, self.error(handle))
        return Session(self, handle)

    def error(self, handle: ctypes.c_void_p | None) -> str:
        text: bytes = self.nvEncGetLastErrorString(handle) or b""
        return text.decode()


class Session:
    """One encode session. Methods raise Refused if the driver refuses."""

    def __init__(self, api: Api, handle: ctypes.c_void_p) -> None:
        self.api, self.abi, self.handle = api, api.abi, handle
        self._keep: list[Any] = []
        self.codec = "H264"

    def call(self, name: str, *arguments: Any, allow: tuple[int, ...] = (SUCCESS,)) -> int:
        status = int(getattr(self.api, name)(self.handle, *arguments))
        if status not in allow:
            raise Refused(name, status, self.api.error(self.handle))
        return status

    def preset(self, codec: str = "H264", preset: str = "P3", tuning: int = 2) -> Any:
        """The NV_ENC_PRESET_CONFIG of a preset and tuning."""
        config = self.abi.struct("NV_ENC_PRESET_CONFIG")
        config.presetCfg.version = self.abi.struct_version("NV_ENC_CONFIG")
        guids = self.abi.guid(f"NV_ENC_CODEC_{codec}_GUID"), self.abi.guid(f"NV_ENC_PRESET_{preset}_GUID")
        self.call("nvEncGetEncodePresetConfigEx", *guids, tuning, ctypes.byref(config))
        return config

    def params(self, width: int, height: int, codec: str = "H264", preset: str = "P3", tuning: int = 2) -> Any:
        """NV_ENC_INITIALIZE_PARAMS over the preset's configuration, which is its `encodeConfig` (also at .config)."""
        config = self.preset(codec, preset, tuning).presetCfg
        params = self.abi.struct("NV_ENC_INITIALIZE_PARAMS")
        params.encodeGUID = self.abi.guid(f"NV_ENC_CODEC_{codec}_GUID")
        params.presetGUID = self.abi.guid(f"NV_ENC_PRESET_{preset}_GUID")
        params.tuningInfo = tuning
        params.encodeWidth = params.darWidth = width
        params.encodeHeight = params.darHeight = height
        params.frameRateNum, params.frameRateDen = 30, 1
        params.enablePTD = 1
        params.encodeConfig = ctypes.addressof(config)
        params.config = config
        self.codec = codec
        return params

    def initialize(self, width: int = 320, height: int = 240, **arguments: Any) -> None:
        self.initialize_with(self.params(width, height, **arguments))

    def initialize_with(self, params: Any) -> None:
        self.width, self.height = params.encodeWidth, params.encodeHeight
        self.call("nvEncInitializeEncoder", ctypes.byref(params))

    def bitstream(self) -> int:
        params = self.abi.struct("NV_ENC_CREATE_BITSTREAM_BUFFER")
        self.call("nvEncCreateBitstreamBuffer", ctypes.byref(params))
        return int(params.bitstreamBuffer)

    def register(self, pointer: int, pitch: int | None = None, pixels: str = "NV12", **fields: Any) -> int:
        params = self.abi.struct("NV_ENC_REGISTER_RESOURCE")
        params.resourceType = self.abi.NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR
        params.resourceToRegister = pointer
        params.width, params.height = self.width, self.height
        params.pitch = self.width if pitch is None else pitch
        params.bufferFormat = getattr(self.abi, f"NV_ENC_BUFFER_FORMAT_{pixels}")
        for key, value in fields.items():
            setattr(params, key, value)
        self.call("nvEncRegisterResource", ctypes.byref(params))
        return int(params.registeredResource)

    def map(self, registered: int) -> int:
        params = self.abi.struct("NV_ENC_MAP_INPUT_RESOURCE", registeredResource=registered)
        self.call("nvEncMapInputResource", ctypes.byref(params))
        return int(params.mappedResource)

    def picture(self, source: int | None, output: int | None, timestamp: int = 0, **fields: Any) -> Any:
        params = self.abi.struct("NV_ENC_PIC_PARAMS")
        params.inputBuffer, params.outputBitstream = source, output
        params.inputWidth, params.inputHeight = self.width, self.height
        params.pictureStruct = self.abi.NV_ENC_PIC_STRUCT_FRAME
        params.bufferFmt = self.abi.NV_ENC_BUFFER_FORMAT_NV12
        params.inputTimeStamp = timestamp
        for key, value in fields.items():
            setattr(params, key, value)
        return params

    def encode(self, source: int | None, output: int | None, timestamp: int = 0, **fields: Any) -> int:
        """The status: success or NEED_MORE_INPUT."""
        params = self.picture(source, output, timestamp, **fields)
        return self.call("nvEncEncodePicture", ctypes.byref(params), allow=(SUCCESS, NEED_MORE_INPUT))

    def end(self) -> None:
        params = self.abi.struct("NV_ENC_PIC_PARAMS", encodePicFlags=self.abi.NV_ENC_PIC_FLAG_EOS)
        self.call("nvEncEncodePicture", ctypes.byref(params))

    def lock(self, output: int, wait: bool = True) -> Any:
        params = self.abi.struct("NV_ENC_LOCK_BITSTREAM", outputBitstream=output, doNotWait=not wait)
        self.call("nvEncLockBitstream", ctypes.byref(params))
        return params

    def unlock(self, output: int) -> None:
        self.call("nvEncUnlockBitstream", ctypes.c_void_p(output))

    def take(self, output: int) -> bytes:
        """The access unit of an output: lock, copy, unlock."""
        locked = self.lock(output)
        data = ctypes.string_at(locked.bitstreamBufferPtr, locked.bitstreamSizeInBytes)
        self.unlock(output)
        return data

    def headers(self) -> bytes:
        buffer = ctypes.create_string_buffer(1024)
        size = ctypes.c_uint32()
        params = self.abi.struct("NV_ENC_SEQUENCE_PARAM_PAYLOAD", inBufferSize=len(buffer))
        params.spsppsBuffer = ctypes.addressof(buffer)
        params.outSPSPPSPayloadSize = ctypes.addressof(size)
        self.call("nvEncGetSequenceParams", ctypes.byref(params))
        return buffer.raw[: size.value]

    def supports(self, codec: str) -> bool:
        """Whether the GPU encodes a codec."""
        guids = (self.abi.class_of("GUID") * 8)()
        count = ctypes.c_uint32()
        self.call("nvEncGetEncodeGUIDs", ctypes.byref(guids), 8, ctypes.byref(count))
        wanted = bytes(self.abi.guid(f"NV_ENC_CODEC_{codec}_GUID"))
        return wanted in [bytes(guid) for guid in guids[: count.value]]

    def cap(self, name: str, codec: str = "H264") -> int:
        params = self.abi.struct("NV_ENC_CAPS_PARAM", capsToQuery=getattr(self.abi, f"NV_ENC_CAPS_{name}"))
        value = ctypes.c_int()
        self.call(
            "nvEncGetEncodeCaps", self.abi.guid(f"NV_ENC_CODEC_{codec}_GUID"), ctypes.byref(params), ctypes.byref(value)
        )
        return value.value

    def destroy(self) -> None:
        self.call("nvEncDestroyEncoder")
