"""Names that were replaced before version 1.0. They work for one more version, with a warning."""

from __future__ import annotations

import warnings


def warn_of_old_name(old: str, new: str) -> None:
    """Warns the caller of the function that calls this."""
    warnings.warn(f"{old} is deprecated and will go in the next version. Use {new}.", DeprecationWarning, stacklevel=3)
