"""The address of a file or a folder at a storage: ``s3://bucket/film.mp4``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl, unquote, urlsplit

from .._errors import InvalidConfig

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
LOCAL = ("file", "local")
WEB = ("http", "https")
SHORTEST_SECRET = 4
"""Shorter texts are no secrets, and removing them would damage messages."""


def is_address(given: str | os.PathLike[str]) -> bool:
    """Whether this is an address of a storage and not a local path. ``file://`` is a local path."""
    found = SCHEME.match(given) if isinstance(given, str) else None
    return found is not None and found[1].lower() not in LOCAL


def local_path(given: str | os.PathLike[str]) -> Path:
    """The path, which may be written as ``file:///folder/film.mp4``."""
    found = SCHEME.match(given) if isinstance(given, str) else None
    if found is None or found[1].lower() not in LOCAL:
        return Path(given)
    path = str(given)[found.end() :]
    if not path.startswith("/"):
        raise InvalidConfig(f"Expected file:/// and a path of this machine, got {given}.")
    return Path(unquote(path))


@dataclass(frozen=True)
class Address:
    """``text`` may hold a password or a signature, so messages use ``shown``."""

    text: str

    def __post_init__(self) -> None:
        if not is_address(self.text):
            raise InvalidConfig(f"Expected an address such as s3://bucket/film.mp4, got {self.text!r}.")
        if "::" in self.text:
            raise InvalidConfig(f"Expected one address, got {self.shown}. Chains of addresses are not supported.")

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    @property
    def protocol(self) -> str:
        return self.text.partition("://")[0].lower()

    @property
    def _path(self) -> str:
        """Everything before a query, which only addresses of web servers have."""
        return self.text.partition("?")[0].partition("#")[0] if self.protocol in WEB else self.text

    @property
    def _query(self) -> str:
        return self.text[len(self._path) :]

    @property
    def name(self) -> str:
        """The name of the file, or of the folder. It is no path, whatever a web server calls its files."""
        name = PurePosixPath(self._path.partition("://")[2].rstrip("/")).name
        if self.protocol in WEB:
            name = unquote(name).replace("/", "_").replace("\0", "_")
        return "_" if name in (".", "..") else name

    @property
    def suffix(self) -> str:
        return os.path.splitext(self.name)[1]

    @property
    def names_a_folder(self) -> bool:
        return self._path.endswith("/")

    @property
    def shown(self) -> str:
        """The address without a password and without the query."""
        scheme, _, rest = self._path.partition("://")
        place, slash, path = rest.partition("/")
        user, at, host = place.rpartition("@")
        place = f"{user.partition(':')[0]}@{host}" if at else place
        return f"{scheme}://{place}{slash}{path}" + ("?…" if self._query else "")

    def child(self, *names: str) -> Address:
        """The address of a file below this folder."""
        return Address("/".join([self._path.rstrip("/"), *(name.strip("/") for name in names if name)]) + self._query)

    def exactly(self, below: str) -> Address:
        """The address of a file whose path below this folder is this one, which may have several slashes in a row."""
        return Address(f"{self._path.rstrip('/')}/{below}{self._query}")

    @property
    def parent(self) -> Address:
        return Address(self._path.rstrip("/").rpartition("/")[0] + "/" + self._query)

    def secrets(self) -> Iterator[str]:
        """The parts that no message may show."""
        found = [self._query]
        if self._query:
            found += [value for _, value in parse_qsl(self._query.lstrip("?"))]
        place = urlsplit(self.text).netloc if "@" in self.text else ""
        password = place.rpartition("@")[0].partition(":")[2]
        found += [password, unquote(password)]
        yield from sorted({one for one in found if len(one) >= SHORTEST_SECRET}, key=len, reverse=True)
