"""The GPUs of this machine, with the facts that matter for encoding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from .. import _nvenc
from .._errors import NvencError
from .capabilities import capabilities
from .nvml import EncodeSession, Nvml, nvml

KERNEL_MODULE = Path("/sys/module/nvidia/version")


@dataclass(frozen=True, kw_only=True)
class Device:
    """One GPU. ``gpu_id`` is what ``NvencEncoder`` takes; sizes are bytes.

    ``reason`` says why it cannot encode. If it is None, it can, and ``encoder_engines`` and ``codecs`` are known.
    ``memory_free``, ``sessions`` and ``encoder_utilisation`` (percent) come from NVML, and are None without it.
    """

    gpu_id: int
    name: str
    uuid: str
    pci_bus_id: str
    driver_version: str | None
    memory_total: int
    memory_free: int | None
    encoder_engines: int | None
    codecs: tuple[str, ...]
    sessions: tuple[EncodeSession, ...] | None
    encoder_utilisation: int | None
    reason: str | None

    @property
    def can_encode(self) -> bool:
        return self.reason is None


def devices() -> list[Device]:
    """Every GPU that this process sees, in the order of ``gpu_id``; empty if there is no GPU or no driver.

    The list includes GPUs without a hardware encoder, with the reason. A missing driver raises nothing.
    """
    try:
        gpus = _nvenc.gpus()
    except NvencError:
        return []
    with nvml() as library:
        version = driver_version(library)
        return [_device(gpu_id, gpu, library, version) for gpu_id, gpu in enumerate(gpus)]


def driver_version(library: Nvml) -> str | None:
    """From NVML, or else from the kernel, which works in most containers too."""
    if library.driver_version is not None:
        return library.driver_version
    try:
        return KERNEL_MODULE.read_text().strip() or None
    except OSError:
        return None


def _device(gpu_id: int, gpu: dict[str, Any], library: Nvml, version: str | None) -> Device:
    reason, engines, codecs = _encoder(gpu_id)
    usage = library.usage(gpu["pci_bus_id"])
    kind = "MIG" if " MIG " in gpu["name"] else "GPU"
    return Device(
        gpu_id=gpu_id,
        name=gpu["name"],
        uuid=f"{kind}-{UUID(bytes=gpu['uuid'])}",
        pci_bus_id=gpu["pci_bus_id"],
        driver_version=version,
        memory_total=gpu["memory_bytes"],
        memory_free=usage.memory_free,
        encoder_engines=engines,
        codecs=codecs,
        sessions=usage.sessions,
        encoder_utilisation=usage.encoder_utilisation,
        reason=reason,
    )


def _encoder(gpu_id: int) -> tuple[str | None, int | None, tuple[str, ...]]:
    try:
        found = capabilities(gpu_id)
    except NvencError as error:
        return str(error), None, ()
    # Older drivers cannot say how many encoders there are, but there is one.
    engines = max((one.encoder_engines for one in found.values()), default=0)
    return None, engines, tuple(found)
