"""The certificates of a cluster, all of whose members hold the same secret file or certificates of one authority."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from .._errors import InvalidConfig
from .._whole_file import whole_file

YEARS = 10
NAMES = ("ca.pem", "cert.pem", "key.pem")


@dataclass(frozen=True, kw_only=True)
class Tls:
    """Files in PEM form. Each side shows its certificate, and trusts only the authority's."""

    authority: Path
    certificate: Path
    key: Path


def tls_of(path: str | Path, *, make: bool = False) -> Tls:
    """A file that holds a key and its certificate, the same for all, or a folder with ca.pem, cert.pem and key.pem.

    ``make``: a file that does not exist is made.
    """
    given = Path(path).expanduser().absolute()
    if given.is_dir():
        missing = [name for name in NAMES if not (given / name).is_file()]
        if missing:
            raise InvalidConfig(
                f"Expected {', '.join(NAMES)} in the folder {given}, got no {' and no '.join(missing)}."
            )
        authority, certificate, key = (given / name for name in NAMES)
        return Tls(authority=authority, certificate=certificate, key=key)
    if not given.exists() and make:
        make_secret(given)
    _require_secret(given)
    return Tls(authority=given, certificate=given, key=given)


def _require_secret(path: Path) -> None:
    try:
        text = path.read_text("ascii", errors="replace")
    except OSError as error:
        raise InvalidConfig(
            f"{path}: {error.strerror}. Copy the file from the machine with the scheduler, where `pdum-nvenc cluster "
            f"--tls {path.name}` has made it."
        ) from None
    if "PRIVATE KEY-----" not in text or "BEGIN CERTIFICATE-----" not in text:
        raise InvalidConfig(
            f"Expected a private key and a certificate in {path}, as `pdum-nvenc cluster --tls` writes."
        )


def make_secret(path: Path) -> None:
    """Writes a new key and its certificate. Whoever has the file can use the cluster, so only its owner can read it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pdum-nvenc cluster")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(1970, 1, 1, tzinfo=timezone.utc))  # where a clock begins that was never set
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with whole_file(path) as part:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(secret + certificate.public_bytes(serialization.Encoding.PEM))
