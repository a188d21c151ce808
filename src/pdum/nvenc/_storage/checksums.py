"""Checksums that storages tell of their files, and those of local files."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from binascii import Error
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHUNK = 8 << 20
"""Bytes that are read or written at a time."""
MD5 = re.compile(r"[0-9a-fA-F]{32}")
ALGORITHMS = {"md5": 16, "sha-256": 32, "sha256": 32, "sha-512": 64, "sha512": 64}
"""Algorithms by their names in HTTP, with the number of their bytes. The first are tried last."""


@dataclass(frozen=True)
class Checksum:
    algorithm: str
    """As hashlib names it."""
    digest: str
    """In hexadecimal digits."""

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digest}"


def told_checksum(info: Mapping[str, Any], protocol: str) -> Checksum | None:
    """The checksum of the whole file, if the storage tells one that can be compared."""
    for found in (_of_s3(info) if protocol in ("s3", "s3a") else None, _of_headers(info), _of_google(info)):
        if found is not None:
            return found
    return None


def _of_s3(info: Mapping[str, Any]) -> Checksum | None:
    """S3's own SHA-256, or its ETag. The ETag of what came in parts, or is encrypted with a key, is no MD5."""
    found = _decoded("sha256", info.get("ChecksumSHA256"))
    if found is not None and info.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
        return found
    tag = str(info.get("ETag", "")).strip('"')
    is_encrypted = "kms" in str(info.get("ServerSideEncryption", "")) or bool(info.get("SSECustomerAlgorithm"))
    return Checksum("md5", tag.lower()) if MD5.fullmatch(tag) and not is_encrypted else None


def _of_headers(info: Mapping[str, Any]) -> Checksum | None:
    told = dict(part.strip().partition("=")[::2] for part in str(info.get("Digest", "")).split(","))
    told = {name.lower(): value for name, value in told.items()}
    for name in reversed(ALGORITHMS):
        found = _decoded(name, told.get(name))
        if found is not None:
            return found
    return _decoded("md5", info.get("Content-MD5"))


def _of_google(info: Mapping[str, Any]) -> Checksum | None:
    return _decoded("md5", info.get("md5Hash"))


def _decoded(algorithm: str, text: object) -> Checksum | None:
    """From base64; None if it is anything else."""
    try:
        raw = b64decode(str(text), validate=True)
    except (Error, ValueError):
        return None
    name = algorithm.replace("-", "")
    return Checksum(name, raw.hex()) if len(raw) == ALGORITHMS[algorithm] else None


def checksum_of(path: Path, algorithm: str, interrupted: Callable[[], object] = lambda: None) -> Checksum:
    """Reads the whole file. ``interrupted`` is called now and then, and may raise."""
    found = new_hash(algorithm)
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            found.update(data)
            interrupted()
    return Checksum(algorithm, found.hexdigest())


def new_hash(algorithm: str) -> Any:
    return hashlib.new(algorithm, usedforsecurity=False)
