"""Reports what works on this machine, what does not, and what to do, as text and as data."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import _nvenc
from .._distributions import advice, other_distribution
from .._encoders.nvenc import ABI_VARIABLE, forced_abi
from .._errors import DriverNotFound, DriverTooOld, NoEncoder, NvencError, OutOfSessions
from .._version import __version__
from .devices import Device, devices, driver_version
from .finding import Finding
from .nvml import EncodeSession, Nvml, nvml
from .video_files import of_gpu_decoder, of_pyav

KERNEL_DRIVER = Path("/proc/driver/nvidia/version")
CUDA_LIBRARY, ENCODE_LIBRARY = "libcuda.so.1", "libnvidia-encode.so.1"
STATUS_MISMATCH = 803


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The result of ``doctor()``. ``str()`` of it is the text."""

    findings: tuple[Finding, ...]
    devices: tuple[Device, ...]

    @property
    def can_encode(self) -> bool:
        """Whether a hardware encoder can be made now on at least one GPU."""
        return any(finding.topic == "encoder" and finding.level == "ok" for finding in self.findings)

    @property
    def can_encode_in_software(self) -> bool:
        """Whether the processor can encode, with PyAV's codecs."""
        return bool(self.about("software"))

    @property
    def used(self) -> str | None:
        """What encodes if nothing is chosen: ``"nvenc"``, ``"software"``, or None if nothing can now.

        The processor does not replace a GPU whose sessions are all taken; an encoder waits for a session.
        """
        if self.can_encode:
            return "nvenc"
        return "software" if self.can_encode_in_software and not self.about("session limit") else None

    @property
    def verdict(self) -> str:
        """The result in a sentence."""
        if self.used == "nvenc":
            return "This machine can encode in hardware."
        if self.used == "software":
            return "This machine has no usable hardware encoder. It can encode in software, which is many times slower."
        return "This machine cannot encode now."

    def about(self, topic: str) -> list[Finding]:
        """The findings about one topic."""
        return [finding for finding in self.findings if finding.topic == topic]

    def __str__(self) -> str:
        return "\n".join(["pdum.nvenc doctor", "", *map(str, self.findings), "", self.verdict])


def doctor() -> Diagnosis:
    """Checks the driver, its libraries, the GPUs, their sessions and this package. Never raises and changes nothing."""
    with nvml() as library:
        driver = list(_of_driver(library))
    broken = any(finding.level == "problem" for finding in driver)
    found = () if broken and not _has_cuda(driver) else tuple(devices())
    findings = [*_of_package(), *driver, *(_of_nvml(library) if _has_cuda(driver) else ())]
    for device in found:
        findings += _of_gpu(device, broken)
    if found and not broken:
        findings.append(of_gpu_decoder())
    findings += of_pyav()
    return Diagnosis(findings=tuple(findings), devices=found)


def _has_cuda(driver: list[Finding]) -> bool:
    return any(finding.topic == "cuda" and finding.level == "ok" for finding in driver)


# ---- this package --------------------------------------------------------------------------------------------------


def _of_package() -> Iterator[Finding]:
    versions = f"pdum.nvenc {__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield Finding(level="ok", topic="version", text=f"{versions}.")
    state = "on: encoders mark their work for NVIDIA's profilers" if _nvenc.nvtx_enabled else "off in this build"
    yield Finding(level="ok", topic="nvtx", text=f"NVTX is {state}.")
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "AMD64"):
        text = f"This is {sys.platform} on {platform.machine()}; the package is made for Linux on x86-64."
        yield Finding(level="problem", topic="platform", text=text)
    other = other_distribution()
    if other is not None:
        text = f"{' '.join(other)} is installed too, and has the same folder pdum/nvenc."
        yield Finding(level="note", topic="other distribution", text=text, advice=advice(other[0]))
    forced = forced_abi()
    if forced is not None:
        text = f"{ABI_VARIABLE}={forced} is set: only that version of the encode interface is used."
        yield Finding(level="note", topic="forced abi", text=text, advice=f"Unset {ABI_VARIABLE} for the newest one.")


# ---- the driver ----------------------------------------------------------------------------------------------------


def _of_driver(library: Nvml) -> Iterator[Finding]:
    """Stops at the first failure that everything else depends on."""
    version = driver_version(library) or _kernel_drivers_version()
    if library.is_mismatched:
        yield _mismatch(library.reason or "")
        return
    try:
        gpus = len(_nvenc.gpus())
        cuda = _text(_nvenc.cuda_version())
    except NvencError as error:
        yield _without_cuda(error, version)
        return
    yield Finding(level="ok", topic="cuda", text=f"The NVIDIA driver {version or ''} speaks CUDA {cuda}.")
    yield from _of_encode_library()
    if gpus == 0:
        yield _no_gpu()


def _without_cuda(error: NvencError, version: str | None) -> Finding:
    if error.status == STATUS_MISMATCH:
        return _mismatch(str(error))
    if isinstance(error, NoEncoder):
        return _no_gpu()
    if isinstance(error, DriverNotFound) and version is not None:
        text = f"The kernel runs NVIDIA's driver {version}, but {CUDA_LIBRARY} is missing here."
        advice = (
            "In a container: start it with the GPU, --gpus all and NVIDIA_DRIVER_CAPABILITIES=compute,utility,video. "
            "Else install the driver's libraries of that version."
        )
        return Finding(level="problem", topic="driver", text=text, advice=advice)
    if isinstance(error, DriverNotFound):
        text = f"There is no NVIDIA driver: {CUDA_LIBRARY} cannot be opened."
        return Finding(level="problem", topic="driver", text=text, advice=error.advice)
    topic = "old driver" if isinstance(error, DriverTooOld) else "driver"
    return Finding(level="problem", topic=topic, text=_without_advice(error), advice=error.advice)


