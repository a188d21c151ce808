"""What NVML knows about running encoders. It is optional: ``pip install pdum-nvenc[nvml]``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NVML_MISSING = "The Python package nvidia-ml-py is not installed: pip install pdum-nvenc[nvml]."
STATUS_VERSION_MISMATCH = 18
CODECS = {0: "h264", 1: "hevc", 2: "av1"}


@dataclass(frozen=True, kw_only=True)
class EncodeSession:
    """One live encode session of any process; ``process`` is None if its name may not be read."""

    pid: int
    process: str | None
    codec: str
    width: int
    height: int
    fps: int


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How busy a GPU is. A value that NVML does not report is None."""

    memory_free: int | None = None
    encoder_utilisation: int | None = None
    sessions: tuple[EncodeSession, ...] | None = None


@dataclass(frozen=True)
class Nvml:
    """NVML, or the reason why it cannot be used."""

    module: Any = None
    reason: str | None = None
    is_mismatched: bool = False  # the kernel module and the libraries of the driver have different versions

    @property
    def driver_version(self) -> str | None:
        version = self._ask("nvmlSystemGetDriverVersion")
        return version.decode() if isinstance(version, bytes) else version

    def usage(self, pci_bus_id: str) -> Usage:
        """The GPU is given by its PCI bus id, since NVML and CUDA number GPUs differently."""
        device = self._ask("nvmlDeviceGetHandleByPciBusId", pci_bus_id.encode())
        if device is None:
            return Usage()
        memory = self._ask("nvmlDeviceGetMemoryInfo", device)
        utilisation = self._ask("nvmlDeviceGetEncoderUtilization", device)
        sessions = self._ask("nvmlDeviceGetEncoderSessions", device)
        return Usage(
            memory_free=None if memory is None else int(memory.free),
            encoder_utilisation=None if utilisation is None else int(utilisation[0]),
            sessions=None if sessions is None else tuple(map(_session, sessions)),
        )

    def _ask(self, function: str, *arguments: Any) -> Any:
        if self.module is None:
            return None
        try:
            return getattr(self.module, function)(*arguments)
        except self.module.NVMLError:
            return None


@contextmanager
def nvml() -> Iterator[Nvml]:
    """NVML, open for as long as the block runs."""
    try:
        import pynvml
    except ImportError:
        yield Nvml(reason=NVML_MISSING)
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        yield Nvml(reason=f"NVML answers: {error}.", is_mismatched=error.value == STATUS_VERSION_MISMATCH)
        return
    try:
        yield Nvml(pynvml)
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


def _session(raw: Any) -> EncodeSession:
    return EncodeSession(
        pid=int(raw.pid),
        process=_process_name(int(raw.pid)),
        codec=CODECS.get(int(raw.codecType), f"codec {raw.codecType}"),
        width=int(raw.hResolution),
        height=int(raw.vResolution),
        fps=int(raw.averageFps),
    )


def _process_name(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip() or None
    except OSError:
        return None
