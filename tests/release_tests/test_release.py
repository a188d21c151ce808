"""`release.sh` lets through what is complete and proven, and nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from release import parts
from release.check import missing_files, problems, problems_of_sources
from release.proof import proof_file, write_proof
from release.version import version

from loud import need_data

ROOT = Path(__file__).resolve().parents[2]
WHEELS = [f"pdum_nvenc-1.2.0-{python}-{python}-manylinux_2_28_x86_64.whl" for python in ("cp310", "cp311", "cp312")]
WHEELS += [
    f"pdum_nvenc-1.2.0-{python}-{python}-manylinux2014_x86_64.manylinux_2_17_x86_64.whl" for python in ("cp313",)
]
WHEELS += [
    "pdum_nvenc-1.2.0-cp314-cp314-manylinux_2_17_x86_64.whl",
    "pdum_nvenc-1.2.0-cp314-cp314t-manylinux_2_17_aarch64.whl",
]
WHEELS += ["pdum_nvenc_sim-1.2.0-py3-none-manylinux_2_28_x86_64.whl"]
METADATA = "Metadata-Version: 2.4\nName: pdum-nvenc\nVersion: 1.2.0\n"
METADATA += "Requires-Dist: numpy\nRequires-Dist: av>=17; extra == 'files'\n"
PASSED = {"contents": "good", "CPython 3.12.1": "encoded 30 frames"}


def git(root: Path, *arguments: str) -> None:
    names = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *names, "-C", str(root), *arguments], check=True, capture_output=True)


@pytest.fixture
def root(ready: Path, tmp_path: Path) -> Path:
    """A copy of them, to be damaged."""
    return Path(shutil.copytree(ready, tmp_path / "sources"))


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sources that are ready, and `dist` with all files of a release and their proofs."""
    root = tmp_path_factory.mktemp("ready") / "sources"
    package = root / "src" / "pdum" / "nvenc"
    package.mkdir(parents=True)
    (package / "_version.py").write_text('"""The version."""\n\n__version__ = "1.2.0"\n')
    (root / "CHANGELOG.md").write_text(
        "# Changes\n\n## 1.2.0 (2027-01-31)\n\n- New.\n\n## 1.1.0 (2026-12-01)\n\n- Old.\n"
    )
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "Ready")
    dist = root / "dist"
    dist.mkdir()
    for name in WHEELS:
        with zipfile.ZipFile(dist / name, "w") as archive:
            archive.writestr("pdum_nvenc-1.2.0.dist-info/METADATA", METADATA)
        write_proof(dist / name, PASSED, {"pybind11": "3.0.1"}, root)
    (dist / "pdum_nvenc-1.2.0.tar.gz").write_bytes(b"sources")
    write_proof(dist / "pdum_nvenc-1.2.0.tar.gz", PASSED, root=root)
    return root


def found(root: Path, tag: str | None = "v1.2.0") -> list[str]:
    return list(problems(root / "dist", tag, root))


def test_what_is_ready_is_let_through(root: Path) -> None:
    assert found(root) == []
    for path in (root / "dist").glob("*.whl"):
        parts.write_document(path)
    assert found(root) == [], "lists of parts lie beside the files"


WHEEL = WHEELS[0]


def lose_the_proof(root: Path) -> None:
    proof_file(root / "dist" / WHEEL).unlink()


def break_the_proof(root: Path) -> None:
    proof_file(root / "dist" / WHEEL).write_text("{}")


def change_the_wheel(root: Path) -> None:
    with (root / "dist" / WHEEL).open("ab") as wheel:
        wheel.write(b"more")


def borrow_a_proof(root: Path) -> None:
    proof_file(root / "dist" / WHEEL).write_text(proof_file(root / "dist" / WHEELS[1]).read_text())


def commit_more(root: Path) -> None:
    git(root, "commit", "-q", "--allow-empty", "-m", "More")


def prove_changed_sources(root: Path) -> None:
    changed = (root / "CHANGELOG.md").read_text() + "\n"
    (root / "CHANGELOG.md").write_text(changed)
    write_proof(root / "dist" / WHEEL, PASSED, root=root)


def pass_nothing(root: Path) -> None:
    write_proof(root / "dist" / WHEEL, {}, root=root)


def run_nothing(root: Path) -> None:
    write_proof(root / "dist" / WHEEL, {**PASSED, "CPython 3.12.1": "not run: no such Python"}, root=root)


def add(root: Path, name: str, size: int = 10) -> None:
    (root / "dist" / name).write_bytes(b"x" * size)
    write_proof(root / "dist" / name, PASSED, root=root)


