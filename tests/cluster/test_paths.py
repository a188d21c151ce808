"""A machine on which the shared storage has another path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.nodes import cluster_of, node
from files.runner import LOSSLESS, assert_same_pictures
from pdum.nvenc import EncoderPool, SourceUnreadable
from pdum.nvenc._storage.path_mapping import PathMapping, as_variable

pytestmark = [pytest.mark.one_abi, pytest.mark.slow]

SETTINGS: dict[str, Any] = {**LOSSLESS, "codec": "h264"}


def test_mapped_paths(nvsim_dir: Path, clip: Path, tmp_path: Path) -> None:
    """The source and the work folder, by the worker's path of the storage."""
    assert nvsim_dir.is_dir()
    storage, mount = tmp_path / "storage", tmp_path / "mount"
    storage.mkdir()
    (storage / "clip.mkv").write_bytes(clip.read_bytes())
    mount.symlink_to(storage)
    (worker,) = node("other", 1)
    mapped = {**worker, **as_variable([PathMapping.of(f"{mount}={storage}")])}
    with cluster_of(mapped) as cluster, cluster.get_client() as client, EncoderPool(cluster=client) as pool:
        pool.encode_file(mount / "clip.mkv", mount / "result.mkv", **SETTINGS)
    assert_same_pictures(clip, storage / "result.mkv")


def test_wrongly_mapped_paths_are_told(nvsim_dir: Path, clip: Path, tmp_path: Path) -> None:
    """Which shows that the mapping is used."""
    assert nvsim_dir.is_dir()
    (worker,) = node("other", 1)
    mapped = {**worker, **as_variable([PathMapping.of(f"{clip.parent}={tmp_path}/nowhere")])}
    with (
        cluster_of(mapped) as cluster,
        cluster.get_client() as client,
        EncoderPool(cluster=client) as pool,
        pytest.raises(SourceUnreadable, match=r"nowhere/clip\.mkv does not exist on this machine"),
    ):
        pool.encode_file(clip, tmp_path / "result.mkv", **SETTINGS)
