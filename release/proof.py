"""The proof of a file to be released: its hash, the sources it was made from, and what it has passed.

What builds a file writes the proof beside it, as `NAME.proof.json`, after the file has passed. Nothing else does.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUFFIX = ".proof.json"
NOT_RUN = "not run"  # how the result of a check begins that could not be made


@dataclass(frozen=True)
class Proof:
    file: str
    sha256: str
    size: int
    commit: str
    changed: bool  # whether files of the sources were not as committed
    passed: dict[str, str]  # what was checked, and the result: {"CPython 3.12.1": "encoded 30 frames"}
    built_with: dict[str, str] = field(default_factory=dict)  # what went into it, by the name on PyPI


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def git(*arguments: str, root: Path = ROOT) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def commit_of(root: Path = ROOT) -> str:
    return git("rev-parse", "HEAD", root=root)


def is_changed(root: Path = ROOT) -> bool:
    return bool(git("status", "--porcelain", "--untracked-files=no", root=root))


def proof_file(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def write_proof(
    path: Path, passed: Mapping[str, str], built_with: Mapping[str, str] | None = None, root: Path = ROOT
) -> Path:
    """Writes the proof of a file that has passed these checks."""
    size, commit, changed = path.stat().st_size, commit_of(root), is_changed(root)
    proof = Proof(path.name, digest(path), size, commit, changed, dict(passed), dict(built_with or {}))
    written = proof_file(path)
    written.write_text(json.dumps(asdict(proof), indent=2) + "\n")
    return written


def read_proof(path: Path) -> Proof:
    """The proof of a file. Raises ValueError if it is not there or is none."""
    try:
        return Proof(**json.loads(proof_file(path).read_text()))
    except FileNotFoundError:
        raise ValueError(f"has no proof: expected {proof_file(path).name} beside it") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"has a proof that cannot be read: {error}") from None