def change_in_changelog(old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / "CHANGELOG.md"
        path.write_text(path.read_text().replace(old, new))
        git(root, "update-index", "--assume-unchanged", "CHANGELOG.md")

    return change


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lose_the_proof, "has no proof"),
        (break_the_proof, "has a proof that cannot be read"),
        (change_the_wheel, "is not the file that was proven"),
        (borrow_a_proof, "is not the file that was proven"),
        (commit_more, "and not from the commit that is checked out"),
        (prove_changed_sources, "was made from sources that were not committed"),
        (pass_nothing, "passed nothing"),
        (run_nothing, "was not tried: CPython 3.12.1: not run: no such Python"),
        (lambda root: (root / "dist" / WHEEL).unlink(), "no wheel of pdum_nvenc for cp310 on x86_64"),
        (lambda root: (root / "dist" / WHEELS[-1]).unlink(), "no wheel of pdum_nvenc_sim for none"),
        (lambda root: (root / "dist" / "pdum_nvenc-1.2.0.tar.gz").unlink(), "no sdist"),
        (lambda root: add(root, "pdum_nvenc-1.1.0-cp311-cp311-manylinux_2_28_x86_64.whl"), "has version 1.1.0"),
        (lambda root: add(root, "pdum_nvenc-1.2.0-cp311-cp311-manylinux_2_36_x86_64.whl"), "needs glibc 2.36"),
        (lambda root: add(root, "pdum_nvenc-1.2.0-cp311-cp311-linux_x86_64.whl"), "is no file of a release"),
        (lambda root: add(root, "notes.txt"), "is no file of a release"),
        (
            lambda root: add(root, "pdum_nvenc-1.2.0-cp311-cp311-manylinux_2_17_aarch64.whl", 1_450_001),
            "expected 1,450,000 at most",
        ),
        (change_in_changelog("2027-01-31", "not released"), "CHANGELOG.md has no date for 1.2.0"),
        (change_in_changelog("## 1.2.0", "## 1.3.0"), "CHANGELOG.md begins with 1.3.0, but the version is 1.2.0"),
        (change_in_changelog("- New.\n", ""), "CHANGELOG.md says nothing about 1.2.0"),
    ],
)
def test_what_is_not_proven_is_refused(root: Path, damage: Callable[[Path], None], reason: str) -> None:
    damage(root)
    assert any(reason in problem for problem in found(root)), found(root)


def test_the_tag_is_the_version(root: Path) -> None:
    assert found(root, None) == []
    assert list(problems_of_sources("v1.2.1", root)) == ["the tag is v1.2.1, but the version is 1.2.0: expected v1.2.0"]


def test_free_threaded_wheels_replace_none(root: Path) -> None:
    names = {name.replace("-cp314-cp314-", "-cp314-cp314t-") for name in WHEELS}
    assert "no wheel of pdum_nvenc for cp314 on x86_64" in list(missing_files(names))


def release(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "release.sh"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_command(root: Path, tmp_path: Path) -> None:
    assert release("version").stdout.strip() == version()
    assert release("notes").stdout.strip()
    refused = release("check", root / "dist")
    assert refused.returncode == 1
    assert "and not from the commit that is checked out" in refused.stderr
    copied = release("packages", root / "dist", "pdum-nvenc-sim", "--to", tmp_path / "only")
    assert copied.returncode == 0
    assert [path.name for path in (tmp_path / "only").iterdir()] == [WHEELS[-1]]
    wheel = root / "dist" / WHEEL
    proven = release("proof", wheel, "--passed", "contents=good", "--built-with", "pybind11=3.0.1")
    assert proven.stdout.strip() == f"{WHEEL}.proof.json"
    assert json.loads(proof_file(wheel).read_text())["built_with"] == {"pybind11": "3.0.1"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["check", "nowhere"], "nowhere is no folder"),
        (["parts", "nowhere"], "expected a folder with wheels"),
        (["proof", "nothing.whl", "--passed", "a=b"], "expected a file"),
        (["packages", ".", "pdum-nvenc", "--to", "x"], "has no package of pdum-nvenc"),
        (["proof", __file__, "--passed", "good"], "expected NAME=VALUE, got 'good'"),
    ],
)
def test_wrong_use(arguments: list[str], reason: str) -> None:
    done = release(*arguments)
    assert done.returncode == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_of_parts_is_valid_and_complete(root: Path) -> None:
    made = parts.document(root / "dist" / WHEEL)
    folder = need_data("cyclonedx.schema", "_res", "cyclonedx-python-lib")
    schemas = {name: json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text()) for name in SCHEMAS}
    registry: Registry[object] = Registry()
    for name, schema in schemas.items():
        for uri in (f"http://cyclonedx.org/schema/{name}.SNAPSHOT.schema.json", schema["$id"]):
            registry = registry.with_resource(uri, Resource.from_contents(schema))
    errors = list(Draft7Validator(schemas["bom-1.6"], registry=registry).iter_errors(made))
    assert errors == []
    assert list(Draft7Validator(schemas["bom-1.6"], registry=registry).iter_errors({**made, "version": "one"}))
    assert {part["name"] for part in made["components"]} == {"pybind11", "numpy"}
    assert made["metadata"]["component"]["purl"] == "pkg:pypi/pdum-nvenc@1.2.0"


SCHEMAS = ("bom-1.6", "spdx", "jsf-0.82")


def test_our_own_notes_are_those_of_the_version() -> None:
    assert [problem for problem in problems_of_sources(None) if "no date" not in problem] == []
    assert sys.version_info >= (3, 10)
