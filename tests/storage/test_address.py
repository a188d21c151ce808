"""Addresses: their names, their parts, and what messages show of them."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pdum.nvenc import FileJob, InvalidConfig, StorageSettings, StoredJob
from pdum.nvenc._storage.address import Address, is_address, local_path

pytestmark = pytest.mark.one_abi

WORDS = some.text("abcXYZ019", min_size=6, max_size=12)


@pytest.mark.parametrize("given_text", ["s3://bucket/a.mp4", "sftp://host/a.mp4", "https://host/a.mp4", "S3://b/a"])
def test_addresses(given_text: str) -> None:
    assert is_address(given_text)
    assert Address(given_text).protocol == given_text.partition(":")[0].lower()


@pytest.mark.parametrize("given_text", ["a.mp4", "/a.mp4", "c:/a.mp4", "x://a", "a:b", "file:///a.mp4", "./s3://a", ""])
def test_local_paths(given_text: str) -> None:
    assert not is_address(given_text)
    assert not is_address(Path(given_text))


def test_addresses_of_files() -> None:
    assert local_path("file:///a%20b/c.mp4") == Path("/a b/c.mp4")
    assert local_path("a b.mp4") == Path("a b.mp4")
    with pytest.raises(InvalidConfig, match="file:///"):
        local_path("file://host/a.mp4")


def test_parts() -> None:
    address = Address("s3://bucket/in/film.mkv")
    assert (address.name, address.suffix, address.parent.text) == ("film.mkv", ".mkv", "s3://bucket/in/")
    assert Address("s3://bucket/in").child("a", "b.mp4").text == "s3://bucket/in/a/b.mp4"
    assert Address("s3://bucket/in/").child("a.mp4").text == "s3://bucket/in/a.mp4"
    assert Address("s3://bucket/in/").names_a_folder


def test_names_on_web_servers() -> None:
    assert Address("https://host/a%20b.mp4?token=1#x").name == "a b.mp4"
    assert Address("s3://bucket/what?.mp4").name == "what?.mp4", "a query is for web servers only"


@pytest.mark.parametrize("path", ["..%2F..%2Fetc%2Fa.mp4", "%2Fetc%2Fa.mp4", "a%2Fb.mp4", "..", "%2E%2E", ".", "%00"])
def test_no_address_names_a_file_in_another_folder(path: str, tmp_path: Path) -> None:
    """Names of web servers may hold anything."""
    name = Address(f"https://host/in/{path}").name
    assert (tmp_path / name).parent == tmp_path
    assert "/" not in name
    assert name not in ("", ".", "..")


@given(user=WORDS, password=WORDS, signature=WORDS)
def test_no_message_shows_a_secret(user: str, password: str, signature: str) -> None:
    address = Address(f"https://{user}:P{password}@host/a.mp4?sig=S{signature}&other=1")
    for text in (str(address), repr(address), f"{address}", address.shown, address.parent.shown):
        assert f"P{password}" not in text
        assert f"S{signature}" not in text
        assert "host" in text
    assert {f"P{password}", f"S{signature}"} <= set(address.secrets())


def test_chains_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="one address"):
        Address("zip://a::s3://bucket/a.zip")


def test_a_file_job_says_who_takes_addresses() -> None:
    with pytest.raises(InvalidConfig, match="StoredJob") as told:
        FileJob(source="s3://u:secret@bucket/a.mp4", destination="b.mp4")  # type: ignore[arg-type]
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"destination": "s3://bucket/a.mkv"}, "s3://bucket/a.mkv is the source itself"),
        ({"storage": {"secret": "hunter22"}}, "Expected StorageSettings"),
        ({"verify": "much"}, "verify"),
        ({"segments": 0}, "segments"),
    ],
)
def test_wrong_jobs(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig, match=re.escape(words)) as told:
        StoredJob(**{"source": "s3://bucket/a.mkv", "destination": "b.mp4", **given})
    assert "hunter22" not in str(told.value)


def test_a_stored_job_can_be_sent_to_another_process() -> None:
    job = StoredJob(source="s3://bucket/a.mp4", destination="file:///b.mp4", storage=StorageSettings(spool="/spool"))
    assert pickle.loads(pickle.dumps(job)) == job
    assert job.destination == Path("/b.mp4")
