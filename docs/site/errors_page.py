"""The page of all errors: what each one means, what usually causes it, and what helps."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import pdum.nvenc
from pdum.nvenc import NvencError

HEAD = """# Errors

Every error of this package is an `NvencError`. Its message says what was expected, what came instead, and what you can
do; `error.advice` is the last part alone. If the driver refused a call, `error.call` is the function,
`error.status_name` is its answer, and `error.driver_text` has the driver's own words.

```python
from pdum.nvenc import NvencEncoder, NvencError

try:
    encoder = NvencEncoder(1920, 1080, codec="av1")
except NvencError as error:
    print(error, error.call, error.status_name)
```

"""


@dataclass(frozen=True)
class Help:
    """Both in Markdown."""

    cause: str
    cure: str


HELP = {
    "Cancelled": Help(
        "`run.cancel()`, Ctrl-C, or the end of a pool stopped the job.",
        "Nothing, if you meant it. `run.retry(job)` starts the job again; the next `pdum-nvenc` run continues it.",
    ),
    "ClusterFailed": Help(
        "The scheduler of a cluster does not answer or has another certificate, its machines have other versions of "
        "this package, or a worker ended several times while it encoded the same range.",
        "Check that `pdum-nvenc cluster` runs at that address, that all sides have the same `--tls` file, and that all "
        "machines have the same version. If one file ends every worker, encode it alone on one machine to see why.",
    ),
    "CudaFailed": Help(
        "A call of CUDA failed that is not about memory or a lost GPU: a frame that was freed too early, a context "
        "that was destroyed, or an earlier kernel of your program that crashed (CUDA reports that at a later call).",
        "Read `error.call` and `error.status_name`. Run the program under `compute-sanitizer`, or with "
        "`CUDA_LAUNCH_BLOCKING=1`, to find the kernel that failed first.",
    ),
    "DecoderClosed": Help(
        "The decoder was used after `close()`, a frame after its end, or either of them in a child process that was "
        "forked later.",
        "Use a decoder inside its `with` block, copy frames that you need for longer, and make decoders in the process "
        "that uses them.",
    ),
    "DecoderFailed": Help(
        "The GPU's decoder refused a call. Usually the video is damaged; otherwise only the driver knows why.",
        "Try the processor, which decodes what it can of damaged files: `PDUM_NVENC_DECODE=cpu`. If an undamaged video "
        "fails on the GPU alone, please report it with the message.",
    ),
    "DeviceLost": Help(
        "The GPU was reset, fell off the bus, or its driver was updated while the program ran.",
        "Close the encoder and make a new one. If that fails too, restart the process and look for `Xid` in the "
        "kernel log (`dmesg`). A pool goes on with the other GPUs by itself.",
    ),
    "DriverNotFound": Help(
        "There is no NVIDIA driver, or only its compute part: containers get `libnvidia-encode` only if "
        "`NVIDIA_DRIVER_CAPABILITIES` contains `video`.",
        "Install NVIDIA's driver 530 or newer. In Docker, set `NVIDIA_DRIVER_CAPABILITIES=compute,video,utility`. "
        "Without a GPU, use `backend=\"software\"`.",
    ),
    "DriverTooOld": Help(
        "The driver speaks an older encode interface than 12.1, or than the one that `PDUM_NVENC_ABI` asks for.",
        "Update the driver to the version that the message names, or unset `PDUM_NVENC_ABI`.",
    ),
    "EncoderClosed": Help(
        "A method was called after `close()` or after the `with` block, or in a child process that was forked while "
        "the encoder existed.",
        "Make a new encoder. Start workers with `multiprocessing`'s `spawn`, and make encoders in the process that "
        "uses them.",
    ),
    "EncoderFailed": Help(
        "The driver refused a call or a combination of settings for a reason that it does not tell.",
        "Read `error.driver_text`, try with the default settings, and add yours one by one. Please report it with "
        "the output of `pdum-nvenc doctor`.",
    ),
    "FolderBusy": Help(
        "Another `pdum-nvenc` run, maybe a `watch` service, uses the same folder of results.",
        "Wait for it, or choose another folder with `-o`.",
    ),
    "FolderMissing": Help("The folder of the result does not exist.", "Create it, or correct the path."),
    "InvalidConfig": Help(
        "A setting is misspelt, out of its range, contradicts another one, or the picture is larger or smaller than "
        "the GPU encodes.",
        "Correct the setting that the message names. [Settings](settings.md) lists all of them.",
    ),
    "InvalidFrame": Help(
        "A frame has another shape, type or layout than the encoder was made for: often RGB for an encoder of NV12, "
        "uint16 for uint8, or the wrong size.",
        "Convert the frame, or make the encoder with the `format` that the message names. The encoder stays usable, "
        "and the frame has no packet.",
    ),
    "NoEncoder": Help(
        "There is no GPU, or it has no encoder: A100, H100 and H200 have none.",
        "Choose another GPU with `gpu_id`; `pdum-nvenc gpus` lists them. Or use `backend=\"software\"`.",
    ),
    "NoEngineLeft": Help(
        "Every engine of the pool failed several times in a row, hangs, or its GPU is lost. The message says why of "
        "each.",
        "Mend the first reason. If engines hang, restart the process.",
    ),
    "OutOfMemory": Help(
        "The GPU has too little free memory. Each session needs room for its frames: more with larger pictures, "
        "lookahead, B-frames and `extra_output_delay`.",
        "Close encoders and other programs on the GPU, or reduce these settings. CuPy and PyTorch keep memory that "
        "they no longer use: `cupy.get_default_memory_pool().free_all_blocks()`, `torch.cuda.empty_cache()`.",
    ),
    "OutOfSessions": Help(
        "GeForce cards share a limit for the whole system: 12 with recent drivers, fewer with older ones. OBS, "
        "browsers and forgotten processes count as well.",
        "Close an encoder or another program; the message names the processes if NVML tells. A pool waits up to "
        "`session_timeout` seconds.",
    ),
    "PieceDamaged": Help(
        "A finished piece of a long file changed in the work folder, or cannot be read any more.",
        "Run the command again: the piece is encoded once more. Check the disk if it happens twice.",
    ),
    "SeveralErrors": Help(
        "More than one job of a run failed.",
        "Look at `error.exceptions`. On Python 3.11 and newer, `except*` takes them apart.",
    ),
    "SourceEnded": Help(
        "The source file is incomplete, or its own count of frames is wrong.",
        "Get the file again. `ffmpeg -i in.mkv -c copy out.mkv` writes a new index if only that is wrong.",
    ),
    "SourceUnreadable": Help(
        "The file does not exist, may not be read, is no video, or is damaged beyond use.",
        "Play the file, and check its path and permissions. The batch tool reports it and goes on with the others.",
    ),
    "StorageFailed": Help(
        "The storage of a source or a result (`s3://`, `sftp://`, `https://`, …) did not answer, broke the connection "
        "too often, or refused the credentials.",
        "Check the address and the credentials with the storage's own tool. The same command continues where it "
        "stopped. See [Files at storages](../storage.md).",
    ),
    "TargetOutOfReach": Help(
        "`--target` asks for a quality that even the best value does not give, or `--max-size` for less than the "
        "lowest quality or the sound takes.",
        "Lower the target, allow more, make the picture smaller (`--scale`), or choose another codec (`-c`).",
    ),
    "TimedOut": Help(
        "`run.wait(timeout)` waited that long, and the run goes on.",
        "Wait again, or end the run with `run.cancel()`.",
    ),
    "UnsupportedFeature": Help(
        "The GPU lacks the capability that the message names, or the driver's interface is older than the setting.",
        "Leave the setting out, choose another codec or GPU, or update the driver. `capabilities()` tells what the "
        "GPU can do, and [Settings](settings.md) what each setting needs.",
    ),
    "VerificationFailed": Help(
        "The result did not decode to what it should be. It was deleted, and the source is unchanged.",
        "Run it again. If it fails again, please report it with the source or its first seconds.",
    ),
}


def error_names() -> list[str]:
    """All public errors, except their root."""
    return [name for name in pdum.nvenc.__all__ if name != "NvencError" and is_error(name)]


def is_error(name: str) -> bool:
    one = getattr(pdum.nvenc, name)
    return inspect.isclass(one) and issubclass(one, NvencError)


def errors_page() -> str:
    return HEAD + "\n".join(_section(name) for name in error_names())


def _section(name: str) -> str:
    error, known = getattr(pdum.nvenc, name), HELP[name]
    text = " ".join((inspect.getdoc(error) or "").replace("``", "`").split())
    also = [base.__name__ for base in error.__mro__[1:] if base.__module__ == "builtins"]
    kinds = [base for base in also if base not in ("RuntimeError", "Exception", "BaseException", "object")]
    others = f" It is a `{kinds[0]}`, too." if kinds else ""
    return f"## `{name}`\n\n{text}{others}\n\n- **Cause**: {known.cause}\n- **What to do**: {known.cure}\n"
