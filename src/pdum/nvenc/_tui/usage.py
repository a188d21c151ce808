"""How busy the GPUs are: a separate thread asks NVML once a second."""

from __future__ import annotations

from collections import deque
from threading import Event, Thread

from .. import _nvenc
from .._errors import NvencError
from .._machine.nvml import Nvml, Usage, nvml

PERIOD = 1.0
KEPT = 60


class UsagePoller:
    """``usage`` has the newest answer for each watched GPU, ``history`` its utilisation in percent."""

    def __init__(self) -> None:
        self.usage: dict[int, Usage] = {}
        self.history: dict[int, deque[int]] = {}
        self.answers = 0
        """How many times it has asked NVML."""
        self.reason: str | None = None
        """Why NVML reports nothing."""
        self._gpus: tuple[int, ...] = ()
        self._stop = Event()
        self._thread: Thread | None = None

    def watch(self, gpus: set[int]) -> None:
        """The first call with a GPU starts the thread, unless it was stopped."""
        self._gpus = tuple(sorted(gpus))
        if self._gpus and self._thread is None and not self._stop.is_set():
            self._thread = Thread(target=self._poll, name="pdum-nvenc-nvml", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _poll(self) -> None:
        try:
            bus_ids = [gpu["pci_bus_id"] for gpu in _nvenc.gpus()]
        except NvencError as error:
            self.reason = str(error)
            return
        with nvml() as library:
            self.reason = library.reason
            while library.reason is None:
                self._ask(library, bus_ids)
                if self._stop.wait(PERIOD):
                    break

    def _ask(self, library: Nvml, bus_ids: list[str]) -> None:
        self.answers += 1
        for gpu in self._gpus:
            if gpu < len(bus_ids):
                found = self.usage[gpu] = library.usage(bus_ids[gpu])
                if found.encoder_utilisation is not None:
                    self.history.setdefault(gpu, deque(maxlen=KEPT)).append(found.encoder_utilisation)
