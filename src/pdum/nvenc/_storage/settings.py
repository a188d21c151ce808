"""How files at storages are fetched and published."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._config.targets import byte_count
from .._errors import InvalidConfig

SECRET_OPTIONS = ("key", "secret", "token", "password", "passphrase", "account_key", "sas_token", "connection_string")
"""Options of fsspec whose values no message may show."""


def default_spool() -> Path:
    """The folder of ``PDUM_NVENC_SPOOL``, or one among the user's caches."""
    given = os.environ.get("PDUM_NVENC_SPOOL")
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(given or Path(cache) / "pdum-nvenc" / "spool").expanduser()


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """How sources are copied to the local disk, and results to their storage.

    Args:
        spool: the local folder for the copies of sources, and for results until they are published. None:
            ``PDUM_NVENC_SPOOL`` of the environment, or ``~/.cache/pdum-nvenc/spool``.
        spool_limit: how many bytes of the disk the copies may take, or a text such as ``"200G"``; 0: all but
            ``reserve``.
        reserve: how many bytes of the disk stay free.
        attempts: how often a transfer may break without any progress before it fails.
        options: options of fsspec by protocol, such as ``{"s3": {"endpoint_url": "http://localhost:9000"}}``. fsspec
            also reads its own configuration and the usual variables of the environment.
    """

    spool: Path | str | None = None
    spool_limit: int | str = 0
    reserve: int | str = "1G"
    attempts: int = 5
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "spool", None if self.spool is None else Path(self.spool).expanduser())
        for name in ("spool_limit", "reserve"):
            object.__setattr__(self, name, byte_count(name, getattr(self, name)))
        if not (isinstance(self.attempts, int) and self.attempts >= 1):
            raise InvalidConfig(f"Expected a number from 1, got attempts={self.attempts!r}.")

    @property
    def folder(self) -> Path:
        """The absolute path of the spool."""
        return Path(os.path.abspath(self.spool or default_spool()))

    def secrets(self) -> Iterator[str]:
        """Values of options that no message may show."""
        for options in self.options.values():
            for name in SECRET_OPTIONS:
                value = options.get(name)
                if isinstance(value, str) and value:
                    yield value
