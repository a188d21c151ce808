"""What questions are asked with: the GPU, the driver, and sessions that encode."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .._machine.devices import driver_version
from .._machine.nvml import nvml
from .cuda import Cuda
from .driver import NEED_MORE_INPUT, Change, Driver, Refused, Session, Settings
from .interface import Interface
from .pictures import SIZE, nv12
from .probe import NotHere


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One access unit as the driver handed it out."""

    data: bytes
    pic_type: str
    timestamp: int
    frame_index: int


class Bench:
    """One GPU and its encoder library."""

    def __init__(self, gpu_id: int, version: str) -> None:
        self.gpu_id = gpu_id
        self.interface = Interface(version)
        self.cuda = Cuda(gpu_id)
        self.driver = Driver(self.interface)
        self._caps: dict[tuple[str, str], int] = {}
        self._codecs: tuple[str, ...] | None = None
        self.geforce = "geforce" in self.name.lower()

    @property
    def name(self) -> str:
        text = ctypes.create_string_buffer(256)
        self.cuda.call("cuDeviceGetName", text, len(text), self.gpu_id)
        return text.value.decode(errors="replace")

    @property
    def compute(self) -> tuple[int, int]:
        value = [ctypes.c_int(), ctypes.c_int()]
        for number, attribute in enumerate((75, 76)):
            self.cuda.call("cuDeviceGetAttribute", ctypes.byref(value[number]), attribute, self.gpu_id)
        return value[0].value, value[1].value

    @property
    def driver_version(self) -> str | None:
        with nvml() as library:
            return driver_version(library)

    def refusal(self) -> Refused | None:
        """Why no session can be opened; None if one can."""
        try:
            self.driver.open(self.cuda).destroy()
        except Refused as refused:
            return refused
        return None

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """An open session, not initialised."""
        try:
            session = self.driver.open(self.cuda)
        except Refused as refused:
            raise NotHere(f"no session: {refused}") from None
        try:
            yield session
        finally:
            session.destroy()

    @property
    def codecs(self) -> tuple[str, ...]:
        if self._codecs is None:
            with self.session() as session:
                self._codecs = session.codecs()
        return self._codecs

    def need_codec(self, codec: str) -> str:
        if codec not in self.codecs:
            raise NotHere(f"this card does not encode {codec}")
        return codec

    def cap(self, codec: str, name: str) -> int:
        """A capability, 0 if the interface or the driver does not know it."""
        if codec not in self.codecs:
            return 0
        number = self.interface.constants.get(f"NV_ENC_CAPS_{name}")
        if number is None:
            return 0
        if (codec, name) not in self._caps:
            with self.session() as session:
                status, value = session.cap(codec, number)
            self._caps[codec, name] = 0 if status else value
        return self._caps[codec, name]

    def best_codec(self) -> str:
        """One that has B-frames and lookahead if any has."""
        ranked = sorted(self.codecs, key=lambda codec: min(self.cap(codec, "NUM_MAX_BFRAMES"), 1), reverse=True)
        if not ranked:
            raise NotHere("this card lists no codec")
        return "h264" if "h264" in ranked and self.cap("h264", "NUM_MAX_BFRAMES") else ranked[0]

    def initialise_status(
        self, codec: str, change: Change | None = None, *, preset: int = 4, tuning: int = 1, size: Any = SIZE
    ) -> int:
        """What ``nvEncInitializeEncoder`` answers to a preset with a change."""
        self.need_codec(codec)
        with self.session() as session:
            settings = Settings(session, codec, size, preset, tuning)
            if change is not None:
                change(settings)
            return session.ask("nvEncInitializeEncoder", ctypes.byref(settings.params))

    @contextlib.contextmanager
    def encoder(
        self,
        codec: str,
        change: Change | None = None,
        *,
        preset: int = 1,
        tuning: int = 1,
        size: tuple[int, int] = SIZE,
    ) -> Iterator[Encoder]:
        """An initialised session. What is left in it at the end is given back."""
        self.need_codec(codec)
        with self.session() as session, Encoder(self, session, size) as encoder:
            encoder.initialise(codec, change, preset, tuning)
            yield encoder


