"""A client of libnvcuvid that makes exactly the calls of a test, right or wrong. The table tells it all layouts."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulator.abi import SCALARS

TABLE = Path(__file__).resolve().parents[2] / "third_party" / "nvcuvid_abi" / "13.0.json"
H264, HEVC = 4, 8
TIMESTAMP, END_OF_STREAM, END_OF_PICTURE, NOTIFY_END = 2, 1, 8, 16

WORDS: dict[str, Any] = SCALARS | {
    "unsigned char": ctypes.c_uint8,
    "signed char": ctypes.c_int8,
    "char": ctypes.c_int8,
    "short": ctypes.c_int16,
    "unsigned short": ctypes.c_uint16,
    "unsigned int": ctypes.c_uint32,
    "long long": ctypes.c_int64,
    "unsigned long long": ctypes.c_uint64,
    "unsigned long": ctypes.c_ulong,
}


class Layouts:
    """ctypes classes by the names of the interface."""

    def __init__(self) -> None:
        self.table: dict[str, Any] = json.loads(TABLE.read_text())
        self._made: dict[str, Any] = {}

    def class_of(self, name: str) -> Any:
        aliases = self.table["typedefs"] | self.table["type_aliases"]
        while name in aliases and name not in WORDS:
            name = aliases[name]
        if name in WORDS:
            return WORDS[name]
        if name in self.table["enums"]:
            return ctypes.c_uint32
        if name not in self.table["structs"]:
            return ctypes.c_void_p
        if name not in self._made:
            struct = self.table["structs"][name]
            base: Any = ctypes.Union if struct["kind"] == "union" else ctypes.Structure
            self._made[name] = type(name, (base,), {"_fields_": [self._field(field) for field in struct["fields"]]})
            assert ctypes.sizeof(self._made[name]) == struct["size"], name
        return self._made[name]

    def _field(self, field: dict[str, Any]) -> tuple[Any, ...]:
        kind = self.class_of(field["type"])
        if "count" in field:
            kind = kind * field["count"]
        return (field["name"], kind, field["bit_width"]) if "bit_width" in field else (field["name"], kind)

    def struct(self, name: str, **fields: Any) -> Any:
        value = self.class_of(name)()
        for key, content in fields.items():
            setattr(value, key, content)
        return value


LAYOUTS = Layouts()
struct = LAYOUTS.struct
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class Error(Exception):
    """A call did not answer success."""

    def __init__(self, call: str, status: int) -> None:
        super().__init__(f"{call} answered {status}")
        self.status = status


class Library:
    """The library's calls: `lib.cuvidCreateDecoder(...)` raises Error unless it succeeds."""

    def __init__(self) -> None:
        self.handle = ctypes.CDLL("libnvcuvid.so.1")

    def __getattr__(self, name: str) -> Callable[..., None]:
        function = getattr(self.handle, name)

        def call(*arguments: Any) -> None:
            if status := function(*arguments):
                raise Error(name, status)

        return call


class Decoder:
    """A decoder with its own defaults; `fields` are those of CUVIDDECODECREATEINFO."""

    def __init__(self, lib: Library, width: int, height: int, **fields: Any) -> None:
        self.lib = lib
        defaults = {
            "ulWidth": width, "ulHeight": height, "ulTargetWidth": width, "ulTargetHeight": height,
            "ulNumDecodeSurfaces": 8, "ulNumOutputSurfaces": 2, "CodecType": H264, "ChromaFormat": 1,
        }  # fmt: skip
        self.info = struct("CUVIDDECODECREATEINFO", **defaults | fields)
        self.handle = ctypes.c_void_p()
        lib.cuvidCreateDecoder(ctypes.byref(self.handle), ctypes.byref(self.info))

    def decode(self, picture: Any) -> None:
        self.lib.cuvidDecodePicture(self.handle, ctypes.byref(picture))

    def map(self, index: int, **fields: Any) -> tuple[int, int]:
        """The address and the pitch."""
        address, pitch = ctypes.c_uint64(), ctypes.c_uint32()
        how = struct("CUVIDPROCPARAMS", progressive_frame=1, **fields)
        self.lib.cuvidMapVideoFrame64(
            self.handle, index, ctypes.byref(address), ctypes.byref(pitch), ctypes.byref(how)
        )  # fmt: skip
        return address.value, pitch.value

    def unmap(self, address: int) -> None:
        self.lib.cuvidUnmapVideoFrame64(self.handle, ctypes.c_uint64(address))

    def status(self, index: int) -> int:
        answer = struct("CUVIDGETDECODESTATUS")
        self.lib.cuvidGetDecodeStatus(self.handle, index, ctypes.byref(answer))
        return int(answer.decodeStatus)

    def reconfigure(self, width: int, height: int, surfaces: int = 8, **fields: Any) -> None:
        info = struct(
            "CUVIDRECONFIGUREDECODERINFO", ulWidth=width, ulHeight=height, ulTargetWidth=width, ulTargetHeight=height,
            ulNumDecodeSurfaces=surfaces, **fields,
        )  # fmt: skip
        self.lib.cuvidReconfigureDecoder(self.handle, ctypes.byref(info))

    def close(self) -> None:
        self.lib.cuvidDestroyDecoder(self.handle)


