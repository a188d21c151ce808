"""Real servers and real clients: S3, SFTP and HTTP, with a broken connection between them where one is needed.

The servers are rclone's, and OpenSSH's. They listen on this machine's own address.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from pdum.nvenc import EncoderPool, FileSettings, SourceUnreadable, StorageFailed, StorageSettings, StoredJob
from pdum.nvenc._storage import fetching, publishing
from pdum.nvenc._storage.address import Address
from pdum.nvenc._storage.checksums import checksum_of
from pdum.nvenc._storage.fetching import Fetch
from pdum.nvenc._storage.listing import list_files
from pdum.nvenc._storage.publishing import Publish, look_for_result
from pdum.nvenc._storage.remote_file import RemoteFile, look_at, look_for
from storage import servers
from storage.server_packages import installed
from storage.servers import KEY, SECRET, Server

from clips import content, make_clip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.one_abi,
    pytest.mark.timeout(900),
    # What the clients do is not ours.
    pytest.mark.filterwarnings("ignore"),
]

SETTINGS = FileSettings(codec="h264", encoder={"tuning": "lossless", "preset": "p1"})


@pytest.fixture(scope="module")
def program() -> Iterator[Path]:
    """rclone. Its packages come last on the path, so that those of the tests' own environment win."""
    folder = installed()
    sys.path.append(str(folder))
    yield folder / "bin" / "rclone"
    sys.path.remove(str(folder))


