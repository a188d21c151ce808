"""The arguments of the driver's calls as one flat table: the field's path in the structs, and its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc import NvencEncoder, NvencError

from simulator import Simulator
from simulator.trace import Call, read_calls

WIDTH, HEIGHT = 256, 160
# Every control of the newest generation, and as many engines as one picture can be split over.
GPU: dict[str, Any] = {"name": "RTX PRO 6000 Blackwell", "fps_1080p": 0}

SHORT = {
    "encodeConfig.encodeCodecConfig.": "codec.",
    "encodeConfig.rcParams.": "rc.",
    "encodeConfig.": "config.",
}
"""Struct members at the beginning of every path, and their abbreviations."""

Flat = dict[str, Any]


def flat(fields: Mapping[str, Any], prefix: str = "") -> Flat:
    """`{"rc.constQP.qpIntra": 20, …}`; a field at zero is not there. Version words are left out."""
    found: Flat = {}
    for name, value in fields.items():
        path = prefix + name
        if name == "version":
            continue
        if isinstance(value, dict):
            found |= flat(value, f"{path}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for number, one in enumerate(value):
                found |= flat(one, f"{path}[{number}].")
        else:
            found[_short(path)] = value
    return found


def _short(path: str) -> str:
    for long, short in SHORT.items():
        if path.startswith(long):
            return short + path.removeprefix(long)
    return path


def changed(before: Flat, after: Flat) -> Flat:
    """The differences, with the later values; 0 for a field that is gone."""
    return {path: after.get(path, 0) for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


class Driver:
    """Makes encoders on the simulated driver and reads the arguments that their settings led to."""

    def __init__(self, simulator: Simulator, path: Path) -> None:
        self.simulator = simulator
        self.path = path

    def calls(
        self,
        use: Callable[[NvencEncoder], object] = lambda _: None,
        *,
        gpu: Any = GPU,
        backend: str = "null",
        name: str = "",
        **settings: Any,
    ) -> list[Call]:
        """All calls of an encoder, or those of one name."""
        self.path.unlink(missing_ok=True)
        with (
            self.simulator.machine(gpus=gpu, backend=backend, trace=str(self.path)),
            NvencEncoder(**{"width": WIDTH, "height": HEIGHT, **settings}) as encoder,
        ):
            use(encoder)
        return read_calls(self.path, name)

    def initialized(self, **settings: Any) -> Flat:
        """The arguments of nvEncInitializeEncoder."""
        (call,) = self.calls(name="nvEncInitializeEncoder", **settings)
        return flat(call.args)

    def refusal(self, gpu: Any = GPU, **settings: Any) -> NvencError:
        """The error that the settings lead to."""
        with self.simulator.machine(gpus=gpu), pytest.raises(NvencError) as caught:
            NvencEncoder(**{"width": WIDTH, "height": HEIGHT, **settings}).close()
        return caught.value
