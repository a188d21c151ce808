"""Opens PyAV's codecs with the options of a configuration, and makes their errors errors of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from .._errors import EncoderFailed, NvencError, UnsupportedFeature
from .software_options import Software

GLOBAL_HEADER = 1 << 22


def open_context(options: Software, width: int, height: int, flags: int) -> Any:
    import av

    if options.codec == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # otherwise it writes its settings to the terminal
    context: Any = av.CodecContext.create(options.codec, "w")
    context.width, context.height, context.pix_fmt = width, height, options.pix_fmt
    context.framerate, context.time_base = options.rate, 1 / options.rate
    context.gop_size = options.gop
    if options.bframes is not None:
        context.max_b_frames = options.bframes
    if options.sample_aspect is not None:
        context.sample_aspect_ratio = Fraction(*options.sample_aspect)
    if options.bitrate:
        context.bit_rate = options.bitrate
    context.color_primaries, context.color_trc, context.colorspace = options.colour[:3]
    context.color_range = 2 if options.colour[3] else 1
    context.flags |= flags
    context.thread_type = "SLICE" if options.low_latency else "FRAME"  # PyAV's default is slices
    context.options = options.all_options()
    with _same_scheduling():
        context.open()
    return context


@contextmanager
def _same_scheduling() -> Iterator[None]:
    """As root, SVT-AV1 gives the thread that opens it the highest real-time priority. All that this thread starts later
    would have it, too: other threads and processes would hardly run."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameters)


def typed(call: Any, what: str = "The software codec failed", kind: type[NvencError] = EncoderFailed) -> Any:
    """The result of the call. PyAV's errors become errors of ours."""
    try:
        return call()
    except NvencError:
        raise
    except ImportError as error:
        raise UnsupportedFeature("The software engine needs PyAV: pip install pdum-nvenc[files].") from error
    except MemoryError:
        raise
    except Exception as error:
        raise kind(f"{what}: {error}") from error