@pytest.fixture(scope="module", params=["s3", "sftp", "openssh"])
def server(request: pytest.FixtureRequest, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A place for sources and results."""
    with getattr(servers, request.param)(program, tmp_path_factory.mktemp(request.param) / "served") as found:
        yield found


@pytest.fixture(scope="module")
def web(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with servers.http(program, tmp_path_factory.mktemp("http") / "served") as found:
        yield found


@pytest.fixture(autouse=True)
def _empty(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "FIRST_PAUSE", 0.01)


def storage_of(server: Server, tmp_path: Path, **more: Any) -> StorageSettings:
    return StorageSettings(spool=tmp_path / "spool", reserve=0, options=server.options, **more)


def publish(data: bytes, address: Address, storage: StorageSettings, tmp_path: Path) -> None:
    (tmp_path / "result.bin").write_bytes(data)
    Publish(
        tmp_path / "result.bin", address, storage, seen=look_for(address, storage), interrupted=lambda: None,
        begin=lambda: None,
    ).run()  # fmt: skip


def fetched(address: Address, storage: StorageSettings, folder: Path, interrupted: Any = lambda: None) -> bytes:
    folder.mkdir(exist_ok=True)
    one = Fetch(address, folder / "copy", storage, interrupted)
    one.run(one.look())
    return (folder / "copy").read_bytes()


def hidden(server: Server) -> list[str]:
    return [path.name for path in server.files.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("size", [0, 1, 100_000, 9 << 20, 40 << 20])
def test_there_and_back(server: Server, size: int, tmp_path: Path) -> None:
    """Also files that S3 gets in parts. What is there before is replaced."""
    storage, address = storage_of(server, tmp_path), Address(f"{server.root}/back/file.bin")
    for data in (os.urandom(size), os.urandom(size // 2)):
        publish(data, address, storage, tmp_path)
        assert fetched(address, storage, tmp_path / "down") == data
        assert (server.files / "back" / "file.bin").read_bytes() == data
    assert hidden(server) == []


def test_s3_tells_a_checksum(server: Server, tmp_path: Path) -> None:
    if not server.root.startswith("s3"):
        return
    storage, address = storage_of(server, tmp_path), Address(f"{server.root}/sum.bin")
    publish(b"some bytes", address, storage, tmp_path)
    assert look_at(address, storage).checksum == checksum_of(tmp_path / "result.bin", "md5")


def test_s3_refuses_what_arrives_damaged(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server itself compares the checksum, before the object is there."""
    if not server.root.startswith("s3"):
        return
    storage, address = storage_of(server, tmp_path), Address(f"{server.root}/damaged.bin")
    told = Publish._for_s3
    monkeypatch.setattr(Publish, "_for_s3", lambda self: {**told(self), "ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
    with pytest.raises(StorageFailed, match="could not be written"):
        publish(b"some bytes", address, storage, tmp_path)
    assert not (server.files / "damaged.bin").exists()


def test_an_upload_in_parts_that_is_cancelled(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, address = storage_of(server, tmp_path), Address(f"{server.root}/cancelled.bin")
    monkeypatch.setattr(publishing, "PART_OF_UPLOAD", 5 << 20)
    (tmp_path / "result.bin").write_bytes(os.urandom(60 << 20))
    calls = 0

    def interrupted() -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise StorageFailed("stop")

    with pytest.raises(StorageFailed, match="stop"):
        Publish(tmp_path / "result.bin", address, storage, seen=None, interrupted=interrupted, begin=lambda: None).run()
    assert look_for(address, storage) is None
    assert hidden(server) == []


def test_a_video(server: Server, tmp_path: Path) -> None:
    clip, storage = make_clip(tmp_path / "film.mkv", 12, sound=True), storage_of(server, tmp_path)
    publish(clip.read_bytes(), Address(f"{server.root}/in/film.mkv"), storage, tmp_path)
    source, result = f"{server.root}/in/film.mkv", f"{server.root}/out/new/film.mp4"
    job = StoredJob(source=source, destination=result, settings=SETTINGS, storage=storage)
    with EncoderPool(backend="software", engines=1) as pool:
        (encoded,) = pool.encode_files([job]).raise_for_errors()
    made = tmp_path / "made.mp4"
    made.write_bytes((server.files / "out" / "new" / "film.mp4").read_bytes())
    assert content(made) == content(clip)
    assert SECRET not in encoded.destination
    assert hidden(server) == []
    assert not (tmp_path / "spool").exists()


def test_lists(server: Server, tmp_path: Path) -> None:
    storage = storage_of(server, tmp_path)
    for name in ("list/a.mkv", "list/b.mp4", "list/deep/c.mkv", "list/.hidden.mkv"):
        publish(b"x", Address(f"{server.root}/{name}"), storage, tmp_path)
    folder = Address(f"{server.root}/list")

    def names(recursive: bool) -> list[str]:
        return [one.below for one in list_files(folder, storage, recursive=recursive) or []]

    assert names(recursive=False) == ["a.mkv", "b.mp4"]
    assert names(recursive=True) == ["a.mkv", "b.mp4", "deep/c.mkv"]
    assert list_files(Address(f"{server.root}/list/a.mkv"), storage, recursive=True) is None
    with pytest.raises(SourceUnreadable):
        list_files(Address(f"{server.root}/none"), storage, recursive=True)


def test_files_that_are_not_there(server: Server, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="does not exist") as told:
        look_at(Address(f"{server.root}/none.mkv"), storage_of(server, tmp_path))
    assert SECRET not in str(told.value)


def test_a_bucket_that_is_not_there(server: Server, tmp_path: Path) -> None:
    """Which is noticed before anything is encoded. Folders are made."""
    if not server.root.startswith("s3"):
        return
    with pytest.raises(StorageFailed, match="there is no such bucket or folder"):
        look_for_result(Address("s3://other-bucket/film.mp4"), storage_of(server, tmp_path))
    assert look_for_result(Address(f"{server.root}/new-folder/film.mp4"), storage_of(server, tmp_path)) is None


def test_wrong_credentials(server: Server, tmp_path: Path) -> None:
    wrong = "wrong-secret-of-mine"
    other = {"s3": ("secret", wrong), "sftp": ("key_filename", str(server.files.parent / "other"))}
    options = {
        name: {**one, other[name][0]: other[name][1]} for name, one in server.options.items() if other[name][0] in one
    }
    address = Address(f"{server.root.replace(SECRET, wrong)}/a.mkv")
    storage = StorageSettings(spool=tmp_path, options=options or server.options)
    with pytest.raises(StorageFailed) as told:
        look_at(address, storage)
    assert wrong not in str(told.value)


def test_a_server_that_is_not_there(server: Server, tmp_path: Path) -> None:
    port = servers.free_port()
    options = {"s3": {"endpoint_url": f"http://127.0.0.1:{port}", "key": KEY, "secret": SECRET}, **{
        name: one for name, one in server.options.items() if name != "s3"}}  # fmt: skip
    address = Address(f"{server.root.replace(str(server.port), str(port))}/a.mkv")
    with pytest.raises(StorageFailed, match="could not be read"):
        look_at(address, StorageSettings(spool=tmp_path, options=options))


def test_the_key_of_an_sftp_server_has_to_be_known(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From ~/.ssh/known_hosts, as for ssh itself."""
    if KEY not in server.root:
        return
    paramiko = pytest.importorskip("paramiko")
    monkeypatch.setenv("HOME", str(tmp_path))
    publish(b"x", Address(f"{server.root}/known.bin"), storage_of(server, tmp_path), tmp_path)
    storage = StorageSettings(spool=tmp_path / "spool")
    with pytest.raises(StorageFailed, match=rf"ssh-keyscan -p {server.port} 127\.0\.0\.1 >> ~/\.ssh/known_hosts"):
        look_at(Address(f"{server.root}/known.bin"), storage)
    with closing(paramiko.Transport(("127.0.0.1", server.port))) as transport:
        transport.start_client(timeout=30)
        key = transport.get_remote_server_key()
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {key.get_name()} {key.get_base64()}\n")
    assert look_at(Address(f"{server.root}/known.bin"), storage).size == 1


def test_from_a_web_server(web: Server, tmp_path: Path) -> None:
    data = os.urandom(20 << 20)
    (web.files / "a film.mkv").write_bytes(data)
    storage = storage_of(web, tmp_path)
    assert fetched(Address(f"{web.root}/a%20film.mkv"), storage, tmp_path / "down") == data


def test_what_web_servers_answer(web: Server, tmp_path: Path) -> None:
    storage = storage_of(web, tmp_path)
    with pytest.raises(SourceUnreadable, match="does not exist"):
        look_at(Address(f"{web.root}/none.mkv"), storage)
    with pytest.raises(StorageFailed, match="Access was refused"):
        look_at(Address(f"http://127.0.0.1:{web.port}/none.mkv"), storage)
    with pytest.raises(StorageFailed, match="could not be read"):
        look_at(Address(f"http://127.0.0.1:{servers.free_port()}/none.mkv"), storage)


# --- a broken connection ---


class Relay:
    """Passes bytes on to a server, until it has passed on ``most`` of them from the server: then it breaks."""

    def __init__(self, port: int, most: int) -> None:
        self._port, self.left, self.broken = port, most, 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._stack = ExitStack()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            for one in (client, server):
                self._stack.enter_context(closing(one))
            for source, target, counts in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass_on, args=(source, target, counts), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
                if counts and self.left > 0:
                    self.left -= len(data)
                    if self.left <= 0:
                        self.broken += 1
                        break
        except OSError:
            pass
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.close()
        self._stack.close()


@pytest.mark.parametrize("kind", ["s3", "sftp", "http"])
def test_a_connection_that_breaks(kind: str, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transfer goes on: all of the file is there, and no part of it came twice except what was on the way."""
    data = os.urandom(48 << 20)
    make: Callable[[Path, Path], Any] = getattr(servers, kind)
    with make(program, tmp_path / "served") as server:
        (server.files / "film.bin").write_bytes(data)
        with closing(Relay(server.port, 20 << 20)) as relay:
            address = Address(f"{server.root.replace(str(server.port), str(relay.port))}/film.bin")
            options = {
                name: {key: str(one).replace(str(server.port), str(relay.port)) for key, one in values.items()}
                for name, values in server.options.items()
            }
            # The client of S3 tries again itself; here it must not.
            if kind == "s3":
                options["s3"] = {**options["s3"], "config_kwargs": {"retries": {"max_attempts": 0}}}  # type: ignore[dict-item]
                import s3fs

                monkeypatch.setattr(s3fs.core.S3FileSystem, "retries", 1)
            storage = StorageSettings(spool=tmp_path / "spool", options=options)
            starts: list[int] = []
            chunks = RemoteFile.chunks

            def watched(remote: Any, start: int, size: int | None) -> Iterator[bytes]:
                starts.append(start)
                return chunks(remote, start, size)

            monkeypatch.setattr(RemoteFile, "chunks", watched)
            assert fetched(address, storage, tmp_path / "down") == data
            assert relay.broken == 1
            assert starts[0] == 0
            assert len(starts) > 1
            assert starts[1] >= 8 << 20, "it goes on where it stopped"
