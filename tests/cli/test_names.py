"""Two hundred hostile names and broken files in one run: each failure is reported, and nothing else is touched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pdum.nvenc._batch.journal_entry import NAME

from clips import Tool, content, events_of, files_in, make_clip
from simulator import Machine

PARTS = (
    ("-rf", "--help", "-", "--", "-o"),
    ("new\nline", "tab\there", "return\rhere", "\x1b[2Jescape", "\x07bell", "nul\u2400"),
    ("quote'", 'double"quote', "both'\"", "back\\slash", "`id`", "$(id)", "${HOME}", "a;b", "a&b", "a|b", "<a>", "!!"),
    (
        "*",
        "?",
        "[a-z]",
        "{a,b}",
        "~",
        "#",
        "%s%n%d",
        "%2e%2e",
        "a=b",
        "a:b",
        "file:x",
        "pipe:1",
        "concat:a|b",
        "http:x",
    ),
    ("🎬", "👩‍👩‍👧", "é", "e\u0301", "日本語", "\u202eevil", "\u200bzero", "ﬁ", "ß", "İ"),
    ("caf\udce9", "\udcff\udcfe", "a\udc80b"),
    (" lead", "trail ", "two  spaces", "x..", "x..y", "a.b.c", "CON", "x" * 240, "ü" * 120),
)
BROKEN = ("empty", "text", "noise", "cut", "header", "dead", "loop", "pipe")


def test_two_hundred(tool: Tool, rtx4090: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    clip = make_clip(tmp_path / "clip.mkv", 4)
    short = make_clip(tmp_path / "clip.mp4", 4)
    good = [folder / f"{name}{suffix}" for part in PARTS for name in part for suffix in (".mkv", ".mp4")]
    good += [folder / f"{name}.avi" for part in PARTS[1:4] for name in part]
    folder.mkdir()
    for path in good:
        # The content decides the container; the result only keeps the suffix of the name.
        shutil.copyfile(short if path.suffix == ".mp4" else clip, path)
    broken = [_break(folder, kind, number, short) for kind in BROKEN for number in range(7)]
    assert len(good) + len(broken) >= 200
    before = {path: path.read_bytes() for path in good}

    code, told = tool.encode("-c", "h264", "--lossless", "--keep-bigger", "--verify", "structure", folder)

    assert code == 1
    sources = {event["job"]: Path(event["source"]) for event in events_of("job_queued", told)}
    assert {sources[event["job"]] for event in events_of("job_failed", told)} == set(broken)
    finished = {sources[event["job"]]: Path(event["destination"]) for event in events_of("job_finished", told)}
    assert set(finished) == set(good)
    assert len(set(finished.values())) == len(good), "each has a result of its own"
    results = {path.relative_to(folder).as_posix() for path in finished.values()}
    assert {name for name in files_in(folder) if name.startswith("compressed/")} == {*results, f"compressed/{NAME}"}
    assert {path: path.read_bytes() for path in good} == before
    wanted = content(clip)["pixels"]
    for path in list(finished.values())[::9]:
        assert content(path)["pixels"] == wanted

    code, told = tool.encode("-c", "h264", "--lossless", "--keep-bigger", "--verify", "structure", folder)
    assert code == 1
    again = {Path(event["source"]) for event in events_of("job_queued", told)}
    assert again == set(broken), "what is done is done, whatever its name is"


def _break(folder: Path, kind: str, number: int, clip: Path) -> Path:
    path = folder / f"broken {kind} {number}\n'.mp4"
    data = clip.read_bytes()
    if kind == "dead":
        path.symlink_to("gone")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        contents = {
            "empty": b"",
            "text": b"no video\n" * 50,
            "noise": os.urandom(5_000 + number),
            "cut": data[: len(data) // 3 + number],
            "header": data[: 40 + number],
        }
        path.write_bytes(contents[kind])
    return path
