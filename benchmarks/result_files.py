"""Result files: one for each machine, with the figures of each part that it ran, and when."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .measuring import FORM, Figure, machine_facts

Result = dict[str, Any]
"""``machine``, and ``parts`` by name, each with ``date``, ``load``, ``command``, ``versions`` and ``figures``."""


class NoResult(SystemExit):
    """What was asked for is no result file. The message says why."""


def read(path: Path) -> Result:
    try:
        found: Result = json.loads(path.read_text())
    except OSError as error:
        raise NoResult(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise NoResult(f"Expected a result file of `python -m benchmarks`, got {path}, which is no JSON.") from error
    if not is_result(found):
        raise NoResult(f"Expected a result file of form {FORM}, got {path}. Measure again with `python -m benchmarks`.")
    return found


def is_result(found: Any) -> bool:
    try:
        describe(found["machine"])
        return found["form"] == FORM and all(figures_of(part) for part in found["parts"].values())
    except (KeyError, TypeError, AttributeError):
        return False


def merge(path: Path, new: Result) -> None:
    """Adds the parts to the file; parts that are there already are replaced, others stay."""
    old = read(path) if path.exists() else {"form": FORM, "machine": new["machine"], "parts": {}}
    whole = {"form": FORM, "machine": new["machine"], "parts": {**old["parts"], **new["parts"]}}
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    beside.replace(path)


def figures_of(part: Result) -> list[Figure]:
    return [Figure(**figure) for figure in part["figures"]]


def name_of_this_machine() -> str:
    """Of its result file: what kind of machine it is, not which one."""
    facts = machine_facts()
    words = facts["gpu"].split(",")[0] if "gpu" in facts else f"{facts['processor']} {facts['cores']} cores"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def describe(machine: Result) -> str:
    words = [machine["processor"], f"{machine['cores']} cores", machine.get("gpu", ""), machine["python"]]
    return ", ".join(filter(None, words))
