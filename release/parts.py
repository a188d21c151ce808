"""Lists the parts of a file to be released as a CycloneDX document (SBOM)."""

from __future__ import annotations

import json
import re
import uuid
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

from release.proof import Proof, read_proof

SPECIFICATION = "1.6"
# What is compiled into the native files. The names are those of PyPI, where the build gets it.
LICENCES = {
    "pybind11": "BSD-3-Clause",
    "nvidia-nvtx-cu12": "Apache-2.0 WITH LLVM-exception",
    "ziglang": "MIT",
}


def metadata_of(path: Path) -> Any:
    """The core metadata of a wheel. An sdist has none that can be read without unpacking; its name says enough."""
    if path.suffix != ".whl":
        return Parser().parsestr(f"Name: pdum-nvenc\nVersion: {path.name.split('-')[1].removesuffix('.tar.gz')}\n")
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def purl(name: str, version: str = "") -> str:
    return f"pkg:pypi/{name.lower().replace('_', '-')}" + (f"@{version}" if version else "")


def compiled_in(proof: Proof) -> list[dict[str, Any]]:
    return [
        {
            "type": "library",
            "bom-ref": purl(name, version),
            "name": name,
            "version": version,
            "purl": purl(name, version),
            "description": "Compiled in.",
            **({"licenses": [{"expression": LICENCES[name]}]} if name in LICENCES else {}),
        }
        for name, version in sorted(proof.built_with.items())
    ]


def required(metadata: Any) -> list[dict[str, Any]]:
    """What an installer brings without any extra."""
    lines = [line for line in metadata.get_all("Requires-Dist") or [] if "extra ==" not in line]
    names = [re.match(r"[\w.-]+", line)[0] for line in lines]  # type: ignore[index]
    return [
        {"type": "library", "bom-ref": purl(name), "name": name, "purl": purl(name), "description": f"Needs {line}."}
        for name, line in zip(names, lines, strict=True)
    ]


def document(path: Path) -> dict[str, Any]:
    """The document of a file, which needs its proof. The same file gives the same document."""
    proof, metadata = read_proof(path), metadata_of(path)
    name, version = metadata["Name"], metadata["Version"]
    parts = [*compiled_in(proof), *required(metadata)]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, proof.sha256)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": purl(name, version),
                "name": name,
                "version": version,
                "purl": purl(name, version),
                "licenses": [{"expression": "MIT"}],
                "hashes": [{"alg": "SHA-256", "content": proof.sha256}],
                "properties": [
                    {"name": "pdum:file", "value": proof.file},
                    {"name": "pdum:commit", "value": proof.commit},
                ],
            }
        },
        "components": parts,
        "dependencies": [
            {"ref": purl(name, version), "dependsOn": sorted(part["bom-ref"] for part in parts)},
            *({"ref": part["bom-ref"]} for part in parts),
        ],
    }


def write_document(path: Path) -> Path:
    written = path.with_name(path.name + ".cdx.json")
    written.write_text(json.dumps(document(path), indent=2) + "\n")
    return written
