"""Sources at a storage: each machine of a cluster copies them for itself, and needs no folder that others see."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cluster.nodes import cluster_of, engines_that_worked, node
from files.runner import LOSSLESS, assert_same_pictures
from pdum.nvenc import EncoderPool, FileSettings, FileTask, StorageSettings, StoredJob

from loud import need_module

pytestmark = [pytest.mark.one_abi, pytest.mark.slow]

SETTINGS: dict[str, Any] = {**LOSSLESS, "codec": "h264"}


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        asked.append(self.path)
        super().do_GET()


asked: list[str] = []


@pytest.fixture
def server(clip: Path) -> Iterator[str]:
    """The address of the clip at a web server."""
    need_module("aiohttp")
    asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(clip.parent))) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{found.server_address[1]}/{clip.name}"
        found.shutdown()
        thread.join()


def test_each_machine_copies_the_source_once(nvsim_dir: Path, server: str, clip: Path, tmp_path: Path) -> None:
    """Three workers of two machines: the caller's copy, and one for each machine's spool."""
    assert nvsim_dir.is_dir()
    spools = [tmp_path / name for name in ("caller", "small", "large")]
    workers = [
        {**worker, "PDUM_NVENC_SPOOL": str(spool)}
        for spool, machine in zip(spools[1:], (node("small", 1), node("large", 2)), strict=True)
        for worker in machine
    ]
    told: list[Any] = []
    with cluster_of(*workers) as cluster, cluster.get_client() as client, EncoderPool(cluster=client) as pool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PDUM_NVENC_SPOOL", str(spools[0]))
            result = tmp_path / "result.mkv"
            pool.encode_file(server, result, segments=9, on_event=told.append, **SETTINGS)
        assert_same_pictures(clip, result)
        assert engines_that_worked(told) == {0, 1, 2}
        assert len(asked) == 3
        assert not spools[0].exists()
        assert [len(list(spool.glob("shared-*/source/clip.mkv"))) for spool in spools[1:]] == [1, 1], (
            "kept for further ranges"
        )


def test_workers_keep_their_latest_source(client: Any, server: str, clip: Path, tmp_path: Path) -> None:
    """Of four sources, no worker keeps more than one."""
    storage = StorageSettings(spool=tmp_path / "spool", reserve=0)
    places = [f"{server}?{number}" for number in range(4)]
    results = [tmp_path / f"{number}.mkv" for number in range(4)]
    jobs = [
        StoredJob(source=place, destination=result, settings=FileSettings(codec="h264", encoder=LOSSLESS),
                  storage=storage)
        for place, result in zip(places, results, strict=True)
    ]  # fmt: skip
    with EncoderPool(cluster=client) as pool:
        pool.encode_files(jobs).raise_for_errors()
        assert len(list((tmp_path / "spool").glob("shared-*"))) <= len(pool.engines)
    for result in results:
        assert_same_pictures(clip, result)


def test_a_local_source_with_its_result_at_a_storage(client: Any, clip: Path, tmp_path: Path) -> None:
    """Workers read the source by its path. The packets come back: nobody else sees the caller's spool."""
    memory = need_module("fsspec").filesystem("memory")
    storage = StorageSettings(spool=tmp_path / "spool", reserve=0)
    with EncoderPool(cluster=client) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileTask, "adopt", None)
        pool.encode_file(clip, "memory://out/result.mkv", segments=3, storage=storage, **SETTINGS)
    (tmp_path / "result.mkv").write_bytes(memory.cat_file("/out/result.mkv"))
    memory.store.clear()
    assert_same_pictures(clip, tmp_path / "result.mkv")
