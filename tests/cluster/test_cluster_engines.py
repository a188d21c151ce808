"""Which engines a pool finds in a cluster."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import pytest

from cluster.nodes import cluster_of, node, software_node
from cluster.scripted import until
from pdum.nvenc import ClusterFailed, EncoderPool, InvalidConfig, NoEncoder
from pdum.nvenc._cluster import dask_client
from pdum.nvenc._cluster.tls import make_secret

pytestmark = pytest.mark.one_abi


def labels(pool: EncoderPool) -> list[str]:
    return sorted(engine.label for engine in pool.engines)


def test_hardware_and_software_are_not_mixed(nvsim_dir: Path) -> None:
    """Also workers that somebody else has started: each is for the first GPU that it sees."""
    assert nvsim_dir.is_dir()
    stranger = {"NVSIM_CONFIG": node("gpus", 1)[0]["NVSIM_CONFIG"]}
    with cluster_of(stranger, stranger, *software_node("cpus", 1)) as cluster, cluster.get_client() as client:
        client.wait_for_workers(3, timeout=60)
        with EncoderPool(cluster=client) as pool:
            assert pool.uses_hardware
            assert [one.partition(" · ")[2] for one in labels(pool)] == ["GPU 0 · NVENC 0", "GPU 0 · NVENC 1"]
        with EncoderPool(cluster=client, backend="software") as pool:
            assert not pool.uses_hardware
            assert labels(pool) == ["cpus · CPU 0"]


def test_a_limit_holds_for_all_machines(client: Any) -> None:
    with EncoderPool(cluster=client, engines=2) as pool:
        run = pool.start([])
        run.wait()
        assert len(pool.engines) == 3
        assert len(run._host.able()) == 2


def test_a_cluster_without_the_wanted_engines_is_told(client: Any) -> None:
    with pytest.raises(NoEncoder, match=r"has no engine for software\. .* pdum-nvenc worker tcp://127\.0\.0\.1:"):
        EncoderPool(cluster=client, backend="software", session_timeout=1)


def test_a_scheduler_that_is_not_there_is_told() -> None:
    with pytest.raises(ClusterFailed, match=r"tcp://127\.0\.0\.1:9 does not answer: .* `pdum-nvenc cluster` runs"):
        EncoderPool(cluster="127.0.0.1:9", session_timeout=1)


@pytest.mark.parametrize("speaks_first", [True, False])
def test_a_program_that_is_no_scheduler_is_told(monkeypatch: pytest.MonkeyPatch, speaks_first: bool) -> None:
    """Dask waits for ever for a web server, whose answer it takes for the length of a very long one."""
    monkeypatch.setattr(dask_client, "MOST_SECONDS_TO_CONNECT", 0.5)

    class Web(BaseRequestHandler):
        def handle(self) -> None:
            if not speaks_first:
                self.request.recv(1)
            self.request.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            is_over.wait(60)

    is_over = threading.Event()
    with ThreadingTCPServer(("127.0.0.1", 0), Web) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            with pytest.raises(ClusterFailed, match="does not answer: another program seems to listen there"):
                EncoderPool(cluster=f"127.0.0.1:{server.server_address[1]}")
        finally:
            is_over.set()
            server.shutdown()
            thread.join()
    until(lambda: all(one.name != "pdum.nvenc connecting" for one in threading.enumerate()))


def test_a_scheduler_without_tls_is_told(farm: Any, tmp_path: Path) -> None:
    make_secret(tmp_path / "farm.pem")
    address = farm.scheduler_address.partition("://")[2]
    with pytest.raises(ClusterFailed, match=rf"tls://{address} does not use TLS\. Leave --tls out"):
        EncoderPool(cluster=address, tls=tmp_path / "farm.pem")


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterFailed, match=r"pip install 'pdum-nvenc\[cluster\]'"):
        EncoderPool(cluster="127.0.0.1:9")


def test_a_machine_that_is_not_there_is_told() -> None:
    with pytest.raises(ClusterFailed, match=r"tcp://nowhere\.invalid:8786 does not answer: "):
        EncoderPool(cluster="nowhere.invalid")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cluster": 5}, "Expected the address of a scheduler or a distributed.Client, got cluster=5"),
        ({"cluster": "a b"}, "Expected the address of a scheduler, such as"),
        ({"cluster": "head", "gpus": [0]}, "worker --gpu"),
        ({"cluster": "head", "engines": [1, 2]}, "a number of engines of the cluster"),
        ({"cluster": "head", "backend": "cuda"}, "backend"),
    ],
)
def test_wrong_arguments_are_told(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidConfig, match=said):
        EncoderPool(**arguments)
