"""Motion between two frames, found by the encoder chip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _nvenc
from .._config import motion_hints, values
from .._config.settings import codec_name, even_size, one_of, preset_number, whole
from .._errors import UnsupportedFeature
from .nvenc import forced_abi

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .._config import choices

FORMATS = ("nv12", "p010", "yuv420", "yuv444", "yuv444_10")


class MotionEstimator(_nvenc.Motion):
    """Finds where each block of a frame comes from in another frame. It encodes nothing.

    ::

        with MotionEstimator(1920, 1080) as motion:
            blocks = motion.estimate(frame, reference)
        x, y = blocks["vectors"][:, 0].T / 4        # in pixels

    ``estimate`` returns a structured array with an entry for each block:

    - ``x``, ``y``, ``size``: its upper left corner and its width and height, in pixels. H.264 has blocks of 16x16 in
      rows; HEVC chooses sizes from 8 to 64.
    - ``vectors``: up to four, each (x, y) in quarter pixels; the block is found at its own place plus the vector. One
      that is not divided has only the first.
    - ``partition``: how the block is divided, by the number that NVIDIA gives it. H.264: 0 not at all, 1 in quarters, 2
      in an upper and a lower half, 3 in a left and a right half. HEVC: 0 to 7, in the order of the standard's PartMode.
    - ``intra``: nothing in the reference resembles the block, and the vectors mean nothing.
    - ``cost``: what the encoder thought that coding it would cost (H.264; 0 in HEVC).

    Frames are those that an encoder takes: on the GPU or the host. Both may be changed, in the order of their streams,
    when the call returns. Threads may share an estimator, whose calls run one at a time.

    Args:
        width, height: the frames' size in pixels, both even.
        codec: ``"h264"`` or ``"hevc"``, whose blocks it finds.
        preset: ``"p1"`` (fastest) to ``"p7"`` (best).
        format: ``"nv12"``, ``"p010"``, ``"yuv420"``, ``"yuv444"`` or ``"yuv444_10"``.
        gpu_id, cuda_context: as in ``NvencEncoder``. It takes one of the GPU's encode sessions.

    Raises:
        UnsupportedFeature: the GPU cannot do it; the message names the capability that is missing.
    """

    def __init__(
        self,
        width: int,
        height: int,
        codec: choices.Codec = "h264",
        preset: choices.Preset = "p3",
        format: choices.FrameFormat = "nv12",  # noqa: A002
        gpu_id: int = 0,
        cuda_context: int = 0,
    ) -> None:
        name = codec_name(codec)
        if name == "av1":
            raise UnsupportedFeature(
                "Motion estimation does not work with codec='av1': the interface has no vectors of AV1. Use 'h264' or "
                "'hevc'."
            )
        self._codec, self._size = name, (width, height)
        super().__init__(
            codec=name,
            preset=preset_number(preset),
            format=one_of("format", values.format_name(format), {one: one for one in FORMATS}),
            width=even_size("width", width),
            height=even_size("height", height),
            gpu_id=whole("gpu_id", gpu_id, most=0x7FFFFFFF),
            cuda_context=whole("cuda_context", cuda_context, most=0xFFFF_FFFF_FFFF_FFFF),
            abi=forced_abi(),
        )

    def estimate(self, frame: Any, reference: Any, *, stream: Any = None) -> Any:
        """Where each block of ``frame`` lies in ``reference``, as a structured array.

        ``stream`` is the CUDA stream on which both are made, for frames that do not say it.
        """
        return self._estimate(frame, reference, stream)

    def hints(self, frame: Any, reference: Any, *, codec: str | None = None, stream: Any = None) -> Any:
        """Hints for an encoder of ``codec``, or else of the estimator's own: ``PictureOptions(motion_hints=…)``.

        An array of shape (rows, columns, 2) with x and y in whole pixels. Each block has the vector that most of its
        pixels share, and no hint if nothing in the reference resembles it.
        """
        of_codec = self._codec if codec is None else codec_name(codec)
        return _hints(self.estimate(frame, reference, stream=stream), of_codec, *self._size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _hints(blocks: Any, codec: str, width: int, height: int) -> Any:
    import numpy

    rows, columns = motion_hints.shape(codec, width, height)
    hints = numpy.full((rows * columns, 2), motion_hints.NO_HINT, numpy.int16)
    left, right, up, down = motion_hints.REACH[codec]
    x, y, vectors = _squares(blocks[~blocks["intra"]])
    reachable = numpy.clip(numpy.rint(vectors / 4), (left, up), (right, down)).astype(numpy.int16)
    inside = (x < width) & (y < height)
    size = motion_hints.BLOCKS[codec]
    votes = numpy.column_stack([y // size * columns + x // size, reachable])[inside]
    candidates, counts = numpy.unique(votes, axis=0, return_counts=True)
    candidates = candidates[numpy.argsort(counts, kind="stable")]
    hints[candidates[:, 0]] = candidates[:, 1:]  # the last one of a block stays
    return hints.reshape(rows, columns, 2)


def _squares(blocks: Any) -> tuple[Any, Any, Any]:
    """The squares of 8x8 pixels of all blocks: their places, and the first vectors of their blocks."""
    import numpy

    across = blocks["size"].astype(numpy.int64) // 8
    owner = numpy.repeat(numpy.arange(len(blocks)), across**2)
    number = numpy.arange(len(owner)) - numpy.repeat(numpy.cumsum(across**2) - across**2, across**2)
    x = blocks["x"][owner] + number % across[owner] * 8
    y = blocks["y"][owner] + number // across[owner] * 8
    return x, y, blocks["vectors"][owner, 0]
