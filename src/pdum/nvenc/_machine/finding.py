"""What one check of the machine has found."""

from __future__ import annotations

from dataclasses import dataclass

MARKS = {"ok": " ok ", "note": "note", "problem": "FAIL"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check. ``level`` is ``"ok"``, ``"note"`` or ``"problem"``; ``topic`` names it for code."""

    level: str
    topic: str
    text: str
    advice: str = ""
    gpu_id: int | None = None

    def __str__(self) -> str:
        lines = [f"[{MARKS[self.level]}] {self.text}"]
        return "\n".join(lines + [f"       -> {self.advice}"] * bool(self.advice))
