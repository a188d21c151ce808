"""The files of examples/farm: valid for the programs that read them, and their commands are ours."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pdum.nvenc._cli.parser import make_parser

from loud import need_module, need_program

pytestmark = pytest.mark.one_abi

FARM = Path(__file__).resolve().parents[1] / "examples" / "farm"
UNITS = ("pdum-nvenc-head.service", "pdum-nvenc-worker.service")
IMAGE = "pdum-nvenc-farm"
SECRET = "/secrets/farm.pem"
NEEDED = {"compute", "video", "utility"}


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FARM / "compose.yaml").read_text())
    return found


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FARM / "kubernetes.yaml").read_text()))


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Those of all pods, with the names of what makes the pods."""
    for one in manifests():
        for container in one.get("spec", {}).get("template", {}).get("spec", {}).get("containers", []):
            yield one["metadata"]["name"], container


def values(unit: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", (FARM / unit).read_text(), re.MULTILINE)


# --- commands ---


def commands() -> dict[str, list[str]]:
    found = {f"compose: {name}": one["command"] for name, one in compose()["services"].items()}
    found |= {f"kubernetes: {name}": one["args"] for name, one in containers()}
    for unit in UNITS:
        (line,) = values(unit, "ExecStart")
        found[unit] = shlex.split(line)[1:]
    return found


@pytest.mark.parametrize("where", commands())
def test_commands_are_ours(where: str) -> None:
    arguments = make_parser().parse_args(commands()[where])
    assert arguments.command in ("cluster", "worker", "encode")
    assert arguments.tls is not None, "the network is not trusted"


# --- systemd ---


@pytest.mark.parametrize("unit", UNITS)
def test_units(unit: str, tmp_path: Path) -> None:
    """systemd's own check, with a program that exists in place of the installed one."""
    verify = need_program("systemd-analyze", "systemd")
    text = (FARM / unit).read_text()
    assert "/opt/pdum-nvenc/bin/pdum-nvenc" in text
    (tmp_path / unit).write_text(text.replace("/opt/pdum-nvenc/bin/pdum-nvenc", sys.executable))
    command = [verify, "verify", "--man=no", "--recursive-errors=no", str(tmp_path / unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemds_check_finds_mistakes(tmp_path: Path) -> None:
    verify = need_program("systemd-analyze", "systemd")
    wrong = (FARM / UNITS[0]).read_text().replace("Restart=on-failure", "Restart=perhaps")
    (tmp_path / UNITS[0]).write_text(wrong.replace("/opt/pdum-nvenc/bin/pdum-nvenc", sys.executable))
    command = [verify, "verify", "--man=no", "--recursive-errors=no", str(tmp_path / UNITS[0])]
    assert "perhaps" in subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stderr


@pytest.mark.parametrize("unit", UNITS)
def test_units_do_not_start_again_what_cannot_work(unit: str) -> None:
    """Exit codes 2 and 4 mean wrong arguments, and a machine that cannot encode."""
    assert values(unit, "RestartPreventExitStatus") == ["2 4"]
    assert values(unit, "SuccessExitStatus") == ["143"]


# --- compose ---


def test_compose_fits_its_schema(tmp_path: Path) -> None:
    """The Compose Specification's schema, which check-jsonschema brings along."""
    need_module("check_jsonschema", "check-jsonschema")
    checked = schema_check(FARM / "compose.yaml", "vendor.compose-spec")
    assert checked.returncode == 0, checked.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((FARM / "compose.yaml").read_text().replace("restart:", "restarts:"))
    assert "restarts" in schema_check(wrong, "vendor.compose-spec").stdout


def schema_check(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_compose_gives_each_worker_its_gpu() -> None:
    workers = {name: one for name, one in compose()["services"].items() if name.startswith("worker")}
    devices = [one["deploy"]["resources"]["reservations"]["devices"] for one in workers.values()]
    assert [one[0]["device_ids"] for one in devices] == [["0"], ["1"]]
    assert all(set(one[0]["capabilities"]) >= NEEDED | {"gpu"} for one in devices)


# --- Kubernetes ---


def test_manifests_are_of_one_namespace() -> None:
    kinds = [one["kind"] for one in manifests()]
    assert sorted(kinds) == sorted(["Namespace", "PersistentVolumeClaim", "Service", "Deployment", "Deployment", "Job"])
    assert {one["metadata"].get("namespace", "pdum-nvenc") for one in manifests()} == {"pdum-nvenc"}


def test_pods_have_what_they_mount() -> None:
    for one in manifests():
        pod = one.get("spec", {}).get("template", {}).get("spec")
        if pod is None:
            continue
        there = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= there
            assert container["image"] == f"{IMAGE}:latest"
            assert SECRET in container["args"]


def test_workers_ask_for_a_gpu_and_its_video_part() -> None:
    (worker,) = [one for name, one in containers() if name == "worker"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1
    (capabilities,) = [one["value"] for one in worker["env"] if one["name"] == "NVIDIA_DRIVER_CAPABILITIES"]
    assert set(capabilities.split(",")) == NEEDED


def test_the_service_leads_to_the_head() -> None:
    (service,) = [one for one in manifests() if one["kind"] == "Service"]
    (head,) = [one for one in manifests() if one["kind"] == "Deployment" and one["metadata"]["name"] == "head"]
    assert service["spec"]["selector"] == head["spec"]["template"]["metadata"]["labels"]
    (port,) = head["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["containerPort"]


# --- Docker ---


def test_the_image_asks_for_the_video_part_of_the_driver() -> None:
    text = (FARM / "Dockerfile").read_text()
    (found,) = re.findall(r"NVIDIA_DRIVER_CAPABILITIES=(\S+)", text)
    assert set(found.split(",")) == NEEDED
    assert json.loads(re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[0]) == ["pdum-nvenc"]
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
