"""A scene that is rendered now and seen in a browser now.

    python examples/live                 # then open http://127.0.0.1:8080/
    python examples/live --codec av1 --fps 60 --backend nvenc

It draws with CuPy where there is a GPU, else with NumPy; it encodes with NVENC where there is one, else on the
processor. It needs aiohttp, and PyAV for the processor: pip install -r examples/live/requirements.txt
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import warnings
from typing import Any

import numpy as np

try:
    from aiohttp import web
except ModuleNotFoundError:
    sys.exit("This example needs aiohttp. Install it: pip install aiohttp")

from pdum.nvenc import NvencError, unavailable_reason
from scene import SMALLEST, Scene
from server import RUNNING, make_app
from show import Show


def main() -> None:
    options = parsed()
    if options.backend == "nvenc" and (reason := unavailable_reason(options.gpu)) is not None:
        sys.exit(reason)
    warnings.formatwarning = lambda message, *_: f"{message}\n"
    try:
        asyncio.run(serve(options))
    except KeyboardInterrupt:
        print()
    except (NvencError, OSError) as error:
        sys.exit(str(error))


async def serve(options: argparse.Namespace) -> None:
    """Serves until Ctrl-C or SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    app = make_app(lambda: make_show(options))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.port).start()
        host, port = runner.addresses[0][:2]
        print(
            f"Open http://{f'[{host}]' if ':' in host else host}:{port}/ in a browser. Ctrl-C ends the server.",
            flush=True,
        )
        is_ended = asyncio.create_task(ended.wait())
        running = app[RUNNING]
        await asyncio.wait([is_ended, running], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()  # raises what has ended the show
    finally:
        await runner.cleanup()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="examples/live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="the address to listen at (default: %(default)s, this machine)"
    )
    parser.add_argument("--port", type=port, default=8080, help="0: any free one (default: %(default)s)")
    parser.add_argument("--codec", choices=("h264", "hevc", "av1"), default="h264", help="(default: %(default)s)")
    parser.add_argument("--fps", type=positive, default=30, help="pictures per second (default: %(default)s)")
    parser.add_argument(
        "--bitrate", type=int, default=0, help="the most bits per second; 0: by the size of the picture"
    )
    parser.add_argument(
        "--max-size",
        type=size,
        metavar="WxH",
        help="the largest picture (default: 1280x720; 640x360 if NumPy draws it)",
    )
    parser.add_argument(
        "--backend", choices=("auto", "nvenc", "software"), default="auto", help="(default: %(default)s)"
    )
    parser.add_argument("--render", choices=("auto", "cupy", "numpy"), default="auto", help="(default: %(default)s)")
    parser.add_argument("--gpu", type=int, default=0, help="the GPU that encodes (default: %(default)s)")
    return parser.parse_args()


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 1 << 16:
        raise argparse.ArgumentTypeError(f"expected a number below 65536, got {text}")
    return number


def positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 240:
        raise argparse.ArgumentTypeError(f"expected more than 0 and at most 240, got {text}")
    return number


def size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a size such as 1280x720, got {text!r}") from None
    if width < SMALLEST[0] or height < SMALLEST[1]:
        raise argparse.ArgumentTypeError(f"expected at least {SMALLEST[0]}x{SMALLEST[1]}, got {text}")
    return width, height


def make_show(options: argparse.Namespace) -> Show:
    arrays = array_module(options.render)
    return Show(
        Scene(arrays, options.fps),
        size=(640, 360),
        max_size=options.max_size or ((640, 360) if arrays is np else (1280, 720)),
        fps=options.fps,
        codec=options.codec,
        bitrate=options.bitrate,
        backend=options.backend,
        gpu_id=options.gpu,
    )


def array_module(wanted: str) -> Any:
    """CuPy if it is wanted or works, else NumPy."""
    if wanted == "numpy":
        return np
    try:
        import cupy

        cupy.zeros(1)
    except Exception as error:  # CuPy's errors depend on what is missing
        if wanted == "cupy":
            sys.exit(f"CuPy cannot be used: {error}. Install CuPy for your CUDA version, or use --render numpy.")
        return np
    return cupy


if __name__ == "__main__":
    main()