@dataclass
class Encoder:
    """A session that is initialised, with its surfaces and outputs."""

    bench: Bench
    session: Session
    size: tuple[int, int]
    mapped: list[int] = field(default_factory=list)
    pointers: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    ended: bool = False
    kept: list[Any] = field(default_factory=list)  # what the driver may still read

    def __enter__(self) -> Encoder:
        self._memory = contextlib.ExitStack()
        self._objects = contextlib.ExitStack()  # of the session, which go before the memory that they are about
        return self

    def __exit__(self, *error: object) -> None:
        """Ends the stream, so that nothing that waits keeps a surface."""
        if self.mapped and not self.ended:
            self.end()
        self._objects.close()
        self._memory.close()

    def abandon(self) -> int:
        """Destroys the session with everything in it, and without the end of the stream: the status."""
        self.ended = True
        self._objects.pop_all()
        return self.session.destroy()

    def initialise(self, codec: str, change: Change | None, preset: int, tuning: int) -> None:
        self.settings = Settings(self.session, codec, self.size, preset, tuning)
        if change is not None:
            change(self.settings)
        self.session.must("nvEncInitializeEncoder", ctypes.byref(self.settings.params))

    def add_surface(self, content: bytes) -> int:
        """A mapped surface with its output; its number."""
        pointer = self._memory.enter_context(self.bench.cuda.plain(len(content)))
        self.bench.cuda.upload(pointer, content)
        self.add_registered(pointer, self.size[0])
        return len(self.mapped) - 1

    def add_registered(self, pointer: int, pitch: int) -> None:
        """A mapped surface in memory of the caller's, with its output."""
        registered = self.register(pointer, pitch)
        self._objects.callback(self.session.ask, "nvEncUnregisterResource", ctypes.c_void_p(registered))
        mapped = self.map(registered)
        self._objects.callback(self.session.ask, "nvEncUnmapInputResource", ctypes.c_void_p(mapped))
        self.mapped.append(mapped)
        self.pointers.append(pointer)
        self.add_output()

    def register(self, pointer: int, pitch: int) -> int:
        interface = self.session.interface
        params = interface.struct("NV_ENC_REGISTER_RESOURCE", resourceToRegister=pointer, pitch=pitch)
        params.resourceType = interface.NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR
        params.width, params.height = self.size
        params.bufferFormat = interface.NV_ENC_BUFFER_FORMAT_NV12
        self.session.must("nvEncRegisterResource", ctypes.byref(params))
        return int(params.registeredResource)

    def map(self, registered: int) -> int:
        params = self.session.interface.struct("NV_ENC_MAP_INPUT_RESOURCE", registeredResource=registered)
        self.session.must("nvEncMapInputResource", ctypes.byref(params))
        return int(params.mappedResource)

    def add_output(self) -> int:
        params = self.session.interface.struct("NV_ENC_CREATE_BITSTREAM_BUFFER")
        self.session.must("nvEncCreateBitstreamBuffer", ctypes.byref(params))
        output = int(params.bitstreamBuffer)
        self._objects.callback(self.session.ask, "nvEncDestroyBitstreamBuffer", ctypes.c_void_p(output))
        self.outputs.append(output)
        return output

    def submit(self, number: int, output: int | None = None, timestamp: int | None = None, **fields: Any) -> int:
        """Encodes a surface: success or NEED_MORE_INPUT. ``picture`` among the fields may change the struct."""
        interface = self.session.interface
        params = interface.struct("NV_ENC_PIC_PARAMS", inputBuffer=self.mapped[number])
        params.outputBitstream = self.outputs[number if output is None else output]
        params.inputWidth, params.inputHeight = self.size
        params.pictureStruct = interface.NV_ENC_PIC_STRUCT_FRAME
        params.bufferFmt = interface.NV_ENC_BUFFER_FORMAT_NV12
        params.inputTimeStamp = number if timestamp is None else timestamp
        params.frameIdx = int(params.inputTimeStamp)
        picture: Callable[[Any], None] | None = fields.pop("picture", None)
        for key, value in fields.items():
            setattr(params, key, value)
        if picture is not None:
            picture(params)
        status = self.session.ask("nvEncEncodePicture", ctypes.byref(params))
        if status not in (0, NEED_MORE_INPUT):
            raise Refused("nvEncEncodePicture", status, interface.name_of_status(status))
        self.ended = False
        return status

    def end(self) -> int:
        """The status of the end of the stream."""
        flag = self.session.interface.NV_ENC_PIC_FLAG_EOS
        params = self.session.interface.struct("NV_ENC_PIC_PARAMS", encodePicFlags=flag)
        self.ended = True
        return self.session.ask("nvEncEncodePicture", ctypes.byref(params))

    def lock(self, output: int) -> Any:
        """The filled NV_ENC_LOCK_BITSTREAM."""
        params = self.session.interface.struct("NV_ENC_LOCK_BITSTREAM", outputBitstream=self.outputs[output])
        self.session.must("nvEncLockBitstream", ctypes.byref(params))
        return params

    def unlock(self, output: int) -> None:
        self.session.must("nvEncUnlockBitstream", ctypes.c_void_p(self.outputs[output]))

    def take(self, output: int) -> Unit:
        locked = self.lock(output)
        data = ctypes.string_at(locked.bitstreamBufferPtr, locked.bitstreamSizeInBytes)
        types = {number: name for name, number in self.session.interface.members("NV_ENC_PIC_TYPE").items()}
        unit = Unit(
            data=data,
            pic_type=types.get(locked.pictureType, "?").removeprefix("NV_ENC_PIC_TYPE_"),
            timestamp=int(locked.outputTimeStamp),
            frame_index=int(locked.frameIdx),
        )
        self.unlock(output)
        return unit

    def run(self, frames: Iterable[bytes] | int, **fields: Any) -> tuple[list[int], list[Unit]]:
        """Submits all frames, ends the stream and takes every access unit: statuses and units."""
        contents = [nv12(number, self.size) for number in range(frames)] if isinstance(frames, int) else list(frames)
        numbers = [self.add_surface(content) for content in contents]
        statuses = [self.submit(number, **fields) for number in numbers]
        self.end()
        return statuses, [self.take(number) for number in numbers]
