"""The release workflow: right by GitHub's schema, and made of scripts that are here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from wheels.target import ARCHITECTURES, VERSIONS

from loud import need_data

ROOT = Path(__file__).resolve().parents[2]
CODEC_PACKAGES = ("libx264-dev", "libx265-dev", "libaom-dev", "libavcodec-dev")


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())
    loaded["on"] = loaded.pop(True)  # what YAML 1.1 makes of the word
    return loaded


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_it_is_right_by_the_schema(workflow: dict[Any, Any]) -> None:
    folder = need_data("check_jsonschema", "builtin_schemas/vendor", "check-jsonschema")
    validator = Draft7Validator(json.loads((folder / "github-workflows.json").read_text()))
    assert [error.message for error in validator.iter_errors(workflow)] == []
    broken = {**workflow, "jobs": {"build": {"runs-on": "ubuntu-24.04", "step": []}}}
    assert list(validator.iter_errors(broken)), "the schema finds mistakes"


def test_jobs_need_jobs_that_are_there(workflow: dict[Any, Any]) -> None:
    done: set[str] = set()
    for name, job in workflow["jobs"].items():
        needs = job.get("needs", [])
        assert set([needs] if isinstance(needs, str) else needs) <= done, name
        done.add(name)


def test_steps_are_scripts_that_are_here(workflow: dict[Any, Any]) -> None:
    lines = [line for step in steps(workflow) for line in step.get("run", "").splitlines()]
    scripts = set(re.findall(r"(?:^|\s)((?:\./|packages/)[\w./-]+\.sh)", "\n".join(lines)))
    assert scripts == {"./test.sh", "./release.sh", "./build-wheel.sh", "packages/nvenc-sim/build-wheel.sh"}
    for script in scripts:
        assert (ROOT / script).stat().st_mode & 0o111, script
    others = [line for line in lines if not re.search(r"\.sh(\s|$)", line)]
    assert others == [
        "pipx run uv python install $PYTHONS",
        "sudo apt-get update -q",
        f"sudo apt-get install -q -y {' '.join(CODEC_PACKAGES)}",
        'gh release create "$GITHUB_REF_NAME" --title "$GITHUB_REF_NAME" --notes-file notes.md dist/*',
    ]


def test_each_wheel_is_built_where_it_can_run(workflow: dict[Any, Any]) -> None:
    """A file that was not tried is refused, so each processor builds its own, with all Pythons there."""
    build = workflow["jobs"]["build"]
    assert [row["machine"] for row in build["strategy"]["matrix"]["include"]] == list(ARCHITECTURES)
    assert build["env"]["PYTHONS"].split() == list(VERSIONS)


def test_the_simulated_driver_is_built_with_all_its_codecs() -> None:
    known = re.findall(r"lib\w+-dev", (ROOT / "test.sh").read_text())
    assert sorted(set(known)) == sorted(CODEC_PACKAGES)


def test_a_job_takes_the_files_of_all_builds(workflow: dict[Any, Any]) -> None:
    names = {step["with"]["name"] for step in workflow["jobs"]["build"]["steps"] if "upload" in step.get("uses", "")}
    assert names == {"dist-${{ matrix.machine }}"}
    taken = [step["with"] for step in steps(workflow) if step.get("uses", "").startswith("actions/download-artifact@")]
    assert len(taken) == 3
    assert {(one["pattern"], one["merge-multiple"], one["path"]) for one in taken} == {("dist-*", True, "dist")}


def test_only_what_is_checked_is_published(workflow: dict[Any, Any]) -> None:
    jobs = workflow["jobs"]
    assert (jobs["build"]["needs"], jobs["check"]["needs"], jobs["publish"]["needs"]) == ("test", "build", "check")
    for name in ("check", "publish", "notes"):
        assert jobs[name]["if"] == "github.ref_type == 'tag'"
    used = [step.get("uses", "").partition("@")[0] for step in jobs["publish"]["steps"]]
    assert used.index("actions/attest-build-provenance") < used.index("pypa/gh-action-pypi-publish")


def test_rights_are_few(workflow: dict[Any, Any]) -> None:
    """No password is stored anywhere: PyPI trusts the workflow itself."""
    assert workflow["permissions"] == {"contents": "read"}
    rights = {name: job.get("permissions", {}) for name, job in workflow["jobs"].items()}
    assert {name for name, given in rights.items() if "write" in given.values()} == {"publish", "notes"}
    assert "secrets." not in (ROOT / ".github" / "workflows" / "release.yml").read_text()
