"""A machine with a decoder, and small H.264 streams, for the tests of the simulated libnvcuvid."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import av
import numpy as np

from simulator import Machine, Simulator
from simulator.cuvid import H264, Decoder, Library, Parser, struct
from simulator.raw import Cuda

WIDTH, HEIGHT, COUNT = 320, 178, 12
CODED_HEIGHT = 192
Image = np.ndarray[Any, Any]


def moving(number: int, width: int, height: int) -> Image:
    """A picture in planar 4:2:0, another one for each number."""
    noise = np.random.default_rng(number).integers(0, 40, (height * 3 // 2, width), dtype=np.uint8)
    ramp = (np.arange(width) * 3 + number * 5) % 180
    return (ramp[None, :] + noise + 20).astype(np.uint8)


@functools.cache
def stream(
    width: int = WIDTH, height: int = HEIGHT, count: int = COUNT, b_frames: int = 2, codec: str = "h264"
) -> tuple[bytes, ...]:
    """The access units of a stream in the order of decoding, with parameter sets in it. HEVC has open GOPs."""
    coder = av.CodecContext.create("libx264" if codec == "h264" else "libx265", "w")
    coder.width, coder.height, coder.pix_fmt = width, height, "yuv420p"
    coder.time_base, coder.framerate = Fraction(1, 25), Fraction(25)
    shape = f"bframes={b_frames}:b-adapt=0:scenecut=0:keyint=6:log-level=0"
    if codec == "hevc":
        shape += ":open-gop=1:pools=none:repeat-headers=1"
    coder.options = {"preset": "ultrafast", f"x26{4 if codec == 'h264' else 5}-params": shape}
    units: list[bytes] = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(moving(number, width, height), format="yuv420p")
        frame.pts = number
        units += [bytes(packet) for packet in coder.encode(frame)]
    return (*units, *(bytes(packet) for packet in coder.encode(None)))


@functools.cache
def by_processor(units: tuple[bytes, ...], codec: str = "h264") -> tuple[bytes, ...]:
    """The pictures of a stream in the order of display, as NV12."""
    decoder: Any = av.CodecContext.create(codec, "r")
    frames = [frame for unit in units for frame in decoder.decode(av.Packet(unit))] + decoder.decode(None)
    return tuple(interleaved(frame.to_ndarray(), frame.height) for frame in frames)


def interleaved(planar: Image, height: int) -> bytes:
    """NV12 of a planar picture."""
    chroma = planar[height:].reshape(2, -1)
    return planar[:height].tobytes() + np.ascontiguousarray(chroma.T).tobytes()


class Player:
    """A client with NVIDIA's parser that decodes, maps and reads everything."""

    def __init__(
        self, lib: Library, delay: int = 0, more_surfaces: int = 4, codec: int = H264, **decoder: Any
    ) -> None:  # fmt: skip
        self.lib, self.more, self.settings = lib, more_surfaces, decoder
        self.decoders: list[Decoder] = []
        self.pictures: list[bytes] = []
        self.statuses: list[int] = []
        self.parser = Parser(lib, codec, delay)
        self.parser.sequence = self.sequence  # type: ignore[method-assign]
        self.parser.decode = self.decode  # type: ignore[method-assign]
        self.parser.display = self.display  # type: ignore[method-assign]

    @property
    def decoder(self) -> Decoder:
        return self.decoders[-1]

    def sequence(self, form: Any) -> int:
        area = form.display_area
        self.width, self.height = area.right - area.left, area.bottom - area.top
        surfaces = form.min_num_decode_surfaces + self.more
        if self.decoders:
            self.decoder.close()
        shown = struct(
            "CUVIDDECODECREATEINFO_display_area", left=area.left, top=area.top, right=area.right, bottom=area.bottom
        )  # fmt: skip
        fields = {"CodecType": form.codec, "ulNumDecodeSurfaces": surfaces}
        fields |= {"ulTargetWidth": self.width, "ulTargetHeight": self.height}
        whole = fields | {"display_area": shown} | self.settings
        self.decoders.append(Decoder(self.lib, form.coded_width, form.coded_height, **whole))
        return int(surfaces)

    def decode(self, picture: Any) -> int:
        self.decoder.decode(picture)
        return 1

    def display(self, index: int, timestamp: int) -> int:
        address, pitch = self.decoder.map(index)
        self.statuses.append(self.decoder.status(index))
        self.pictures.append(read_nv12(address, pitch, self.width, self.height))
        self.decoder.unmap(address)
        return 1

    def close(self) -> None:
        self.parser.close()
        if self.decoders:
            self.decoder.close()


def read_nv12(address: int, pitch: int, width: int, height: int) -> bytes:
    """A mapped frame without the ends of its rows."""
    rows = (height + 1 & ~1) * 3 // 2
    buffer = np.empty((rows, pitch), np.uint8)
    status = ctypes.CDLL("libcuda.so.1").cuMemcpyDtoH_v2(
        ctypes.c_void_p(buffer.ctypes.data), ctypes.c_uint64(address), ctypes.c_size_t(buffer.nbytes)
    )
    assert status == 0
    luma, chroma = buffer[:height, :width], buffer[height + 1 & ~1 :, :width]
    return luma.tobytes() + chroma.tobytes()


@contextmanager
def bench(simulator: Simulator, check: bool = True, **config: Any) -> Iterator[tuple[Machine, Library]]:
    """A machine with a current context."""
    with simulator.machine(check=check, **{"gpus": ["L4"]} | config) as machine, Cuda():
        yield machine, Library()
