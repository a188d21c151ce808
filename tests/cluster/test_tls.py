"""Encryption: whoever does not show the right certificate is refused, by both sides."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.nodes import scheduler_spec
from cluster.test_commands import running
from pdum.nvenc import ClusterFailed, EncoderPool, InvalidConfig, NoEncoder
from pdum.nvenc._cluster.dask_client import connected
from pdum.nvenc._cluster.dask_nodes import require_same_version
from pdum.nvenc._cluster.dask_settings import security_of, settings_of_a_scheduler
from pdum.nvenc._cluster.tls import Tls, tls_of
from pdum.nvenc._version import __version__

from loud import need_module

pytestmark = pytest.mark.one_abi


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The cluster's own file, and one that somebody else has made."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("farm.pem", "other.pem"):
        tls_of(folder / name, make=True)
    return folder / "farm.pem", folder / "other.pem"


@contextmanager
def scheduler_in_a_loop(tls: Tls) -> Iterator[tuple[Any, Any]]:
    """A scheduler without workers, and the loop that it runs in."""
    distributed = need_module("distributed")
    with settings_of_a_scheduler():
        spec = scheduler_spec(security_of(tls))
        with distributed.SpecCluster(scheduler=spec, workers={}, security=security_of(tls)) as cluster:
            yield cluster.scheduler_address, cluster


@pytest.fixture(scope="module")
def encrypted(secrets: tuple[Path, Path]) -> Iterator[str]:
    with scheduler_in_a_loop(tls_of(secrets[0])) as (address, _):
        yield address


def test_the_right_file_lets_in(encrypted: str, secrets: tuple[Path, Path]) -> None:
    cluster = connected(encrypted, tls_of(secrets[0]), 20)
    assert cluster.address == encrypted
    assert encrypted.startswith("tls://")
    cluster.close()
    asyncio.run(require_same_version(encrypted, tls_of(secrets[0])))


def test_a_worker_refuses_a_scheduler_with_another_certificate(encrypted: str, secrets: tuple[Path, Path]) -> None:
    with pytest.raises(ClusterFailed, match="does not accept the certificate of --tls, or shows another one"):
        asyncio.run(require_same_version(encrypted, tls_of(secrets[1])))


def test_a_scheduler_refuses_a_worker_with_another_certificate(encrypted: str, secrets: tuple[Path, Path]) -> None:
    """The worker trusts the scheduler, so only the scheduler can refuse."""
    right, wrong = (tls_of(path) for path in secrets)
    stranger = Tls(authority=right.authority, certificate=wrong.certificate, key=wrong.key)
    with pytest.raises((OSError, ClusterFailed), match=r"before comm was established|the certificate of --tls"):
        asyncio.run(require_same_version(encrypted, stranger))
    with pytest.raises(ClusterFailed, match="that it uses the same --tls file"):
        connected(encrypted, stranger, 5)


def test_nobody_gets_in_without_a_certificate(encrypted: str) -> None:
    plain = encrypted.replace("tls://", "tcp://")
    with pytest.raises(ClusterFailed, match=r"does not answer: .* that it uses no TLS \(--tls FILE if it does\)"):
        EncoderPool(cluster=plain, session_timeout=5)


def test_only_its_owner_can_read_a_new_secret(secrets: tuple[Path, Path]) -> None:
    assert stat.S_IMODE(secrets[0].stat().st_mode) == 0o600
    before = secrets[0].read_bytes()
    tls_of(secrets[0], make=True)
    assert secrets[0].read_bytes() == before, "it is not made again"


def test_a_folder_has_the_certificates_of_an_authority(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    with pytest.raises(InvalidConfig, match=r"got no cert\.pem and no key\.pem"):
        tls_of(tmp_path)
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    assert tls_of(tmp_path) == Tls(
        authority=tmp_path / "ca.pem", certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem"
    )


def test_a_file_that_is_missing_or_no_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="Copy the file from the machine with the scheduler"):
        tls_of(tmp_path / "farm.pem")
    (tmp_path / "farm.pem").write_text("hello")
    with pytest.raises(InvalidConfig, match="Expected a private key and a certificate"):
        tls_of(tmp_path / "farm.pem")


def test_a_connection_has_its_own_security(secrets: tuple[Path, Path]) -> None:
    with pytest.raises(InvalidConfig, match="is for an address"):
        EncoderPool(cluster=object(), tls=secrets[0])  # type: ignore[arg-type]
    with pytest.raises(InvalidConfig, match="is for a cluster"):
        EncoderPool(tls=secrets[0])


def test_a_scheduler_of_another_version_is_refused(secrets: tuple[Path, Path]) -> None:
    tls = tls_of(secrets[0])
    with scheduler_in_a_loop(tls) as (address, cluster):
        for version in (__version__, "0.0.1"):
            cluster.scheduler.set_metadata(keys=["pdum-nvenc"], value=version)
            if version == __version__:
                asyncio.run(require_same_version(address, tls))
            else:
                with pytest.raises(ClusterFailed, match=rf"has pdum-nvenc 0\.0\.1, and .* {__version__}"):
                    asyncio.run(require_same_version(address, tls))


def test_a_scheduler_warns_of_nobody_who_has_the_secret(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    secret = tmp_path / "farm.pem"
    with running("cluster", "--listen", "127.0.0.1:0", "--tls", str(secret), cwd=tmp_path) as scheduler:
        address = scheduler.wait_for(r"The scheduler is (tls://\S+)\.")[1]
        with pytest.raises(NoEncoder, match="has no engine"):
            EncoderPool(cluster=address, tls=secret, session_timeout=0.5)
        assert scheduler.end() == 130
    assert "WARNING" not in scheduler.output
