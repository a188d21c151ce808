"""Which checksums of servers can be compared."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc._storage.checksums import Checksum, checksum_of, told_checksum

pytestmark = pytest.mark.one_abi

DATA = b"a film"
MD5, SHA256 = hashlib.md5(DATA), hashlib.sha256(DATA)


def base64(found: Any) -> str:
    return b64encode(found.digest()).decode()


@pytest.mark.parametrize(
    ("info", "algorithm"),
    [
        ({"ETag": f'"{MD5.hexdigest()}"'}, "md5"),
        ({"ETag": f'"{MD5.hexdigest()}"', "ServerSideEncryption": "AES256"}, "md5"),
        ({"ETag": f'"{MD5.hexdigest()}"', "ServerSideEncryption": "aws:kms"}, None),
        ({"ETag": f'"{MD5.hexdigest()}"', "SSECustomerAlgorithm": "AES256"}, None),
        ({"ETag": f'"{MD5.hexdigest()}-2"'}, None),
        ({"ETag": '"x"', "ChecksumSHA256": base64(SHA256)}, "sha256"),
        ({"ChecksumSHA256": base64(SHA256), "ChecksumType": "COMPOSITE"}, None),
        ({"ChecksumSHA256": base64(SHA256) + "-2"}, None),
    ],
)
def test_of_s3(info: dict[str, str], algorithm: str | None, tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(DATA)
    expected = None if algorithm is None else checksum_of(tmp_path / "film", algorithm)
    assert told_checksum(info, "s3") == expected


@pytest.mark.parametrize(
    ("info", "algorithm"),
    [
        ({"Content-MD5": base64(MD5)}, "md5"),
        ({"Digest": f"SHA-256={base64(SHA256)},md5={base64(MD5)}"}, "sha256"),
        ({"Digest": f"md5={base64(MD5)}"}, "md5"),
        ({"Digest": "sha-256=nonsense"}, None),
        ({"md5Hash": base64(MD5)}, "md5"),
        ({"ETag": f'"{MD5.hexdigest()}"'}, None),
        ({}, None),
    ],
)
def test_of_web_servers(info: dict[str, str], algorithm: str | None) -> None:
    digest = {"md5": MD5.hexdigest(), "sha256": SHA256.hexdigest()}
    assert told_checksum(info, "https") == (None if algorithm is None else Checksum(algorithm, digest[algorithm]))
