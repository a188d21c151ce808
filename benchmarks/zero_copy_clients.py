"""The paths of a device frame to the engine in three clients: copied, read in place, rendered into a surface.

Frames are CuPy's where it is installed over a real libcuda, else an array as cheap as CuPy's: the array interface, or
the DLPack capsule, is made anew at each look, as it is for whoever gets a new frame each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import native_parts
from device import Device

from clients import DELAY, HEIGHT, ROWS, WIDTH, Run, pyav, pynv


def cupy_or_none() -> Any:
    """CuPy with a GPU that it can use. The simulated libcuda runs no kernels, which CuPy needs."""
    try:
        import cupy  # type: ignore[import-not-found,unused-ignore]

        cupy.zeros(1)
    except Exception:  # not installed, or one of its many failures without a GPU
        return None
    return cupy


class Frame:
    """One NV12 frame on the GPU in packed rows, as a whole and as planes."""

    def __init__(self) -> None:
        self.device = Device()
        cupy = cupy_or_none()
        if cupy is not None:
            self.whole = cupy.full((ROWS, WIDTH), 0x80, cupy.uint8)
            self.luma, self.chroma = self.whole[:HEIGHT], self.whole[HEIGHT:]
            self.planes = [self.luma[:, :, None], self.chroma.reshape(HEIGHT // 2, WIDTH // 2, 2)]
            return
        pointer, _ = self.device.allocate(WIDTH * ROWS, 1)
        self.whole = self._array((ROWS, WIDTH), pointer)
        self.luma = self._array((HEIGHT, WIDTH), pointer)
        self.chroma = self._array((HEIGHT // 2, WIDTH), pointer + WIDTH * HEIGHT)
        self.planes = [_Plane(self.luma, (HEIGHT, WIDTH, 1)), _Plane(self.chroma, (HEIGHT // 2, WIDTH // 2, 2))]

    def _array(self, shape: tuple[int, int], pointer: int) -> Any:
        return native_parts.device_array().DeviceArray(pointer, *shape, WIDTH, self.device.stream, 0)

    def cuda(self) -> list[Any]:
        """The method that PyNvVideoCodec calls."""
        return self.planes


class _Plane:
    """The same memory with the three dimensions that PyNvVideoCodec needs, made beforehand, which is the cheapest."""

    def __init__(self, array: Any, shape: tuple[int, int, int]) -> None:
        strides = (WIDTH, shape[2], 1)
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, "shape": shape, "strides": strides}


def ours(copy: str, delay: int) -> Run:
    from pdum.nvenc import NvencEncoder

    frame = Frame()
    encoder = NvencEncoder(WIDTH, HEIGHT, copy=copy, extra_output_delay=delay)

    def encode(frames: int) -> int:
        call, whole, units = encoder.encode, frame.whole, 0
        for _ in range(frames):
            units += 1 if call(whole) else 0
        return units

    def submit(frames: int) -> int:
        call, whole, units = encoder.submit, frame.whole, 0
        for seq in range(frames):
            units += len(call(whole, seq))
        return units + len(encoder.flush_pipeline())

    return submit if delay else encode


def ours_surface(delay: int) -> Run:
    """Surfaces that are taken and submitted. A renderer's writes are not a cost of the encoder."""
    from pdum.nvenc import NvencEncoder

    Device()
    encoder = NvencEncoder(WIDTH, HEIGHT, extra_output_delay=delay)

    def run(frames: int) -> int:
        take, submit, units = encoder.surface, encoder.submit, 0
        for seq in range(frames):
            with take() as surface:
                units += len(submit(surface, seq))
        return units + len(encoder.flush_pipeline())

    return run


def pyav_in_place() -> Run:
    import av

    frame = Frame()
    context = av.video.frame.CudaContext(device_id=0, primary_ctx=False, current_ctx=True)
    take: Any = av.VideoFrame.from_dlpack
    planes = (frame.luma, frame.chroma)
    return pyav("cuda", lambda: take(planes, format="nv12", width=WIDTH, height=HEIGHT, cuda_context=context))


def pynv_copied() -> Run:
    frame = Frame()
    return pynv(frame, False, frame.device)


ENCODE, SUBMIT = "ours, encode", f"ours, submit ({DELAY} in flight)"
PYNV, PYAV = "PyNvVideoCodec", "PyAV from_dlpack"

# By path and column. PyNvVideoCodec always copies, PyAV never does, and no other client lends surfaces. Each client is
# in every row, as the alternative that one would use.
ZERO_COPY_CLIENTS: dict[str, Callable[[], Run]] = {
    f"copy: {ENCODE}": lambda: ours("always", 0),
    f"copy: {SUBMIT}": lambda: ours("always", DELAY),
    f"zero copy: {ENCODE}": lambda: ours("never", 0),
    f"zero copy: {SUBMIT}": lambda: ours("never", DELAY),
    f"surface: {ENCODE}": lambda: ours_surface(0),
    f"surface: {SUBMIT}": lambda: ours_surface(DELAY),
    PYNV: pynv_copied,
    PYAV: pyav_in_place,
}
