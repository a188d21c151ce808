"""What users are told when the processor encodes. Every part of the package says it in these words."""

from __future__ import annotations

from collections.abc import Sequence

from .._errors import DriverNotFound, DriverTooOld, NvencError

SOFTWARE_ENCODES = "Encoding in software, which is much slower:"
"""How the notice begins, whatever the reason is."""


def software_notice(error: NvencError | None) -> str:
    """Says that software replaces the hardware. ``error``: why; None: the settings allow no NVIDIA encoder."""
    return f"{SOFTWARE_ENCODES} {_reason(error)}. Run pdum-nvenc doctor for details."


def ignored_notice(settings: Sequence[str]) -> str:
    """Says that the software codec has no equivalent for these settings."""
    return f"Ignored by software encoding: {', '.join(settings)}."


def _reason(error: NvencError | None) -> str:
    if error is None:
        return "the settings allow no NVIDIA encoder"
    if isinstance(error, DriverNotFound):
        return "no NVIDIA driver found"
    return "the NVIDIA driver is too old" if isinstance(error, DriverTooOld) else "no NVIDIA encoder found"