class Parser:
    """A parser whose callbacks are methods that a test may replace; each answer of 0 is an error."""

    def __init__(self, lib: Library, codec: int = H264, delay: int = 0, surfaces: int = 1, **fields: Any) -> None:
        self.lib = lib
        self.formats: list[Any] = []
        self.shown: list[tuple[int, int]] = []  # index and timestamp
        self.decoded: list[int] = []
        self.ended = 0
        self._callbacks = [Callback(f) for f in (self._sequence, self._decode, self._display)]
        addresses = [ctypes.cast(callback, ctypes.c_void_p) for callback in self._callbacks]
        names = ("pfnSequenceCallback", "pfnDecodePicture", "pfnDisplayPicture")
        settings = dict(zip(names, addresses, strict=True)) | {"ulMaxNumDecodeSurfaces": surfaces}
        self.params = struct("CUVIDPARSERPARAMS", CodecType=codec, ulMaxDisplayDelay=delay, **settings | fields)
        self.handle = ctypes.c_void_p()
        lib.cuvidCreateVideoParser(ctypes.byref(self.handle), ctypes.byref(self.params))

    def sequence(self, form: Any) -> int:
        return int(form.min_num_decode_surfaces)

    def decode(self, picture: Any) -> int:
        return 1

    def display(self, index: int, timestamp: int) -> int:
        return 1

    def _sequence(self, _: Any, pointer: int) -> int:
        form = LAYOUTS.class_of("CUVIDEOFORMAT").from_buffer_copy(
            ctypes.string_at(pointer, ctypes.sizeof(LAYOUTS.class_of("CUVIDEOFORMAT")))
        )
        self.formats.append(form)
        return self.sequence(form)

    def _decode(self, _: Any, pointer: int) -> int:
        picture = LAYOUTS.class_of("CUVIDPICPARAMS").from_address(pointer)
        self.decoded.append(picture.CurrPicIdx)
        return self.decode(picture)

    def _display(self, _: Any, pointer: int | None) -> int:
        if pointer is None:
            self.ended += 1
            return 1
        info = LAYOUTS.class_of("CUVIDPARSERDISPINFO").from_address(pointer)
        self.shown.append((info.picture_index, info.timestamp))
        return self.display(info.picture_index, info.timestamp)

    def parse(self, data: bytes, flags: int = 0, timestamp: int | None = None) -> None:
        buffer = ctypes.create_string_buffer(data, len(data)) if data else None
        packet = struct("CUVIDSOURCEDATAPACKET", flags=flags, payload_size=len(data))
        if buffer is not None:
            packet.payload = ctypes.addressof(buffer)
        if timestamp is not None:
            packet.flags |= TIMESTAMP
            packet.timestamp = timestamp
        self.lib.cuvidParseVideoData(self.handle, ctypes.byref(packet))

    def end(self, notify: bool = False) -> None:
        self.parse(b"", END_OF_STREAM | (NOTIFY_END if notify else 0))

    def close(self) -> None:
        self.lib.cuvidDestroyVideoParser(self.handle)
