"""fsspec, loaded at first use, and its file systems."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .._errors import NvencError, SourceUnreadable, StorageFailed, UnsupportedFeature
from .._text import error_text, one_line
from .address import WEB, Address
from .part_file import LocalDisk
from .settings import StorageSettings

PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    **dict.fromkeys(WEB, "aiohttp"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs"), "adlfs"),
    "smb": "smbprotocol",
    "webdav": "webdav4",
    "hdfs": "pyarrow",
}
"""The package that fsspec needs for each protocol."""
IN_THE_EXTRA = ("s3fs", "paramiko", "aiohttp")
NOT_FOUND, REFUSED = (404, 410), (401, 403)
"""Statuses of web servers."""
OF_ONE_USER = ("sftp", "ssh")
"""Protocols whose connection one thread uses at a time."""
OF_THE_S3_CLIENT = {"response_checksum_validation": "when_required"}
"""Some servers tell the checksum of the whole object with each range of it, which the client would take for damage.
What arrives is checked here."""


def require_packages(protocol: str) -> None:
    """Raises UnsupportedFeature if a package is missing. It opens no connection."""
    package = PACKAGES.get(protocol)
    missing = [name for name in ("fsspec", package) if name is not None and find_spec(name) is None]
    if missing:
        more = f" {package}" if package is not None and package not in IN_THE_EXTRA else ""
        raise UnsupportedFeature(
            f"{protocol}:// needs the Python package{'s' if len(missing) > 1 else ''} {' and '.join(missing)}: "
            f"pip install 'pdum-nvenc[storage]'{more}"
        )
    known = import_module("fsspec.registry")
    if protocol not in {*known.known_implementations, *known.registry}:
        raise UnsupportedFeature(
            f"fsspec does not know {protocol}://. It knows {', '.join(sorted(PACKAGES))} and others; "
            "its documentation names the package of each."
        )


@contextmanager
def file_system(address: Address, settings: StorageSettings) -> Iterator[tuple[Any, str]]:
    """fsspec's file system and its path of the address. Raises whatever fsspec raises."""
    require_packages(address.protocol)
    options = {**import_module("fsspec.config").conf.get(address.protocol, {})}
    options |= settings.options.get(address.protocol, {})
    if address.protocol in OF_ONE_USER:
        options = {"host_key_policy": _known_hosts_policy(), "skip_instance_cache": True, **options}
    if address.protocol in ("s3", "s3a"):
        options["config_kwargs"] = {**OF_THE_S3_CLIENT, **options.get("config_kwargs", {})}
    found, path = import_module("fsspec.core").url_to_fs(address.text, **options)
    try:
        yield found, path
    finally:
        if address.protocol in OF_ONE_USER:
            found.client.close()


def _known_hosts_policy() -> Any:
    """Accepts a server if the user's known_hosts has its key. fsspec itself would accept any server."""
    paramiko = import_module("paramiko")

    class KnownHosts(paramiko.MissingHostKeyPolicy):  # type: ignore[misc, name-defined]
        def missing_host_key(self, _client: Any, hostname: str, key: Any) -> None:
            known = paramiko.HostKeys()
            with suppress(OSError):
                known.load(str(Path("~/.ssh/known_hosts").expanduser()))
            if not known.check(hostname, key):
                host, _, port = hostname.strip("[").partition("]:")
                scan = f"ssh-keyscan -p {port} {host}" if port else f"ssh-keyscan {host}"
                raise StorageFailed(
                    f"The SSH key of {hostname} is not in ~/.ssh/known_hosts, or is another one there. If you trust "
                    f"this server: {scan} >> ~/.ssh/known_hosts"
                )

    return KnownHosts()


@contextmanager
def telling(address: Address, settings: StorageSettings, doing: str = "reached") -> Iterator[None]:
    """Turns every error of a storage into one of ours that names the address and shows no secret."""
    try:
        yield
    except (NvencError, LocalDisk):
        raise
    except Exception as error:
        raise _told(_cause(error, address), address, settings, doing) from None


def _cause(error: Exception, address: Address) -> Exception:
    """fsspec says of every failed request to a web server that the file was not found."""
    cause = error.__cause__
    is_of_web = address.protocol in WEB and isinstance(error, FileNotFoundError) and isinstance(cause, Exception)
    return cause if is_of_web and isinstance(cause, Exception) and _status(cause) not in NOT_FOUND else error


def _status(error: Exception) -> int:
    """The status of a web server's answer; 0 if it gave none."""
    return int(getattr(error, "status", 0) or 0)


def _told(error: Exception, address: Address, settings: StorageSettings, doing: str) -> NvencError:
    is_missing = isinstance(error, FileNotFoundError) or _status(error) in NOT_FOUND
    if is_missing and doing == "written":
        return StorageFailed(f"{address.shown} could not be written: there is no such bucket or folder. Make it first.")
    if is_missing:
        return SourceUnreadable(f"{address.shown}: The file does not exist.")
    reason = without_secrets(error, address, settings).rstrip(".")
    if isinstance(error, PermissionError) or _status(error) in REFUSED:
        return StorageFailed(
            f"{address.shown}: Access was refused: {reason}. Check the credentials and what they allow."
        )
    return StorageFailed(f"{address.shown} could not be {doing}: {reason}.")


def without_secrets(error: BaseException, address: Address, settings: StorageSettings) -> str:
    text = one_line(error_text(error)).replace(address.text, address.shown)
    for secret in (*address.secrets(), *settings.secrets()):
        text = text.replace(secret, "…")
    # Signatures of requests, in addresses that the storage made itself.
    return re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\"]+", r"\1?…", text)
