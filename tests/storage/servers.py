"""Real servers on this machine's own address: S3, SFTP and HTTP, over a folder."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.server_packages import openssh_server

KEY, SECRET = "key-of-the-test", "secret-of-the-test"


@dataclass(frozen=True, kw_only=True)
class Server:
    """``root`` is the address of the folder ``files``."""

    root: str
    files: Path
    port: int
    options: dict[str, dict[str, Any]] = field(default_factory=dict)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def rclone(program: Path, kind: str, folder: Path, port: int, *more: str) -> Iterator[None]:
    """Serves the folder until the block ends."""
    log = (folder.parent / f"{folder.name}-{kind}.log").open("w")
    command = [str(program), "serve", kind, str(folder), "--addr", f"127.0.0.1:{port}", "--config", "", *more]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        await_port(port, process)
        yield
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def await_port(port: int, process: subprocess.Popen[Any]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the server at port {port} does not answer")


@contextmanager
def s3(program: Path, folder: Path) -> Iterator[Server]:
    """Each folder is a bucket."""
    files, port = folder / "bucket", free_port()
    files.mkdir(parents=True)
    with rclone(program, "s3", folder, port, "--auth-key", f"{KEY},{SECRET}", "--vfs-cache-mode", "off"):
        options = {"endpoint_url": f"http://127.0.0.1:{port}", "key": KEY, "secret": SECRET}
        yield Server(root="s3://bucket", files=files, port=port, options={"s3": options})


@contextmanager
def sftp(program: Path, folder: Path) -> Iterator[Server]:
    """The server's key is not known, and has to be accepted."""
    folder.mkdir(parents=True)
    port = free_port()
    with rclone(program, "sftp", folder, port, "--user", KEY, "--pass", SECRET, "--cache-dir", str(folder.parent)):
        root = f"sftp://{KEY}:{SECRET}@127.0.0.1:{port}"
        yield Server(root=root, files=folder, port=port, options={"sftp": {"host_key_policy": "auto_add"}})


@contextmanager
def openssh(_program: Path, folder: Path) -> Iterator[Server]:
    """OpenSSH's own server, with users of its own in a separate mount namespace."""
    files, work, port = folder, folder.parent, free_port()
    files.mkdir(parents=True)
    for name in ("host", "key", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(work / name)], check=True)
    (work / "keys").write_text((work / "key.pub").read_text())
    places = {"HostKey": work / "host", "AuthorizedKeysFile": work / "keys"}
    lines = [f"Port {port}", "ListenAddress 127.0.0.1", *(f"{name} {path}" for name, path in places.items())]
    lines += ["StrictModes no", "UsePAM no", "PidFile none", "Subsystem sftp internal-sftp"]
    (work / "config").write_text("\n".join([*lines, ""]))
    (work / "passwd").write_text("root:x:0:0::/root:/bin/sh\nsshd:x:998:998::/run/sshd:/usr/sbin/nologin\n")
    (work / "shadow").write_text("root:*:19000:0:99999:7:::\nsshd:*:19000:0:99999:7:::\n")
    sshd, libraries = openssh_server()
    script = " && ".join(
        [
            f"mount --bind {work}/passwd /etc/passwd",
            f"mount --bind {work}/shadow /etc/shadow",
            "mount -t tmpfs none /run",
            "mkdir -p /run/sshd",
            f"exec {sshd} -D -e -f {work}/config",
        ]
    )
    with (work / "sshd.log").open("w") as log:
        command = ["unshare", "--mount", "sh", "-c", script]
        env = {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env)
        try:
            await_port(port, process)
            options = {"username": "root", "key_filename": str(work / "key"), "host_key_policy": "auto_add",
                       "look_for_keys": False, "allow_agent": False}  # fmt: skip
            yield Server(root=f"sftp://127.0.0.1:{port}{files}", files=files, port=port, options={"sftp": options})
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def http(program: Path, folder: Path) -> Iterator[Server]:
    folder.mkdir(parents=True)
    port = free_port()
    with rclone(program, "http", folder, port, "--user", KEY, "--pass", SECRET):
        yield Server(root=f"http://{KEY}:{SECRET}@127.0.0.1:{port}", files=folder, port=port)