def _of_encode_library() -> Iterator[Finding]:
    try:
        newest = _text(_nvenc.encode_version())
        used = _nvenc.chosen_abi(forced_abi())
    except DriverNotFound:
        text = f"{CUDA_LIBRARY} is here, but {ENCODE_LIBRARY}, the driver's part that encodes video, is missing."
        advice = (
            "In a container: start it with NVIDIA_DRIVER_CAPABILITIES=compute,utility,video (video is missing). "
            "Else install the driver's encode library (Debian: libnvidia-encode1)."
        )
        yield Finding(level="problem", topic="encode library", text=text, advice=advice)
    except DriverTooOld as error:
        yield Finding(level="problem", topic="old driver", text=_without_advice(error), advice=error.advice)
    except NvencError as error:
        yield Finding(level="problem", topic="interface", text=_without_advice(error), advice=error.advice)
    else:
        text = f"The driver's encode interface is {newest}; encoders made now use {used}."
        yield Finding(level="ok", topic="interface", text=text)


def _mismatch(words: str) -> Finding:
    text = f"The driver's kernel module and its libraries are of different versions. {words}"
    advice = "Reboot, which is needed after an update of the driver; in a container, restart the container."
    return Finding(level="problem", topic="mismatch", text=text, advice=advice)


def _no_gpu() -> Finding:
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        advice = "See what `nvidia-smi` lists; a container is started with --gpus all."
        return Finding(level="problem", topic="no gpu", text="The driver shows no GPU to this process.", advice=advice)
    text = f"The driver shows no GPU to this process, and CUDA_VISIBLE_DEVICES={chosen!r} is set."
    return Finding(level="problem", topic="no gpu", text=text, advice="Unset CUDA_VISIBLE_DEVICES, or name a GPU.")


def _kernel_drivers_version() -> str | None:
    try:
        words = KERNEL_DRIVER.read_text().splitlines()[0].split()
    except (OSError, IndexError):
        return None
    return next((word for word in words if word[:1].isdigit() and "." in word), None)


# ---- the GPUs ------------------------------------------------------------------------------------------------------


def _of_nvml(library: Nvml) -> Iterator[Finding]:
    if library.reason is not None and not library.is_mismatched:
        text = f"Live sessions, utilisation and free memory are not known. {library.reason}"
        yield Finding(level="note", topic="nvml", text=text)


def _of_gpu(device: Device, broken: bool) -> Iterator[Finding]:
    name = f"GPU {device.gpu_id} ({device.name}, {device.memory_total / (1 << 30):.0f} GiB)"
    if broken:
        yield Finding(level="note", topic="gpu", text=f"{name} is there.", gpu_id=device.gpu_id)
        return
    yield _encoder(device, name)
    if device.sessions:
        yield Finding(level="note", topic="sessions", text=f"{name}: {_held(device.sessions)}.", gpu_id=device.gpu_id)


def _encoder(device: Device, name: str) -> Finding:
    """Asks the driver again: ``capabilities`` remembers old answers, which do not say whether a session is free now."""
    try:
        codecs = ", ".join(_nvenc.probe(device.gpu_id, forced_abi())["codecs"])
    except OutOfSessions as error:
        held = _held(device.sessions) if device.sessions else "NVML does not say by whom"
        text = f"{name}: all encode sessions are taken, or its memory is; {held}."
        return Finding(level="problem", topic="session limit", text=text, advice=error.advice, gpu_id=device.gpu_id)
    except NoEncoder as error:
        text = f"{name} has no hardware encoder that this machine may use."
        return Finding(level="problem", topic="no encoder", text=text, advice=error.advice, gpu_id=device.gpu_id)
    except NvencError as error:
        text, advice = f"{name}: {_without_advice(error)}", error.advice
        return Finding(level="problem", topic="encoder", text=text, advice=advice, gpu_id=device.gpu_id)
    engines = device.encoder_engines
    how_many = "an encoder" if not engines else "1 encoder" if engines == 1 else f"{engines} encoders"
    busy = "" if device.encoder_utilisation is None else f", {device.encoder_utilisation} % busy"
    return Finding(level="ok", topic="encoder", text=f"{name} has {how_many} for {codecs}{busy}.", gpu_id=device.gpu_id)


def _held(sessions: tuple[EncodeSession, ...]) -> str:
    counts: dict[tuple[int, str | None], int] = {}
    for session in sessions:
        key = session.pid, session.process
        counts[key] = counts.get(key, 0) + 1
    holders = [f"{count} by process {pid} ({name or 'of another user'})" for (pid, name), count in counts.items()]
    return f"{len(sessions)} encode session{'s' * (len(sessions) != 1)} held: {', '.join(holders)}"


def _without_advice(error: NvencError) -> str:
    return str(error).removesuffix(error.advice).strip()


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
